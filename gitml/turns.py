"""Turns: a lock on a file that goes to whoever has waited for it longest.

The system gives a lock to anybody who asks at the right moment, and who is unlucky waits for ever.
So those who wait stand in a line: a folder beside the lock, in which each holds a file of his own
whose name tells when he came. He asks for the lock only when nobody stands before him.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from gitml import files, locks

_PAUSE, _LONGEST_PAUSE = 0.001, 0.2


@contextlib.contextmanager
def held(path: Path, seconds: float = 60.0) -> Iterator[None]:
    """Hold the lock on `path` for the length of a block, waiting up to `seconds` for one's turn.

    Raises StorageError when that is not enough.
    """
    files.make_folder(path.parent)
    descriptor = _wait(path, seconds)
    try:
        yield
    finally:
        locks.release(descriptor)


def _wait(path: Path, seconds: float) -> int:
    line = path.with_suffix(".line")
    if not _standing(line) and (descriptor := locks.acquire(path)) is not None:
        return descriptor
    deadline = time.monotonic() + seconds
    with _place(line) as mine:
        ahead = int(mine is not None)
        while True:
            ahead = ahead and _ahead(line, str(mine))  # who is first stays so
            if not ahead and (descriptor := locks.acquire(path)) is not None:
                return descriptor
            if time.monotonic() > deadline:
                raise locks.taken_error(path, seconds)
            pause = min(_PAUSE * (1 + 6 * ahead), _LONGEST_PAUSE)
            time.sleep(pause * random.uniform(0.5, 1.5))


@contextlib.contextmanager
def _place(line: Path) -> Iterator[str | None]:
    """Stand at the end of a line; None where the disk does not let anybody stand."""
    name = f"{time.time_ns():020}-{os.getpid()}-{secrets.token_hex(4)}"
    descriptor = None
    with contextlib.suppress(OSError):
        files.make_folder(line)
        while (descriptor := locks.acquire(line / name)) is None:  # somebody looks at it
            time.sleep(_PAUSE)
    if descriptor is None:
        yield None
        return
    try:
        yield name
    finally:
        locks.release(descriptor)
        _leave(line / name)


def _ahead(line: Path, mine: str) -> int:
    """How many stand before one; whoever died right before him is taken out of the line."""
    before = [name for name in _standing(line) if name < mine]
    while before and not locks.is_held(line / before[-1]):
        _leave(line / before.pop())
    return len(before)


def _standing(line: Path) -> list[str]:
    try:
        return sorted(os.listdir(line))
    except OSError:
        return []


def _leave(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink()
