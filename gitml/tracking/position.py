"""Where a ledger stands: the commit that the next record continues.

To look takes git some processes. So whoever has moved a ledger notes where he left it, in the file
`position` of gitml's folder, and the next one believes the note as long as the branch agrees.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gitml import files, git
from gitml.errors import GitError
from gitml.tracking import conditions


class Position(NamedTuple):
    """The newest ledger commit and its date in seconds; None before the first.

    `local` is what the local branch holds; it differs from `commit` in a plain clone.
    """

    commit: str | None
    time: int
    local: str | None


def look(
    repo: git.Repository,
    ref: str,
    tracking: str,
    is_shared: Callable[[], bool],
    *,
    checked: bool = False,
) -> Position:
    """Where the ledger of the branch `ref` is now; if `checked`, InTheWayError when it is none.

    `tracking` is the branch that tracks it, with which a plain clone begins if it `is_shared`.
    """
    if checked and (seen := conditions.look_at_ledger(repo, ref, ref)):
        return Position(*seen, seen[0])
    found = _look_by_name(repo, ref, tracking, is_shared)
    if checked:
        conditions.check_ledger(repo, ref, found.commit)
    return found


def _look_by_name(
    repo: git.Repository, ref: str, tracking: str, is_shared: Callable[[], bool]
) -> Position:
    done = git.attempt(repo, "log", "-1", "--format=%H %ct", ref, "--")
    if done.returncode == 0:
        commit, date = done.stdout.decode().split()
        return Position(commit, int(date), commit)
    refs = {one.name: one.id for one in git.refs(repo, ref, tracking)}
    if ref in refs:
        raise GitError("the ledger's newest commit can't be read; run: gitml doctor")
    # That of another remote, such as a fork, is not what this repository goes on with.
    own = refs.get(tracking)
    if own is None or not is_shared():
        return Position(None, 0, None)
    return Position(own, int(git.text(repo, "log", "-1", "--format=%ct", own)), None)


def noted(repo: git.Repository, ref: str) -> Position | None:
    """Where the ledger was left last, if nobody has moved it since; to be asked under its lock."""
    with contextlib.suppress(OSError, ValueError):
        name, commit, date = _note(repo).read_text("utf-8").split(" ")
        is_whole = name == ref and date.endswith("\n")
        if is_whole and (repo.common_dir / ref).read_text("ascii").strip() == commit:
            return Position(commit, int(date), commit)
    return None


def note(repo: git.Repository, ref: str, commit: str, time: int) -> None:
    """Note where the ledger was left, a commit that is known to be one; under its lock."""
    with contextlib.suppress(OSError):
        _note(repo).write_text(f"{ref} {commit} {time}\n", "utf-8")
        files.share(_note(repo))


def _note(repo: git.Repository) -> Path:
    return repo.home / "position"
