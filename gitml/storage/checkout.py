"""From the cache into a folder of the user's: verified, all at once, and theirs to edit."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gitml.errors import StorageError, UsageError, shown
from gitml.files import copy_hashed, disk, shown_path
from gitml.storage.cache import Cache, lacking
from gitml.storage.pointer import Pointer
from gitml.storage.transfer import selected


def materialize(
    cache: Cache,
    pointer: Pointer,
    target: Path,
    only: Iterable[str] | None = None,
    sha256: Mapping[str, str] | None = None,
) -> None:
    """Write what `pointer` names to the path `target`, which appears whole or not at all.

    Its objects must be in the cache. The copies share blocks with the cache where the file system
    can, and may be edited. A file replaces a file; a folder needs a path that is free or an empty
    folder. `only` are the paths in the folder, of files or of folders, to confine it to. `sha256`
    maps a file's path in the folder (of a single file: "") to the digest that it must have.
    Raises `UsageError` when something else is at `target`, and `StorageError` when an object is
    not in the cache, is damaged or has another sha256.
    """
    digests = sha256 or {}
    with _workshop(target, folder=pointer.is_dir) as workshop:
        made = workshop / "made"
        if not pointer.is_dir:
            _write(cache, pointer.md5, made, digests.get(""))
            _check_free(target, folder=False)
            made.replace(target)
            return
        entries = cache.manifest(pointer.md5)
        made.mkdir()
        for relpath, md5 in entries if only is None else selected(entries, only):
            path = made.joinpath(*relpath.split("/"))
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(cache, md5, path, digests.get(relpath))
        _check_free(target, folder=True)
        if target.is_dir():
            target.rmdir()
        made.rename(target)


def _write(cache: Cache, md5: str, path: Path, sha256: str | None) -> None:
    if not cache.has(md5):
        raise lacking(md5)
    digest = copy_hashed(cache.path(md5), path)
    if digest.md5 != md5:
        raise cache.damaged(md5)
    if sha256 not in (None, digest.sha256):
        raise StorageError(
            f"the object {md5} has the sha256 {digest.sha256}, but {sha256} was recorded for"
            f" {shown(path.name)}: it is not what the run logged"
        )


def _check_free(target: Path, *, folder: bool) -> None:
    """Refuse to replace what is not ours to replace."""
    if target.is_symlink():
        raise UsageError(f"{shown_path(target)} is a symbolic link; name another place")
    if target.is_dir():
        if not folder:
            raise UsageError(f"{shown_path(target)} is a folder; name the file in it")
        if any(target.iterdir()):
            raise UsageError(f"the folder {shown_path(target)} is not empty; name another place")
    elif folder and target.exists():
        raise UsageError(f"{shown_path(target)} is a file; name another place")


@contextlib.contextmanager
def _workshop(target: Path, *, folder: bool) -> Iterator[Path]:
    """A new folder beside `target` that nobody else can look or write into."""
    import shutil  # the recording path, which imports this module too, does without

    _check_free(target, folder=folder)
    workshop = target.parent / f".{target.name[:100]}.{os.urandom(4).hex()}.tmp"
    with disk(f"write {shown_path(target)}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        workshop.mkdir(mode=0o700)
        try:
            yield workshop
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
