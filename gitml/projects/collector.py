"""Collecting while a container runs: what it writes into its spool is seen in the repository."""

from __future__ import annotations

import contextlib
import shlex
import threading
import warnings
from pathlib import Path

from gitml.errors import GitmlError
from gitml.tracking import collecting
from gitml.tracking.place import Place
from gitml.tracking.spool import Spool

_EVERY = 2.0  # seconds between two looks


class CollectingWarning(UserWarning):
    """Something that a container has recorded could not be collected."""


class Collector:
    """Looks into a spool again and again, in a thread, until it is told that no more will come."""

    def __init__(self, place: Place, spool: Path) -> None:
        self._place, self._spool = place, Spool(spool)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gitml-collector", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(_EVERY):
            with contextlib.suppress(GitmlError, OSError):  # it is told at the end
                collecting.collect(self._place, self._spool)

    def finish(self) -> None:
        """Look no more; what is left is for `collect_rest`."""
        self._over.set()
        self._thread.join()


def collect_rest(place: Place, spool: Path, kept: Path) -> bool:
    """Collect a spool that nobody writes to any more; whether all could be.

    A warning says what could not, and that it will be in the folder `kept`.
    """
    try:
        found = collecting.collect(place, Spool(spool), over=True)
        collecting.forget(place, Spool(spool))
    except (GitmlError, OSError) as error:
        found = [collecting.Collected("", collecting.PROBLEM, remark=str(error))]
    problems = [one for one in found if one.word == collecting.PROBLEM]
    for one in problems:
        whose = f" of run {one.run_id[-8:]}" if one.run_id else ""
        warnings.warn(
            f"what a container has recorded{whose} can't be collected: {one.remark}; it is kept,"
            f" and may be tried again: {shlex.join(['gitml', 'collect', str(kept)])}",
            CollectingWarning,
            stacklevel=2,
        )
    return not problems
