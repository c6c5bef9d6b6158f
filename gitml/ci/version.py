"""A registered version that a job of CI works on: its tag and its run, from the remote."""

from __future__ import annotations

from gitml.errors import FormatError, UsageError, shown
from gitml.git import Progress
from gitml.registry.checking import known
from gitml.registry.checking.ground import runs_at
from gitml.registry.checking.known import Known
from gitml.registry.tags import VersionTag, parse_tag
from gitml.tracking.place import Place


def find(place: Place, base: str, name: str, progress: Progress | None = None) -> Known:
    """The version that is called `NAME@vX.Y.Z`, as its tag at the remote and its run have it.

    `base` is the commit that says where runs are. Raises UsageError for another name, FormatError
    when there is no such tag, or the run does not bear it out.
    """
    tag = parse_tag(name)
    if not isinstance(tag, VersionTag):
        raise UsageError(f"{shown(name)} is no version; write churn@v1.0.0")
    remote = runs_at(place, base)
    wanted = [(tag.name, tag.version)]
    problems = known.fetch(place, remote, wanted, progress)
    found, more = known.read(place, wanted)
    for problem in (*problems, *more):
        raise FormatError(problem.message)
    return found[tag.name, tag.version]
