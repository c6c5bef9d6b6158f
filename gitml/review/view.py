"""A run as those who look at it need it: its record, the commit that holds its code, its files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gitml import git
from gitml.tracking import store
from gitml.tracking.commits import Identity
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord
from gitml.tracking.snapshot import LIVE_REFS

REQUIREMENTS = "requirements.txt"
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[[^]]*\])?\s*(?:===?|@)\s*(?P<version>\S+)")


@dataclass(frozen=True, slots=True)
class RunView:
    """A run: `commit` is its newest run commit, of a live one its snapshot; None without one.

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


@dataclass(frozen=True, slots=True)
class Origin:
    """The first commit of a run, which brings its code, and whose name it carries.

    `author` is None where git knew no name and the commit carries gitml's own.
    """

    commit: str
    author: str | None


def origin(place: Place, run: RunView) -> Origin | None:
    """The first commit of a recorded run; None of a live one."""
    if run.commit is None or not run.files:
        return None
    code = run.record.code.commit
    known = git.resolve(place.repo, f"{code}^{{commit}}") if code else None
    form = "--format=%H%x00%an%x00%(trailers:key=Run-Id,valueonly,separator=)"
    log = git.text(
        place.repo, "log", "--first-parent", form, run.commit, *(["--not", known] if known else [])
    )
    lines = (line.split("\0") for line in log.split("\n") if line.count("\0") == 2)
    own = [(commit, name) for commit, name, run_id in lines if run_id == run.record.run_id]
    commit, name = own[-1] if own else (run.commit, Identity().name)
    return Origin(commit, None if name == Identity().name else name)


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
