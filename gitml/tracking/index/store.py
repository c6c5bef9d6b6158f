"""A connection to the index that mends itself.

A damaged file is made anew; a file that can't be had is done without.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gitml.tracking.index import database

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")


class Store:
    """The index in a file, or in memory when no file will do. `fill` brings it up to date.

    Safe to share between threads, which wait for one another.
    """

    def __init__(self, path: Path | None, fill: Callable[[sqlite3.Connection], None]) -> None:
        self._path = path
        self._fill = fill
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._mended = False
        self._process = os.getpid()
        self._lock = threading.RLock()

    def fill(self) -> None:
        """Bring the index up to date."""
        self._run(lambda connection: None, fill=True)

    def ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` answers; it is asked again after the index had to be made anew."""
        return self._run(work, fill=False)

    def close(self) -> None:
        """Let go of the file; the next question opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        self.close()

    def _run(self, work: Callable[[sqlite3.Connection], T], *, fill: bool) -> T:
        import sqlite3

        self._leave_to_parent()
        with self._lock:
            while True:
                try:
                    if self._connection is None:
                        self._connection = database.connect(self._path)
                        self._file = _identity(self._path)
                        fill = True
                    if fill:
                        self._fill(self._connection)
                    return work(self._connection)
                except sqlite3.DatabaseError as error:
                    if self._path is None:
                        raise
                    self._give_up(self._path, error)

    def _leave_to_parent(self) -> None:
        """In a forked child: open the file anew. SQLite's connections do not survive a fork."""
        if self._process != os.getpid():
            _parents.append(self._connection)  # closing it here would harm the parent
            self._connection, self._process = None, os.getpid()
            self._lock = threading.RLock()

    def _give_up(self, path: Path, error: sqlite3.DatabaseError) -> None:
        """Delete a damaged file, once; the second time, or when it is out of reach, use memory."""
        self.close()
        if database.is_unavailable(error) or self._mended:
            self._path = None
            return
        self._mended = True
        try:
            if self._file in (None, _identity(path)):  # else another process has replaced it
                database.delete(path)
        except OSError:  # Windows deletes no file that somebody has open
            self._path = None


_parents: list[object] = []


def _identity(path: Path | None) -> tuple[int, int] | None:
    try:
        status = path.stat() if path else None
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status else None
