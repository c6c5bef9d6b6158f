"""What `git status` says of a work tree, read from its porcelain format, version 2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Untracked folders come as one entry each; a rename is a removal and an addition.
COMMAND = (
    "status", "--porcelain=v2", "-z", "--branch", "--no-renames", "--no-ahead-behind",
    "--untracked-files=normal", "--ignore-submodules=none",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """A tracked path that differs from HEAD, in the index or in the work tree.

    `path` is as git stores it: bytes, with slashes, relative to the top of the work tree.
    `mode` and `blob` are HEAD's, zeros for a new path; of an unmerged path, our side's.
    """

    path: bytes
    mode: str
    blob: str
    in_work_tree: bool
    unmerged: bool = False
    submodule: str = "N..."  # S, then C: other commit, M: modified, U: untracked files

    @property
    def is_submodule(self) -> bool:
        """Whether the path is another repository."""
        return self.submodule.startswith("S")


@dataclass(frozen=True, slots=True)
class Status:
    """The branch (None when detached), HEAD's commit (None when unborn) and what changed."""

    commit: str | None
    branch: str | None
    changes: tuple[Change, ...]
    untracked: tuple[bytes, ...]


def parse(output: bytes) -> Status:
    """The status that `COMMAND` printed."""
    entries = [entry for entry in output.split(b"\0") if entry]
    headers = dict(entry[2:].decode().split(" ", 1) for entry in entries if entry[:2] == b"# ")
    commit, branch = headers.get("branch.oid"), headers.get("branch.head")
    return Status(
        commit=None if commit in (None, "(initial)") else commit,
        branch=None if branch in (None, "(detached)") else branch,
        changes=tuple(_changes(entries)),
        untracked=tuple(entry[2:] for entry in entries if entry[:2] == b"? "),
    )


def _changes(entries: list[bytes]) -> Iterator[Change]:
    for entry in entries:
        if entry[:2] == b"1 ":
            _, state, submodule, mode, _, _, blob, _, path = entry.split(b" ", 8)
            moved = state[1:] != b"."
            yield Change(path, mode.decode(), blob.decode(), moved, False, submodule.decode())
        elif entry[:2] == b"u ":
            parts = entry.split(b" ", 10)
            ours = parts[4].decode(), parts[8].decode()
            yield Change(parts[10], *ours, True, True, parts[2].decode())
