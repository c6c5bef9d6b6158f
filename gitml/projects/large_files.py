"""The files of Git LFS in a work tree where a commit is to run, as far as they are here.

A pointer names its content by sha256; git-lfs keeps that below `lfs/objects` in the git folder.
Nothing is fetched, and no filter runs.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from gitml import git
from gitml.errors import StorageError, shown
from gitml.files import copy_hashed, disk

_POINTER = re.compile(rb"^oid sha256:([0-9a-f]{64})$", re.MULTILINE)
_LINE = "^oid sha256:[0-9a-f]{64}$"
_LONGEST = 1024  # bytes of a pointer, by its specification


def pointers(repo: git.Repository) -> dict[Path, str]:
    """The files of a work tree that are pointers, and the sha256 of what belongs there.

    They are looked for where the commit's attributes name Git LFS.
    """
    names = (".gitattributes", "*/.gitattributes")
    if not git.succeeds(repo, "grep", "-q", "-e", "filter=lfs", "HEAD", "--", *names):
        return {}
    listed = git.attempt(repo, "grep", "-l", "-z", "-I", "-E", "-e", _LINE, "HEAD").stdout
    files = (os.fsdecode(name).partition(":")[2] for name in listed.split(b"\0") if name)
    found = {}
    for path in sorted(repo.place / name for name in files):
        is_short = path.is_file() and path.stat().st_size <= _LONGEST
        if is_short and (pointer := _POINTER.search(path.read_bytes())):
            found[path] = pointer[1].decode()
    return found


def fill(repo: git.Repository) -> None:
    """Put the content that is here in the place of its pointers. Raises StorageError."""
    for path, sha256 in pointers(repo).items():
        stored = repo.common_dir / "lfs" / "objects" / sha256[:2] / sha256[2:4] / sha256
        if stored.is_file():
            draft = path.with_name(f".{sha256}.part")
            with disk(f"write {path.name}"):
                digest = copy_hashed(stored, draft)
            if digest.sha256 != sha256:
                raise StorageError(f"what Git LFS keeps for {shown(path.name)} is damaged")
            draft.replace(path)
