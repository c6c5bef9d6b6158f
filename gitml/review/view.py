"""A run as those who look at it need it: its record, the commit that holds its code, its files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gitml import git
from gitml.tracking import store
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord
from gitml.tracking.snapshot import LIVE_REFS

REQUIREMENTS = "requirements.txt"
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[[^]]*\])?\s*(?:===?|@)\s*(?P<version>\S+)")


@dataclass(frozen=True, slots=True)
class RunView:
    """A run: `commit` is its run commit, of a live run that of its snapshot, None without one.

    `files` maps the paths in its folder to blobs; a run that was never recorded has none.
    """

    record: RunRecord
    commit: str | None
    files: Mapping[str, str]


def view(place: Place, run_id: str) -> RunView:
    """The run with that id, live or recorded; UsageError when there is none."""
    record, entry = store.record(place, run_id), store.entry(place, run_id)
    if entry is None:
        return RunView(record, git.resolve(place.repo, LIVE_REFS + run_id), {})
    return RunView(record, entry.commit, entry.files)


def packages(place: Place, run: RunView) -> dict[str, str]:
    """The packages that were installed when the run began: name to version or source."""
    blob = run.files.get(REQUIREMENTS)
    if blob is None:
        return {}
    text = next(git.read_objects(place.repo, [blob])).decode("utf-8", "replace")
    return parse_requirements(text)


def parse_requirements(text: str) -> dict[str, str]:
    """The packages that a requirements file pins, their names in lower case with dashes."""
    found = (_REQUIREMENT.match(line.strip()) for line in text.splitlines())
    return {re.sub(r"[-_.]+", "-", m["name"]).lower(): m["version"] for m in found if m}
