"""The files of a commit, for what a deployment builds or runs of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gitml.projects import checkout
from gitml.tracking.place import Place


@contextlib.contextmanager
def checked_out(place: Place, commit: str) -> Iterator[Path]:
    """The folder that they are in, for the length of a block."""
    owner = place.owner or place.code.root or place.repo.common_dir
    with checkout.workspace() as workspace:
        yield checkout.check_out(place, owner, commit, workspace).repo.place
