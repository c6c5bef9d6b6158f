"""Whole files: digests, and copies that stay what they were when they were taken.

A copy shares its blocks with the source where the file system can (reflink) and is never a
hard link: writing into the source later must not change the copy.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, Protocol

from gitml.errors import StorageError, UsageError, shown

_CHUNK = 1 << 20
_SHOWN = 78  # characters of a path in a message, which has quotes around it

# What a disk that is full says, and what to do about it.
_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f)",
}
if hasattr(errno, "EDQUOT"):
    _REMEDIES[errno.EDQUOT] = "free some of your quota"


class Digest(NamedTuple):
    """The digests of a file's bytes (hex) and how many bytes they are."""

    md5: str
    sha256: str
    size: int


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, empty at the end."""


def hash_file(path: Path) -> Digest:
    """The digests of the file `path`, read once.

    A symbolic link is followed. Raises `UsageError` when it is no regular file, and
    `StorageError` when it can't be read or changes meanwhile.
    """
    with disk(f"read {shown_path(path)}"):
        return _twice(path, None)


def copy_hashed(source: Path, target: Path) -> Digest:
    """Copy the file `source` to the new path `target`; the digests of the copy, read once.

    A symbolic link is followed. The copy is not yet synced to the disk. Raises `UsageError` when
    `source` is no regular file, and `StorageError` when the disk refuses, when `target` exists, or
    when `source` changes while it is read, twice; then nothing is left behind.
    """
    with disk(f"copy {shown_path(source)} to {shown_path(target)}"):
        return _twice(source, target)


def write_hashed(stream: Readable, target: Path) -> Digest:
    """Write what is left to read of `stream` to the new path `target`; its digests.

    It is not yet synced to the disk. Raises OSError; then nothing is left behind.
    """
    md5, sha256, total = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    with _undone(target), target.open("xb") as file:
        while part := stream.read(_CHUNK):
            md5.update(part)
            sha256.update(part)
            file.write(part)
            total += len(part)
    return Digest(md5.hexdigest(), sha256.hexdigest(), total)


def copy(source: Path, target: Path) -> None:
    """Copy the file `source` to the new path `target`, without hashing; raises OSError."""
    with source.open("rb", buffering=0) as file:
        copy_opened(file, target)


def copy_opened(file: BinaryIO | FileIO, target: Path) -> None:
    """Copy an open file, from which nothing was read, to the new path `target`; raises OSError."""
    with _undone(target):
        if not _reflinked(file.fileno(), target):
            with target.open("xb") as copied:
                while part := file.read(_CHUNK):
                    copied.write(part)


def folder_below(top: Path, path: str | PurePosixPath) -> Path:
    """Make the folder `path` below `top`, so that it is there and not elsewhere.

    What a stranger names is only ever written into such a folder. UsageError when a part of `path`
    is a symbolic link, which may lead anywhere, or a file.
    """
    top.mkdir(parents=True, exist_ok=True)
    folder, parts = top, PurePosixPath(path).parts
    if ".." in parts or PurePosixPath(path).is_absolute():
        raise UsageError(f"{shown(str(path))} leads out of {shown_path(top)}")
    for part in parts:
        folder = folder / part
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        if not stat.S_ISDIR(folder.lstat().st_mode):
            kind = "a symbolic link" if folder.is_symlink() else "a file"
            raise UsageError(f"{shown_path(folder)} is {kind}, not a folder to write into")
    return folder


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each as open as the one that it is in; raises OSError.

    So what is gitml's in a repository is its group's, too, where git makes that so
    (core.sharedRepository).
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        share(folder)


def share(path: Path) -> None:
    """Open a new file or folder to its group, where that may write into the folder around it."""
    with contextlib.suppress(OSError):  # it is somebody else's, who has done it
        above, mode = path.parent.stat().st_mode, path.stat().st_mode
        is_shared = above & stat.S_IWGRP and not above & stat.S_ISVTX  # else it is /tmp
        wanted = mode | (stat.S_IRWXG if stat.S_ISDIR(mode) else stat.S_IRGRP | stat.S_IWGRP)
        if is_shared and wanted != mode:
            path.chmod(stat.S_IMODE(wanted))


def is_strange(path: Path) -> bool:
    """Whether at `path` is a link, a pipe or a device: nothing that gitml makes for itself."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False  # nobody can tell, or it has just gone
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def work_tree_of(path: Path) -> Path | None:
    """The top of the git work tree that holds `path`, links followed; None outside of any.

    The repository's own folder counts as a part of it. What lies there may have come with a clone.
    """
    place = Path(os.path.realpath(path))
    for folder in place.parents:
        if os.path.lexists(folder / ".git"):
            return folder
    return None


def sync(path: Path) -> None:
    """Wait until the bytes of a file, or the names in a folder, are on the disk; raises OSError."""
    windows = sys.platform == "win32"
    if windows and path.is_dir():
        return  # Windows can't open a folder, and writes its names through
    descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
            raise
    finally:
        os.close(descriptor)


