"""What a killed git leaves: noted before it is started, taken away some time afterwards.

git never takes away a lock that is in its way, nor a mark by which it kept a pack. A note tells
which ones a process of gitml's may have left, and when, so that nobody else's are touched.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from gitml import git, locks
from gitml.errors import GitError

STALE_SECONDS = 10.0  # what is noted takes milliseconds, and waits for a second at most

_KEPT_BY = b"fast-import"  # what git fast-import writes into the mark of a pack that it makes


@contextlib.contextmanager
def noted(repo: git.Repository, *refs: str) -> Iterator[None]:
    """Keep a note, for the length of a block, that git makes a pack or changes `refs` there.

    When the block fails in git, what was left of old notes is taken away, for the next try.
    """
    folder = repo.home / "git"
    note = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
    with contextlib.suppress(OSError):  # then git will say what is wrong
        folder.mkdir(parents=True, exist_ok=True)
        note.write_text("".join(f"{ref}\n" for ref in refs), "utf-8")
    try:
        yield
    except GitError:
        mend(repo)
        raise
    finally:
        with contextlib.suppress(OSError):
            note.unlink()


def mend(repo: git.Repository) -> None:
    """Take away what git left where a note is old: its process was killed."""
    for note in _files(repo.home / "git"):
        with contextlib.suppress(OSError):
            begun = note.stat().st_mtime
            if time.time() - begun > STALE_SECONDS:
                refs = [*note.read_text("utf-8").splitlines(), "packed-refs"]
                for lock in (repo.common_dir / f"{ref}.lock" for ref in refs):
                    _remove(lock, begun)
                for mark in (repo.common_dir / "objects" / "pack").glob("*.keep"):
                    if mark.read_bytes() == _KEPT_BY:
                        _remove(mark, begun)
                note.unlink()


def _files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _remove(path: Path, begun: float) -> None:
    """Remove a file that was made while what was noted at that time could have made it."""
    with contextlib.suppress(FileNotFoundError):
        if -1 <= path.stat().st_mtime - begun <= STALE_SECONDS:
            path.unlink()


def break_old(repo: git.Repository, ref: str) -> None:
    """Take away any old lock of `ref`, which none but gitml has a reason to lock for long."""
    lock = repo.common_dir / f"{ref}.lock"
    with contextlib.suppress(OSError):
        if time.time() - lock.stat().st_mtime > STALE_SECONDS:
            lock.unlink()


def sweep(folder: Path) -> None:
    """Remove the locks in a folder that nobody holds, and that are not those of a folder there."""
    for lock in folder.glob("*.lock"):
        if not lock.with_suffix("").is_dir() and not locks.is_held(lock):
            with contextlib.suppress(OSError):
                lock.unlink()
