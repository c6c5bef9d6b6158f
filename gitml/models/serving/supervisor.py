"""Several processes that serve together: one that ends is started again."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gitml.errors import StorageError
from gitml.models.serving import worker
from gitml.siblings import Sibling, Work, wait_for_any

READY = b""
"""What a process says once it serves; anything else is why it can't."""

_TICK = 0.25  # seconds
_START_SECONDS = 600.0  # until a worker has loaded the model
_YOUNG = 60.0  # seconds; one that ends before is not started again at once
_LONGEST = 15.0  # seconds until it is
_TRIES = 5  # in a row
_PATIENCE = 10.0  # seconds beyond those that requests in flight have

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Place:
    """A place for a process, and how it went there; `due` is when the next one is to start."""

    due: float = 0.0
    sibling: Sibling | None = None
    since: float = 0.0
    is_ready: bool = False
    why: str = ""
    failures: int = 0


@dataclass(slots=True)
class Supervisor:
    """Keeps `count` processes at `work` until told to stop.

    `ready` is called once the first of them serves; `buried` gets the id of each that has ended;
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
        for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
            if (number := getattr(signal, name, None)) is not None:
                signal.signal(number, lambda number, _: self._told.append(number))
        self._places = [_Place() for _ in range(self.count)]
        try:
            while not self._told:
                self._start()
                wait_for_any((it.sibling for it in self._places if it.sibling is not None), _TICK)
                self._look()
            self._stop()
        finally:
            for place in self._places:
                if place.sibling is not None:
                    place.sibling.kill()

    def _start(self) -> None:
        """Fill the places that are due."""
        now = time.monotonic()
        for place in self._places:
            if place.sibling is None and place.due <= now:
                place.sibling = Sibling(self.work)
                place.since, place.is_ready, place.why = now, False, ""

    def _look(self) -> None:
        """See which processes serve, and which have ended."""
        for place in self._places:
            if place.sibling is None:
                continue
            has_ended = place.sibling.code is not None  # what it said before is heard below
            for said in place.sibling.heard():
                place.is_ready, place.why = place.is_ready or said == READY, said.decode()
            late = time.monotonic() - place.since > _START_SECONDS and not place.is_ready
            if late:
                place.why = place.why or f"it was not ready within {_START_SECONDS:g} s"
            if has_ended or late:
                self._bury(place, place.sibling)
        if not self._serves and any(place.is_ready for place in self._places):
            self._serves = True
            self.ready()

    def _bury(self, place: _Place, sibling: Sibling) -> None:
        now, was_ready = time.monotonic(), place.is_ready
        sibling.kill()
        why = place.why or _told_by(sibling.code or 0)
        place.sibling, place.is_ready = None, False
        self.buried(sibling.pid)
        if not was_ready and not self._serves:
            raise StorageError(f"a worker could not start: {why}")
        place.failures = 1 if was_ready and now - place.since > _YOUNG else place.failures + 1
        others = any(other.is_ready for other in self._places)
        if not was_ready and place.failures >= _TRIES and not others:
            raise StorageError(f"no worker comes up any more: {why}")
        pause = min(2.0 ** (place.failures - 2), _LONGEST) if place.failures > 1 else 0.0
        place.due = now + pause
        logger.error("worker %d is gone: %s; another starts in %g s", sibling.pid, why, pause)

    def _stop(self) -> None:
        """Let all finish what they have begun."""
        left = [place.sibling for place in self._places if place.sibling is not None]
        for sibling in left:
            sibling.end()
        end = time.monotonic() + self.grace + _PATIENCE
        codes = [sibling.wait(max(0.0, end - time.monotonic())) for sibling in left]
        if bad := len(codes) - codes.count(0):
            raise StorageError(
                f"{bad} of {len(left)} workers did not end well: they had predictions that did not"
                " come to an end"
            )


def _told_by(code: int) -> str:
    """How a process ended."""
    if code >= 0:
        return f"it ended with {code}"
    with contextlib.suppress(ValueError):
        return f"{signal.Signals(-code).name} ended it"
    return f"signal {-code} ended it"
