"""A registered version that a job of CI works on: its tag and its run, from the remote."""

from __future__ import annotations

import re

from gitml.errors import FormatError, UsageError, shown
from gitml.git import Progress
from gitml.registry import recorded, untagged
from gitml.registry.checking import known
from gitml.registry.checking.ground import runs_at
from gitml.registry.checking.known import Known
from gitml.registry.files import ModelFile
from gitml.registry.recorded import Runs
from gitml.registry.tags import VersionTag, parse_tag
from gitml.tracking.place import Place

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def find(place: Place, base: str, name: str, progress: Progress | None = None) -> Known:
    """The version that is called `NAME@vX.Y.Z`, as its tag at the remote and its run have it.

    One that has no tag yet is called `NAME@vX.Y.Z=COMMIT/PATH`, and its run has to be in the
    remote's ledger. `base` is the commit that says where runs are. Raises UsageError for another
    name, FormatError when there is no such tag, or the run does not bear it out.
    """
    tag, source = parse(name)
    runs = runs_at(place, base)
    if source is not None:
        return _claimed(place, runs, tag, source, progress)
    wanted = [(tag.name, tag.version)]
    problems, lacking = known.fetch(place, runs.remote, wanted, progress)
    if lacking:
        raise FormatError(f"there is no tag {tag}; register the version first")
    found, more = known.read(place, wanted)
    for problem in (*problems, *more):
        raise FormatError(problem.message)
    return found[tag.name, tag.version]


def parse(name: str) -> tuple[VersionTag, str | None]:
    """The tag of a version by its name, and the source of one that has no tag yet."""
    plain, is_claim, source = name.partition("=")
    tag = parse_tag(plain)
    if not isinstance(tag, VersionTag):
        raise UsageError(f"{shown(name)} is no version; write churn@v1.0.0")
    return tag, source if is_claim else None


def _claimed(
    place: Place, runs: Runs, tag: VersionTag, source: str, progress: Progress | None
) -> Known:
    commit, _, path = source.partition("/")
    if not _COMMIT.fullmatch(commit):
        raise UsageError(f"{shown(source)} is no source; write {tag}=COMMIT/PATH")
    entry = recorded.entry_at(place, runs, tag, commit, path, progress)
    run = recorded.run_of(place, runs, tag, entry, progress)
    now = ModelFile(versions={tag.version: entry})
    return Known(untagged.of_line(tag.name, tag.version, now), run)
