"""Live refs: they keep the snapshots of live runs from `git gc`, until the runs are recorded."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable

from gitml import faults, git
from gitml.errors import GitError
from gitml.tracking import mending
from gitml.tracking.names import is_run_id
from gitml.tracking.snapshot import LIVE_REFS, Snapshot

_ORPHAN_SECONDS = 60.0


def resume_name(run_id: str) -> str:
    """The name of a live ref for a resume; two processes may resume a run at once."""
    return f"{run_id}-{int(time.time()):x}-{secrets.token_hex(4)}"


def orphans(repo: git.Repository, is_live: Callable[[str], bool]) -> list[str]:
    """The live refs of runs that are not live; a new one may be of a run that is just starting.

    `is_live` tells by a run's id.
    """
    return _orphans(_names(repo), is_live)


def superfluous(repo: git.Repository, is_live: Callable[[str], bool]) -> list[str]:
    """The orphans, and the guards of writers whose time is over: gitml's refs in one look."""
    found = [ref.name for ref in git.refs(repo, LIVE_REFS, mending.GUARDS)]
    live = [name.removeprefix(LIVE_REFS) for name in found if name.startswith(LIVE_REFS)]
    return [*_orphans(live, is_live), *mending.past_guards(found)]


def _orphans(names: Iterable[str], is_live: Callable[[str], bool]) -> list[str]:
    return [
        LIVE_REFS + name
        for name in names
        if (run_id := _run_of(name)) is not None and _is_past(name) and not is_live(run_id)
    ]


def strays(repo: git.Repository) -> list[str]:
    """The refs among the live ones that are of no run: gitml made none of them."""
    return [LIVE_REFS + name for name in _names(repo) if _run_of(name) is None]


def _names(repo: git.Repository) -> list[str]:
    return [ref.name.removeprefix(LIVE_REFS) for ref in git.refs(repo, LIVE_REFS)]


def is_of(ref: str, run_id: str) -> bool:
    """Whether a ref may hold a snapshot of the run."""
    return ref.startswith(LIVE_REFS) and _run_of(ref.removeprefix(LIVE_REFS)) == run_id


_NAME = re.compile(r"([0-9a-f]{32})(?:-([0-9a-f]{1,16})-[0-9a-f]+)?")  # see resume_name


def _run_of(name: str) -> str | None:
    found = _NAME.fullmatch(name)
    return found[1] if found and is_run_id(found[1]) else None


def _is_past(name: str) -> bool:
    run_id, _, resumed = name.partition("-")
    begun = int(resumed.partition("-")[0], 16) if resumed else int(run_id[:12], 16) / 1000
    return abs(time.time() - begun) > _ORPHAN_SECONDS


def hold(repo: git.Repository, name: str, snapshot: Snapshot) -> str | None:
    """Keep the snapshot from `git gc` by a ref; its full name, None when there is no commit.

    Raises GitError also when a `git gc --prune=now` has taken a part of it already.
    """
    faults.hit("snapshot.ref")
    if snapshot.live is None:
        return None
    ref = LIVE_REFS + name
    with mending.noted(repo, ref):
        git.update_refs(repo, [f"create {ref} {snapshot.live}"])
    known = (snapshot.commit,) if snapshot.commit else ()
    if snapshot.live not in known and not git.is_whole(repo, snapshot.live, known):
        git.update_refs(repo, [f"delete {ref}"])
        raise GitError("the snapshot was pruned while it was made")
    return ref
