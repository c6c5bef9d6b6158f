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
from gitml.errors import UsageError
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
    """A merge request whose check was started again, and whether it would pass now."""

    number: int
    passes: bool


def recheck(
    place: Place, base: str, branch: str, progress: Progress | None = None
) -> Iterator[Rechecked]:
    """Start the checks again of requests for `branch`, the short name of what `base` is.

    Raises as `checking.check`, and ForgeError; UsageError where the forge is not GitLab, which
    starts checks by no event of this kind.
    """
    remote = main_branch.remote(place)
    client = None if remote is None else forge.forge_of(address_of(place.repo, remote))
    if not isinstance(client, GitLab):
        raise UsageError("only GitLab can be asked to check again, with a token for its API")
    for asked in pipelines.requests(client, branch):
        said = pipelines.outcome(client, asked, JOB)
        if said in _GOES_ON:
            continue
        found = _judged(place, base, asked, progress)
        if found is None and said is None:
            continue  # it has nothing to do with models, and no check
        if said != (_FAILED if found is False else _PASSED):
            pipelines.start(client, asked)
            yield Rechecked(asked.number, found is not False)


def _judged(place: Place, base: str, asked: Request, progress: Progress | None) -> bool | None:
    """Whether a request would pass; None where there is nothing to judge."""
    commit = commit_of(place, asked.commit)
    approvals, _ = approving.approved(place, asked.number, commit)
    found = checking.check(place, base, commit, approvals=approvals, progress=progress)
    return None if found.is_empty else found.passed
