"""One run of a remote's ledger, looked up there: the ledger itself, which may be large, stays.

Of a hundred thousand runs that costs the folders on the way to the one, some requests in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gitml import git
from gitml.errors import FormatError, UsageError
from gitml.git import Apart
from gitml.tracking.names import run_path

_DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class There:
    """A run as a ledger has it now: what is in its folder, by name, with the ids, and its record.

    `tree` is the id of the folder, `record` the bytes of its run.json.
    """

    tree: str
    files: dict[str, str]
    record: bytes


def look_up(repo: git.Repository, remote: str, ref: str, run_id: str) -> There | None:
    """The run in the ledger `ref` of a remote; None when it has none, or it was deleted for good.

    GitError when the remote can't be read.
    """
    try:
        days = run_path("x", run_id).split("/")[2:]
    except (UsageError, FormatError, ValueError):
        return None
    with git.apart(repo, remote) as there:
        top = there.tip(ref)
        if top is None:
            return None
        (root,) = there.folders([top])
        if _DELETED in root and run_id in there.folders([root[_DELETED]])[0]:
            return None
        found = _found(there, [root["runs"]] if "runs" in root else [], days)
        if found is None:
            return None
        (files,) = there.folders([found])
        return There(found, files, there.read(files["run.json"])) if "run.json" in files else None


def _found(there: Apart, runs: Sequence[str], days: Sequence[str]) -> str | None:
    """The folder of a run, in whichever experiment it is: the id tells the day."""
    level = [id for folder in there.folders(runs) for id in folder.values()]
    for part in days:
        level = [id for it in there.folders(level) if (id := it.get(part)) is not None]
    return level[0] if level else None
