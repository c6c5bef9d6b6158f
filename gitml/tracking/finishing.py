"""Finishing a run: its last line, its record, and what is tried again when the disk refuses.

A run that can't be recorded at its end is not the training's trouble. What is held in memory, and
the record, are tried again in the background for as long as the process lives, and at its exit for
some seconds more; then one line says what could not be kept.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable

from gitml.errors import GitmlError, StorageError
from gitml.tracking import drift, environment, recording, spooling
from gitml.tracking.fold import STARTS
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord
from gitml.tracking.session import Session
from gitml.tracking.spool import Spool, Where

PATIENCE = 5.0  # seconds that the end of a training may wait for its record
_EXIT_SECONDS = 5.0
_SECONDS = 1.0  # for the record when it is tried again
_FIRST_PAUSE, _LAST_PAUSE = 1.0, 15.0


class RecordingWarning(UserWarning):
    """A run could not be recorded now; its journal is kept."""


def finish(
    where: Where, session: Session, record: RunRecord, status: str, reason: str | None = None
) -> None:
    """End a session and record its run; raises GitmlError when the journal had to stay.

    What the disk does not take then is lost.
    """
    ending = Ending(where, session, record, status, reason)
    try:
        ending.attempt(PATIENCE)
    except (GitmlError, OSError):
        ending.give_up()
        raise


class Ending:
    """A session that has ended, and what is left to do until its run is recorded."""

    def __init__(
        self,
        where: Where,
        session: Session,
        record: RunRecord,
        status: str,
        reason: str | None = None,
    ) -> None:
        self.run_id = session.run_id
        self._where, self._run = where, session.run
        self._starts, self._first = session.kind in STARTS, session.kind == "start"
        self._tries, self._was_removed = 0, False
        if self._starts:
            with contextlib.suppress(GitmlError, OSError):  # such as a current folder that is gone
                _note_code(where, session, record)
        self._ended = session.close(status, reason)

    @property
    def is_held(self) -> bool:
        """Whether something of the run is in memory only."""
        return self._ended is not None

    @property
    def has_journal(self) -> bool:
        """Whether what was acknowledged is on the disk still, as far as it can be seen."""
        try:
            return bool(self._run.writers())
        except OSError:
            return True

    def attempt(self, seconds: float) -> None:
        """Write what is held, and record the run; GitmlError or OSError when that can't be now."""
        if self._ended is not None:
            is_recorded_next = self._starts and not isinstance(self._where, Spool)
            writing = self._ended.writing
            writing.end(self._ended.event, durable=not is_recorded_next)
            self._was_removed = writing.was_removed
            self._ended = None
        if isinstance(self._where, Spool):  # it is recorded where the spool is collected
            spooling.ended(self._where, self.run_id)
        else:
            self._record(self._where, seconds)

    def _record(self, place: Place, seconds: float) -> None:
        if not self._starts and not recording.is_dead(self._run):
            return
        if self._tries and not self._run.folder.is_dir():
            return  # somebody else has recorded it
        self._tries += 1
        is_new = self._first and self._tries == 1
        try:
            done = recording.record(
                place, self._run, first=is_new and not self._was_removed, seconds=seconds
            )
        except (GitmlError, OSError):
            self._run.sync()  # the journals are all there is
            raise
        if is_new and not done and place.ledger.find(self.run_id) is None:
            raise StorageError(f"the journal of run {self.run_id} was removed by somebody")

    def give_up(self) -> str:
        """Let go of what the disk refuses; what is lost, in words, empty when nothing is."""
        ended, self._ended = self._ended, None
        if ended is None:
            return ""
        lost = ended.writing.give_up()
        if ended.writing.is_whole:
            with contextlib.suppress(GitmlError, OSError):
                self.attempt(_SECONDS)
        return lost

    def abandon(self) -> None:
        """Close what a forked child inherited; its parent goes on with it."""
        if self._ended is not None:
            self._ended.writing.abandon()


def _note_code(where: Where, session: Session, record: RunRecord) -> None:
    """Say which modules are not what the snapshot holds, and what a notebook executed."""
    tree = session.tree or record.code.tree
    if isinstance(where, Place) and where.code.root is not None and tree is not None:
        now = drift.loaded_files(where.code.root)
        doubtful = [path for path, version in now.items() if session.modules.get(path) != version]
        gone = [path for path in session.modules if path not in now]
        if changed := drift.drifted(where.code, tree, [*doubtful, *gone]):
            session.note({"drift": changed})
    if cells := environment.notebook_cells():
        session.note({"cells": cells})


# -- what was not finished at its end ---------------------------------------------------------


class _Keeper:
    """The endings of a process that did not succeed, and the thread that tries them again."""

    def __init__(self) -> None:
        self.endings: list[tuple[Ending, Callable[[], None]]] = []
        self._mutex, self._trying = threading.Lock(), threading.Lock()
        self._thread: threading.Thread | None = None

    def keep(self, ending: Ending, done: Callable[[], None]) -> None:
        with self._mutex:
            self.endings.append((ending, done))
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="gitml-finish", daemon=True)
                with contextlib.suppress(RuntimeError):  # the end of the process is near
                    thread.start()
                    self._thread = thread

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            time.sleep(pause)
            self.attempt()
            with self._mutex:
                if not self.endings:
                    self._thread = None
                    return
            pause = min(2 * pause, _LAST_PAUSE)

    def attempt(self, until: float = math.inf, *, held_only: bool = False) -> None:
        """Try all that are left once, or those with something in memory, as long as time is left.

        `until` is a moment of the monotonic clock.
        """
        wait = -1 if math.isinf(until) else max(0.0, until - time.monotonic())
        if not self._trying.acquire(timeout=wait):
            return
        try:
            for one in list(self.endings):
                if (one[0].is_held or not held_only) and time.monotonic() < until:
                    self._attempt(*one)
        finally:
            self._trying.release()

    def _attempt(self, ending: Ending, done: Callable[[], None]) -> None:
        try:
            ending.attempt(_SECONDS)
        except (GitmlError, OSError):
            return
        with self._mutex:
            self.endings.remove((ending, done))
        done()

    @property
    def is_held(self) -> bool:
        return any(ending.is_held for ending, _ in list(self.endings))

    def give_up(self) -> None:
        with self._mutex:
            endings, self.endings = self.endings, []
        for ending, _ in endings:
            if lost := ending.give_up():
                words = f"run {ending.run_id}: {lost} could not be kept, the disk refused them"
                warnings.warn(words, RecordingWarning, stacklevel=2)


_keeper = _Keeper()


def keep(ending: Ending, done: Callable[[], None]) -> None:
    """Go on trying to finish a run, and call `done` then, for as long as the process lives."""
    _keeper.keep(ending, done)
    _watch_exit_of_worker()


@atexit.register
def _at_exit() -> None:
    """Try once more, and give the disk some seconds for what is held.

    A run in its journal is safe there.
    """
    deadline = time.monotonic() + _EXIT_SECONDS
    try:
        _keeper.attempt(deadline)
        while _keeper.is_held and time.monotonic() < deadline:
            time.sleep(0.1)
            _keeper.attempt(deadline, held_only=True)
    finally:
        _keeper.give_up()


def _watch_exit_of_worker() -> None:
    """A process of `multiprocessing` ends without atexit, but with finalizers of its own."""
    process, util = (sys.modules.get(f"multiprocessing.{name}") for name in ("process", "util"))
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, _at_exit, exitpriority=0)


def _after_fork() -> None:
    global _keeper
    for ending, _ in _keeper.endings:
        ending.abandon()
    _keeper = _Keeper()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