def sync_all(paths: Sequence[Path]) -> None:
    """Wait until many files and folders are on the disk, as `sync` does; raises OSError.

    The disk writes what is asked of it at the same time together, in a fraction of the time.
    """
    if len(paths) <= _AT_ONCE:
        return _sync_each(paths)
    parts = [paths[first::_AT_ONCE] for first in range(_AT_ONCE)]
    try:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(_sync_each, parts):
                pass
    except RuntimeError:  # at the end of the process no thread can be started
        _sync_each(paths)


def _sync_each(paths: Sequence[Path]) -> None:
    for path in paths:
        sync(path)


_AT_ONCE = 16


def is_read_only(path: Path) -> bool:
    """Whether the file system of `path` is mounted so that nobody can write to it."""
    if not hasattr(os, "statvfs"):
        return False
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def shown_path(path: Path) -> str:
    """`path` as it may appear in a message: of a long one, the end."""
    text = str(path)
    return shown(text if len(text) <= _SHOWN else "…" + text[1 - _SHOWN :])


@contextlib.contextmanager
def disk(action: str) -> Iterator[None]:
    """Turn an OSError in the block into a `StorageError`: can't `action`, and the cause."""
    try:
        yield
    except OSError as error:
        advice = remedy(error)
        said = f"{error.strerror or error}{advice and '; '}{advice}"
        raise StorageError(f"can't {action}: {said}") from error


def remedy(error: BaseException | None) -> str:
    """What to do about a full disk, a used-up quota or a limit; empty for any other error."""
    return _REMEDIES.get(error.errno or 0, "") if isinstance(error, OSError) else ""


# -- reading -------------------------------------------------------------------------------

_READ = os.O_RDONLY
for _flag in ("O_BINARY", "O_CLOEXEC", "O_NONBLOCK"):  # a pipe that nobody writes must not hang
    _READ |= getattr(os, _flag, 0)


def _twice(source: Path, target: Path | None) -> Digest:
    """Hash, and copy if there is a target; once more when the source has changed meanwhile."""
    for _ in range(2):
        with _opened(source) as file:
            before = os.fstat(file.fileno())
            digest = _copied(file, target) if target else _digest(file, None)
            if _version(os.fstat(file.fileno())) == _version(before):
                return digest
        if target:
            target.unlink()
    raise StorageError(f"{shown_path(source)} changes while it is read; log it when it is complete")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[FileIO]:
    try:
        _check_regular(path, path.stat())  # before it is opened: that alone can move a device
        descriptor = os.open(path, _READ)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"there is no file {shown_path(path)}") from None
    with FileIO(descriptor) as file:
        _check_regular(path, os.fstat(descriptor))
        yield file


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, a socket or a device"
        raise UsageError(f"{shown_path(path)} is {kind}; give a regular file")


def _version(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _digest(file: FileIO, copied: BinaryIO | None) -> Digest:
    """The digests of the rest of `file`, which is written to `copied` on the way."""
    md5, sha256, total = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    room = max(0, os.fstat(file.fileno()).st_size)
    buffer = memoryview(bytearray(min(room + 1, _CHUNK)))
    while count := file.readinto(buffer):
        part = buffer[:count]
        md5.update(part)
        sha256.update(part)
        if copied is not None:
            copied.write(part)
        total += count
    return Digest(md5.hexdigest(), sha256.hexdigest(), total)


def _copied(file: FileIO, target: Path) -> Digest:
    with _undone(target):
        if _reflinked(file.fileno(), target):
            with FileIO(target) as clone:  # what is stored, whatever becomes of the source
                return _digest(clone, None)
        _check_room(file, target.parent)
        with target.open("xb") as copied:
            return _digest(file, copied)


def _check_room(file: FileIO, folder: Path) -> None:
    """Refuse a file that the disk has no room for, as a sparse one may be, before it is full."""
    size = os.fstat(file.fileno()).st_size
    if size > _CHUNK and size > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def _undone(target: Path) -> Iterator[None]:
    """Remove the new file `target` when the block fails; a file that was there before stays."""
    try:
        yield
    except FileExistsError:
        raise
    except BaseException:
        target.unlink(missing_ok=True)
        raise


# -- reflinks ------------------------------------------------------------------------------

if sys.platform == "linux":
    import fcntl

    _FICLONE = getattr(fcntl, "FICLONE", 0x40049409)

    def _reflinked(source: int, target: Path) -> bool:
        """Whether the new file `target` now shares the blocks of the descriptor `source`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(target, flags, 0o666)
        try:
            fcntl.ioctl(descriptor, _FICLONE, source)
        except OSError:
            target.unlink()
            return False
        finally:
            os.close(descriptor)
        return True

elif sys.platform == "darwin":

    def _reflinked(source: int, target: Path) -> bool:
        """Whether the new file `target` now shares the blocks of the descriptor `source`."""
        import ctypes

        here = -2  # AT_FDCWD: a relative target is relative to the working directory
        clone = getattr(ctypes.CDLL(None), "fclonefileat", None)
        if clone is None or clone(source, here, os.fsencode(target), 0):
            return False
        target.chmod(0o644)  # a clone has the permissions of its source, perhaps read-only
        return True

else:

    def _reflinked(source: int, target: Path) -> bool:
        """Whether the new file `target` now shares the blocks of the descriptor `source`."""
        return False
