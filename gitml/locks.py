"""Exclusive locks on files, which the operating system drops when their holder dies."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gitml import files
from gitml.errors import StorageError

# A file system without locks (some network mounts): callers then rely on compare-and-swap.
_UNSUPPORTED = {
    getattr(errno, name)
    for name in ("ENOLCK", "ENOSYS", "EOPNOTSUPP", "ENOTSUP")
    if hasattr(errno, name)
}

_WINDOWS = sys.platform == "win32"

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, *, shared: bool = False) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        pass  # closing does it, and no other process has the descriptor
else:
    import fcntl

    def _lock(descriptor: int, *, shared: bool = False) -> None:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def acquire(path: Path) -> int | None:
    """Lock the file `path`, made if need be, without waiting: a descriptor that holds the lock.

    None when another process holds it. `release` the descriptor to let go. On a file system that
    has no locks the descriptor is returned all the same.
    """
    while True:
        descriptor = _opened(path)
        mine = False
        try:
            if not _take(descriptor):
                return None
            mine = is_named(descriptor, path)
        finally:
            if not mine:
                os.close(descriptor)
        if mine:
            return descriptor
        # its last holder removed the file: the lock is another file now


def _opened(path: Path) -> int:
    """Open a lock's file, which is made if need be, for all who share the folder that it is in."""
    try:
        return os.open(path, os.O_RDWR)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        files.share(path)
        return descriptor
    except PermissionError:  # it is somebody else's, who shares it now only
        return os.open(path, os.O_RDONLY)


def release(descriptor: int) -> None:
    """Let go of a lock, for a child too that was forked meanwhile and has the descriptor."""
    with contextlib.suppress(OSError):
        _unlock(descriptor)
    os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock on `path`. To look is not to hold it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # it may be a pipe
    except OSError:
        return False
    try:
        return not _take(descriptor, shared=True)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def taken_error(path: Path, seconds: float) -> StorageError:
    """The error of waiting for a lock for so long in vain."""
    return StorageError(
        f"another gitml process has held {files.shown_path(path)} for {seconds:.0f} s;"
        " wait for it or end it"
    )


def is_named(descriptor: int, path: Path) -> bool:
    """Whether `path` is the name of the open file, which nobody has removed or replaced."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return False


@contextlib.contextmanager
def held(path: Path, seconds: float = 60.0, *, remove: bool = False) -> Iterator[None]:
    """Hold the lock on `path` for the length of a block, waiting up to `seconds` for it.

    With `remove`, the file goes with the lock.
    """
    descriptor = _wait(path, seconds)
    try:
        yield
    finally:
        if remove and not _WINDOWS:
            _remove(path)
        release(descriptor)
        if remove and _WINDOWS:  # a file that somebody has open can't be removed there
            _remove(path)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _take(descriptor: int, *, shared: bool = False) -> bool:
    """Whether the lock was to be had; yes where there are no locks."""
    try:
        _lock(descriptor, shared=shared)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        if error.errno not in _UNSUPPORTED:
            raise
    return True


def _wait(path: Path, seconds: float) -> int:
    files.make_folder(path.parent)
    deadline = time.monotonic() + seconds
    pause = 0.0005
    while (descriptor := acquire(path)) is None:
        if time.monotonic() > deadline:
            raise taken_error(path, seconds)
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(pause * 1.5, 0.01)
    return descriptor
