"""Ledgers that somebody else has written: any path, any bytes, past every check of gitml."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path


def plant(folder: Path, head: str, files: Mapping[bytes, bytes | None]) -> str:
    """A commit on `head` whose tree has these files too, or lacks those that are None."""
    tree = f"{head}^{{tree}}"
    for path, data in files.items():
        tree = _with(folder, tree, path.split(b"/"), data)
    return _git(folder, "commit-tree", tree, "-p", head, "-m", "by hand")


def _with(folder: Path, tree: str, parts: list[bytes], data: bytes | None) -> str:
    entries: dict[bytes, bytes] = {}
    for line in _run(folder, "ls-tree", "-z", tree).split(b"\0") if tree else ():
        meta, _, name = line.partition(b"\t")
        entries[name] = meta
    entries.pop(b"", None)
    name, *rest = parts
    if rest:
        inside = entries.get(name, b"").split(b" ")[-1].decode()
        entries[name] = b"040000 tree " + _with(folder, inside, rest, data).encode()
    elif data is None:
        del entries[name]
    else:
        blob = _run(folder, "hash-object", "-w", "--stdin", data=data).strip()
        entries[name] = b"100644 blob " + blob
    listed = b"".join(b"%b\t%b\0" % (meta, name) for name, meta in entries.items())
    return _run(folder, "mktree", "-z", data=listed).decode().strip()


def _git(folder: Path, *args: str) -> str:
    return _run(folder, *args).decode().strip()


def _run(folder: Path, *args: str, data: bytes = b"") -> bytes:
    command = ("git", *args)
    return subprocess.run(command, cwd=folder, input=data, capture_output=True, check=True).stdout
