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
class RunCommit:
    """A commit of a run: the first brings its code, each later one a change of the run.

    `author` is None where git knew no name and the commit carries gitml's own; `time` is in ms.
    """

    commit: str
    author: str | None
    time: int
    subject: str


def commits(place: Place, run: RunView) -> tuple[RunCommit, ...]:
    """The commits of a recorded run, oldest first; none of a live one."""
    if run.commit is None or not run.files:
        return ()
    code = run.record.code.commit
    known = git.resolve(place.repo, f"{code}^{{commit}}") if code else None
    form = "--format=%H%x00%an%x00%ct%x00%s%x00%(trailers:key=Run-Id,valueonly,separator=)"
    log = git.text(
        place.repo, "log", "--first-parent", form, run.commit, *(["--not", known] if known else [])
    )
    found = []
    for line in log.split("\n"):
        commit, *told = line.split("\0")
        if len(told) == 4 and told[3] == run.record.run_id:
            author = None if told[0] == Identity().name else told[0]
            found.append(RunCommit(commit, author, int(told[1]) * 1000, told[2]))
    return tuple(reversed(found))


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
