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

from gitml.errors import StorageError, shown

# A file system without locks (some network mounts): callers then rely on compare-and-swap.
_UNSUPPORTED = {
    getattr(errno, name)
    for name in ("ENOLCK", "ENOSYS", "EOPNOTSUPP", "ENOTSUP")
    if hasattr(errno, name)
}

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def acquire(path: Path) -> int | None:
    """Lock the file `path`, made if need be, without waiting: a descriptor that holds the lock.

    None when another process holds it. Close the descriptor to let go. On a file system that
    has no locks the descriptor is returned all the same.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(descriptor)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return descriptor
        os.close(descriptor)
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return None
        raise
    return descriptor


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock on `path`."""
    if not path.exists():
        return False
    try:
        descriptor = acquire(path)
    except OSError:
        return False
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


@contextlib.contextmanager
def held(path: Path, seconds: float = 60.0) -> Iterator[None]:
    """Hold the lock on `path` for the length of a block, waiting up to `seconds` for it."""
    descriptor = _wait(path, seconds)
    try:
        yield
    finally:
        os.close(descriptor)


def _wait(path: Path, seconds: float) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds
    pause = 0.0005
    while (descriptor := acquire(path)) is None:
        if time.monotonic() > deadline:
            raise StorageError(
                f"another gitml process has held {shown(str(path))} for {seconds:.0f} s;"
                " wait for it or end it"
            )
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(pause * 1.5, 0.01)
    return descriptor
