"""All branches and tags of all git remotes, held here for as long as they are looked at."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gitml import git
from gitml.errors import GitError, UsageError, shown
from gitml.tracking import exchange
from gitml.tracking.place import Place

REFS = "refs/gitml/gc/"  # by the number of the remote; that of the ledger, if any, is 0


@contextlib.contextmanager
def everything_seen(place: Place, progress: git.Progress | None) -> Iterator[None]:
    """Hold all branches and tags of all git remotes for the length of a block."""
    names = git.text(place.repo, "remote").split()
    if has_git_remote(place):
        names.insert(0, exchange.remote_name(place))
    _forget(place)
    try:
        for number, name in enumerate(dict.fromkeys(names)):
            kinds = [f"+refs/{kind}/*:{REFS}{number}/{kind}/*" for kind in ("heads", "tags")]
            try:
                git.fetch(place.repo, name, kinds, progress)
            except GitError as error:
                raise GitError(
                    f"the git remote {shown(name)} can't be read, and may name objects that would"
                    f" be deleted ({error}); run: git remote remove {name}, if it is gone for ever"
                ) from None
        yield
    finally:
        _forget(place)


def _forget(place: Place) -> None:
    refs = git.refs(place.repo, REFS)
    if refs:
        git.update_refs(place.repo, [f"delete {ref.name}" for ref in refs])


def has_git_remote(place: Place) -> bool:
    """Whether there is a remote with which runs are shared; UsageError for others only."""
    try:
        exchange.remote_name(place)
    except UsageError:
        if git.text(place.repo, "remote"):
            raise
        return False
    return True
