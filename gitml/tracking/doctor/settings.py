"""Settings: a gitml.yaml that can't be read, and what holds in its place meanwhile."""

from __future__ import annotations

import shlex
from pathlib import Path

from gitml import config, git
from gitml.errors import FormatError
from gitml.tracking.doctor.finding import ERROR, Finding
from gitml.tracking.place import Place, place_of, place_with


def place_to_examine(repo: git.Repository, start: Path) -> tuple[Place, Finding | None]:
    """The place to examine for somebody in the folder `start`, and what is wrong with its settings.

    With a gitml.yaml that can't be read it is the place with the default settings.
    """
    try:
        return place_of(repo, start), None
    except FormatError as error:
        path = config.find_config(start, repo.root or start) or start / config.FILE_NAME
        what = f"{error}; the doctor goes on with the default settings"
        fix = f"edit {shlex.quote(str(path))}, then: gitml validate {shlex.quote(str(path))}"
        return place_with(repo, config.Config()), Finding(ERROR, what, fix)
