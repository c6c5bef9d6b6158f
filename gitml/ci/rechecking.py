"""Checks of open merge requests that would come out otherwise by now, started again.

GitLab starts no pipeline when somebody approves or takes that back, when CI has measured what a
gate asks for, or when another promotion has changed what `current.` means. So a job of the main
branch judges each open request as its check would, and has that made again where it said another
thing. The check itself stays the one that decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gitml import forge
from gitml.errors import GitmlError, UsageError
from gitml.forge import pipelines
from gitml.forge.finding import address_of
from gitml.forge.gitlab import GitLab
from gitml.forge.pipelines import Request
from gitml.git import Progress
from gitml.registry import checking, main_branch
from gitml.registry.checking import approving
from gitml.registry.checking.ground import commit_of
from gitml.tracking.place import Place

JOB = "gitml-check"
_PASSED, _FAILED = "success", "failed"
_GOES_ON = (
    "created", "waiting_for_resource", "preparing", "pending", "running", "scheduled", "canceling",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rechecked:
    """A merge request whose check was started again, and whether it would pass now.

    With a `problem` it could not be judged, or its check not be started.
    """

    number: int
    passes: bool = False
    problem: str = ""


def recheck(
    place: Place, base: str, branch: str, progress: Progress | None = None
) -> Iterator[Rechecked]:
    """Start the checks again of requests for `branch`, the short name of what `base` is.

    Raises ForgeError where they can't be listed, and UsageError where the forge is not GitLab.
    """
    remote = main_branch.remote(place)
    client = None if remote is None else forge.forge_of(address_of(place.repo, remote))
    if not isinstance(client, GitLab):
        raise UsageError("only GitLab can be asked to check again, with a token for its API")
    for asked in pipelines.requests(client, branch):
        try:
            passes = _again(place, client, base, asked, progress)
        except GitmlError as error:  # of this one: others are to be checked all the same
            yield Rechecked(asked.number, problem=str(error))
            continue
        if passes is not None:
            yield Rechecked(asked.number, passes)


def _again(
    place: Place, client: GitLab, base: str, asked: Request, progress: Progress | None
) -> bool | None:
    """Start the check of a request where it is due, and whether it would pass; else None."""
    said = pipelines.outcome(client, asked, JOB)
    if said in _GOES_ON:
        return None
    found = _judged(place, base, asked, progress)
    if found is None and said is None:
        return None  # it has nothing to do with models, and no check
    passes = found is not False
    if said == (_PASSED if passes else _FAILED):
        return None
    pipelines.start(client, asked)
    return passes


def _judged(place: Place, base: str, asked: Request, progress: Progress | None) -> bool | None:
    """Whether a request would pass; None where there is nothing to judge."""
    commit = commit_of(place, asked.commit)
    approvals, _ = approving.approved(place, asked.number, commit)
    found = checking.check(place, base, commit, approvals=approvals, progress=progress)
    return None if found.is_empty else found.passed
