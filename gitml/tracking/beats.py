"""The background thread of a process: what it has to bring to the disk, and that it lives."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from typing import Protocol

from gitml.errors import StorageError

SYNC_SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0


class Beating(Protocol):
    """What is looked after, for as long as somebody else has it."""

    @property
    def is_closed(self) -> bool:
        """Whether there will be nothing more to do."""

    @property
    def is_due(self) -> bool:
        """Whether there is something to do now."""

    def beat(self) -> None:
        """Do it; OSError or StorageError when that is impossible."""


class _Beats:
    def __init__(self) -> None:
        self._watched: weakref.WeakSet[Beating] = weakref.WeakSet()
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, one: Beating) -> None:
        with self._mutex:
            self._watched.add(one)
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="gitml-sync", daemon=True)
                with contextlib.suppress(RuntimeError):  # no more threads, or the end is near
                    thread.start()
                    self._thread = thread

    def _run(self) -> None:
        wait, elapsed = threading.Event(), 0.0
        while True:
            wait.wait(SYNC_SECONDS)
            elapsed += SYNC_SECONDS
            with self._mutex:
                watched = [one for one in self._watched if not one.is_closed]
                if not watched:
                    self._thread = None
                    return
            due = elapsed >= HEARTBEAT_SECONDS
            elapsed = 0.0 if due else elapsed
            for one in watched:
                if due or one.is_due:
                    _quietly(one)
            del watched


def _quietly(one: Beating) -> None:
    try:
        one.beat()
    except (OSError, StorageError):
        pass  # the next call or the end of the run says so where the user can see it


_beats = _Beats()


def watch(one: Beating) -> None:
    """Call `one.beat` about every second when it is due, else every 15, until it is closed."""
    _beats.watch(one)


def _after_fork() -> None:
    global _beats
    _beats = _Beats()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
