"""Several processes that serve together: one that ends is started again.

A pipe joins each of them to this process. What comes through it is that the process is ready, or
why it can't be; when this end is closed, or this process is gone, the other finishes what it has
begun and ends.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from gitml.errors import GitmlError, StorageError
from gitml.models.serving import worker

Work = Callable[[Callable[[], None]], None]
"""What a process does; it calls what it is given once it is ready."""

_TICK = 0.5  # seconds
_START_SECONDS = 600.0  # until a worker has loaded the model
_YOUNG = 60.0  # seconds; one that ends before is not started again at once
_LONGEST = 15.0  # seconds until it is
_TRIES = 5  # in a row
_PATIENCE = 10.0  # seconds beyond those that requests in flight have
_READY = b""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Place:
    """A place for a process, and how it went there; `due` is when the next one is to start."""

    due: float = 0.0
    process: Any = None
    line: Connection | None = None
    since: float = 0.0
    is_ready: bool = False
    why: str = ""
    failures: int = 0

    @property
    def waits_for(self) -> list[Any]:
        return [it for it in (self.process and self.process.sentinel, self.line) if it is not None]


@dataclass(slots=True)
class Supervisor:
    """Keeps `count` processes at `work`, which can be pickled, until told to stop.

    `ready` is called once the first of them is; `buried` gets the id of each that has ended;
    `grace` is how many seconds they have to finish.
    """

    work: Work
    count: int
    grace: float
    ready: Callable[[], None]
    buried: Callable[[int], None]
    _told: list[int] = field(default_factory=list)
    _places: list[_Place] = field(default_factory=list)
    _serves: bool = False

    def run(self) -> None:
        """Raises StorageError when the processes do not come up, or end badly when told to."""
        worker.tell()
        for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", None)):
            if number is not None:
                signal.signal(number, lambda number, _: self._told.append(number))
        self._places = [_Place() for _ in range(self.count)]
        try:
            while not self._told:
                self._start()
                wait([it for place in self._places for it in place.waits_for], _TICK)
                self._look()
            self._stop()
        finally:
            for place in self._places:
                _kill(place)

    def _start(self) -> None:
        """Fill the places that are due."""
        now = time.monotonic()
        context = multiprocessing.get_context("spawn")
        for place in self._places:
            if place.process is None and place.due <= now:
                place.line, theirs = context.Pipe()
                place.process = context.Process(target=_live, args=(self.work, theirs))
                place.since, place.is_ready, place.why = now, False, ""
                place.process.start()
                theirs.close()

    def _look(self) -> None:
        """See which processes are ready, and which have ended."""
        for place in self._places:
            if place.process is not None:
                _hear(place)
                late = time.monotonic() - place.since > _START_SECONDS
                if not place.is_ready and late and place.process.is_alive():
                    place.why = f"it was not ready within {_START_SECONDS:g} s"
                    place.process.kill()
                    place.process.join()
                if not place.process.is_alive():
                    self._bury(place)
        if not self._serves and any(place.is_ready for place in self._places):
            self._serves = True
            self.ready()

    def _bury(self, place: _Place) -> None:
        now, was_ready, pid = time.monotonic(), place.is_ready, place.process.pid
        why = place.why or _told_by(place.process.exitcode)
        _kill(place)
        self.buried(pid)
        if not was_ready and not self._serves:
            raise StorageError(f"a worker could not start: {why}")
        place.failures = 1 if was_ready and now - place.since > _YOUNG else place.failures + 1
        others = any(other.is_ready for other in self._places)
        if not was_ready and place.failures >= _TRIES and not others:
            raise StorageError(f"no worker comes up any more: {why}")
        pause = min(2.0 ** (place.failures - 2), _LONGEST) if place.failures > 1 else 0.0
        place.due = now + pause
        logger.error("worker %d is gone: %s; another starts in %g s", pid, why, pause)

    def _stop(self) -> None:
        """Let all finish what they have begun."""
        left = [place for place in self._places if place.process is not None]
        for place in left:
            if place.line is not None:
                place.line.close()
        end = time.monotonic() + self.grace + _PATIENCE
        for place in left:
            place.process.join(max(0.0, end - time.monotonic()))
        bad = [place for place in left if place.process.exitcode != 0]
        if bad:
            raise StorageError(
                f"{len(bad)} of {len(left)} workers did not end well: they had predictions that did"
                " not come to an end"
            )


def _hear(place: _Place) -> None:
    """Take what the process says."""
    try:
        while place.line is not None and place.line.poll():
            said = place.line.recv_bytes()
            place.is_ready = place.is_ready or said == _READY
            place.why = said.decode()
    except (EOFError, OSError):
        place.line = None


def _kill(place: _Place) -> None:
    """Leave nothing of the process."""
    if place.line is not None:
        place.line.close()
    if place.process is not None and place.process.pid is not None:
        place.process.kill()
        place.process.join()
        place.process.close()
    place.process, place.line, place.is_ready = None, None, False


def _told_by(code: int) -> str:
    """How a process ended."""
    if code >= 0:
        return f"it ended with {code}"
    with contextlib.suppress(ValueError):
        return f"{signal.Signals(-code).name} ended it"
    return f"signal {-code} ended it"


# -- in the process ------------------------------------------------------------------------


def _live(work: Work, line: Connection) -> None:
    """Do the work of a process until the other end of `line` is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal, which tells the other process
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    threading.Thread(target=_hear_the_end, args=(line,), daemon=True).start()
    try:
        work(lambda: line.send_bytes(_READY))
    except GitmlError as error:
        with contextlib.suppress(OSError):
            line.send_bytes(str(error).encode())
        sys.exit(error.exit_code)


def _hear_the_end(line: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        line.recv_bytes()
    signal.raise_signal(signal.SIGTERM)
