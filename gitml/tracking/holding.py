"""Live refs: they keep the snapshots of live runs from `git gc`, until the runs are recorded."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

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
    """The live refs of runs that are not live; a new one may be of a run that is just starting."""
    names = (ref.name.removeprefix(LIVE_REFS) for ref in git.refs(repo, LIVE_REFS))
    return [LIVE_REFS + name for name in names if _is_past(name) and not is_live(name[:32])]


def _is_past(name: str) -> bool:
    run_id, _, resumed = name.partition("-")
    try:
        begun = int(resumed.partition("-")[0], 16) if resumed else int(run_id[:12], 16) / 1000
    except ValueError:
        return False
    return is_run_id(run_id) and abs(time.time() - begun) > _ORPHAN_SECONDS


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
