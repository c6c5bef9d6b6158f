"""Making a tag of the registry, and creating it: at the remote first, then here, never moved."""

from __future__ import annotations

import time

from gitml import faults, git
from gitml.config import Ledger as LedgerSettings
from gitml.errors import GitError, shown
from gitml.git import Progress
from gitml.tracking import exchange, refusals
from gitml.tracking.place import Place
from gitml.tracking.starting import identity

_PATIENCE = 2.0  # seconds for a ref that another process is writing
_DAY = 86_400  # seconds
_TAKEN = "already exists"  # in git's words for a tag that the remote has


class RefusedError(GitError):
    """The remote takes no such tag of this user; `why` says so in its words, with a cure."""

    def __init__(self, tag: str, why: str) -> None:
        super().__init__(f"the remote refuses the tag {shown(tag)}: {why}")
        self.why = why


def remote(place: Place) -> str | None:
    """The registry's remote, through which versions are shared; None where there are no remotes."""
    named = place.settings.ledger.remote
    if named == LedgerSettings().remote and not git.text(place.repo, "remote"):
        return None
    return exchange.remote_name(place)


def check_answer(place: Place, seconds: float) -> None:
    """Raise GitError when the registry's remote does not answer in so many seconds."""
    if (name := remote(place)) is not None:
        git.remote_refs(place.repo, name, place.ledger.ref, seconds=seconds)


def who(place: Place) -> tuple[str, str]:
    """The name and address of whoever makes a tag."""
    found = identity(git.settings(place.repo))
    return found.name, found.email


def make(place: Place, tag: str, commit: str, message: str, last: int) -> str:
    """The id of a new tag object, dated after `last`, in ms since the epoch; no ref names it.

    A `last` that is more than a day ahead is no date to follow: verifying tells of it.
    """
    now = int(time.time())
    when = max(now, last // 1000 + 1) if last // 1000 <= now + _DAY else now
    return git.make_tag(place.repo, tag, commit, message, who(place), when)


def create(
    place: Place, remote: str | None, tag: str, id: str, progress: Progress | None = None
) -> bool:
    """Create the tag at the remote, then here; False when somebody else was faster.

    Somebody may have made the same tag in the same second: it is his. Raises RefusedError when the
    remote does not take it, and GitError when it can't be reached.
    """
    ref = f"refs/tags/{tag}"
    faults.hit("register.tag")
    if remote is None:
        return _create_here(place, ref, id)
    outcome = git.push(place.repo, remote, [f"{id}:{ref}"], progress)[0]
    if not outcome.accepted and not outcome.raced and _TAKEN not in outcome.reason:
        raise RefusedError(tag, refusals.reason(outcome.reason, f"the tag {tag}"))
    faults.hit("register.ref")
    if outcome.created:
        _create_here(place, ref, id)  # unless a pull was faster
    return outcome.created


def _create_here(place: Place, ref: str, id: str) -> bool:
    """Create a ref; False when it is there. Another process may hold it for a moment."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            git.update_refs(place.repo, [f"create {ref} {id}"])
            return True
        except GitError:
            if git.resolve(place.repo, ref) is not None:
                return False
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def removal(tag: str, remote: str | None) -> str:
    """The commands that take a tag away, at the remote too, for whoever may decide that."""
    here = f"git tag --delete {tag}"
    return f"git push {remote} :refs/tags/{tag}; {here}" if remote else here
