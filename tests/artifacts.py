"""What the storage tests share: artifacts in a cache, and the stock DVC command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from gitml.files import copy_hashed
from gitml.storage import Cache, Pointer

MODEL = {"model.bin": b"\0weights\xff" * 50, "conf/MLmodel": b"flavors: {}\n", "empty": b""}


def store_file(cache: Cache, folder: Path, data: bytes) -> Pointer:
    """Record `data` as a file artifact; `folder` is for drafts."""
    source = folder / os.urandom(8).hex()
    source.write_bytes(data)
    staged = cache.temporary()
    digest = copy_hashed(source, staged)
    cache.add_file(staged, digest.md5)
    source.unlink()
    return Pointer(digest.md5, digest.size)


def store_folder(cache: Cache, folder: Path, files: Mapping[str, bytes]) -> Pointer:
    """Record a folder with the files `files` (path to content); `folder` is for drafts."""
    parts = {path: store_file(cache, folder, data) for path, data in files.items()}
    return cache.add_tree((path, part.md5, part.size) for path, part in parts.items())


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files below `folder`: path to content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def objects_in(folder: Path) -> set[str]:
    """The ids of the objects in a cache or directory remote, taken from the names of its files."""
    found = (folder / "files" / "md5").glob("[0-9a-f][0-9a-f]/*")
    return {path.parent.name + path.name for path in found}


def overwrite(path: Path, data: bytes) -> None:
    """Put other bytes into a read-only file, which is as read-only as before."""
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)


def dvc(folder: Path, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the stock `dvc` command in `folder`."""
    done = subprocess.run(
        (sys.executable, "-m", "dvc", *args),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, f"dvc {' '.join(args)}: {done.stderr}"
    return done
