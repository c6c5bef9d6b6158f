"""What one writer of a run writes: its journal, its staged files, and the lock that it holds."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from typing import Any

from gitml import files, locks
from gitml.errors import StorageError, plural, shown
from gitml.tracking import live
from gitml.tracking.journal import Event, Journal
from gitml.tracking.staging import Staging

_TRIES = 100


class Writing:
    """A journal with its staged files and its lock, from the first line to the last.

    At the end the disk may refuse what is held in memory. Then it stays open, and `end` is called
    again until all of it is on the disk, or `give_up` says what is lost.
    """

    def __init__(self, run: live.LiveRun, begin: Mapping[str, Any]) -> None:
        self._run = run
        self._writer = run.new_writer()
        self._lock: int | None = None
        self._ending = threading.Lock()
        self._last: Event | None = None
        self._journal = Journal(self._writer.journal, self._prepare)
        self.append = self._journal.append
        self.staging = Staging(run.files, self._writer.name, self._describe)
        self.append({"begin": begin})

    def _describe(self, file: dict[str, Any], time: int) -> None:
        self._journal.sync_with(self._run.files / file["file"])
        self.append({"artifact": file, "t": time})

    def _prepare(self) -> None:
        """Hold the writer's lock before there is a journal: one without a lock looks abandoned."""
        lock = self._writer.lock
        if self._lock is not None and not locks.is_named(self._lock, lock):
            self._let_go()  # somebody has removed it
        for _ in range(_TRIES):
            if self._lock is None:
                files.make_folder(lock.parent)
                with contextlib.suppress(FileNotFoundError):  # the empty folder was cleaned away
                    self._lock = locks.acquire(lock)  # None while somebody looks at it

    def end(self, event: Event, *, durable: bool = True) -> None:
        """Write the last event after all that was logged, and close; the lock goes.

        It need not be `durable` when the run is recorded next. Raises StorageError as long as the
        disk does not take everything; called again, it goes on from there.
        """
        with self._ending:
            self._last = self._last or event
            self.staging.finish()
            self._journal.end(self._last, durable=durable)
            self._let_go()

    def give_up(self) -> str:
        """Close without what the disk still refuses; what that is in words, empty for nothing."""
        artifacts = self.staging.give_up()
        with self._ending:
            if self._last is not None:
                with contextlib.suppress(StorageError):
                    self._journal.end(self._last)
            words = [plural(self._journal.held, "log call")] if self._journal.held else []
            if artifacts:
                some = ", ".join(shown(path) for path in artifacts[:5])
                words.append(f"{plural(len(artifacts), 'artifact')} ({some})")
            self._journal.abandon()
            self._let_go()
        return " and ".join(words)

    @property
    def was_removed(self) -> bool:
        """Whether somebody removed the journal meanwhile; it was put back."""
        return self._journal.was_removed

    @property
    def is_whole(self) -> bool:
        """Whether all of the journal is written, its end too."""
        return self._last is not None and not self._journal.held

    def abandon(self) -> None:
        """Close what a forked child inherited; its parent still has it."""
        self._journal.abandon()
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _let_go(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            locks.release(lock)
