"""Collecting while a program runs elsewhere: what it writes into its spool is seen here."""

from __future__ import annotations

import contextlib
import shlex
import threading
import warnings

from gitml.errors import GitmlError
from gitml.tracking import collecting
from gitml.tracking.place import Place
from gitml.tracking.spool import Spool

_EVERY, _EVERY_OF_URL = 2.0, 5.0  # seconds between two looks


class CollectingWarning(UserWarning):
    """Something that a container or a pod has recorded could not be collected."""


class Collector:
    """Looks into a spool again and again, in a thread, until it is told that no more will come."""

    def __init__(self, place: Place, spool: Spool) -> None:
        self._place, self._spool = place, spool
        self._every = _EVERY if spool.url is None else _EVERY_OF_URL
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gitml-collector", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(self._every):
            with contextlib.suppress(GitmlError, OSError):  # it is told at the end
                collecting.collect(self._place, self._spool)

    def finish(self) -> None:
        """Look no more; what is left is for `collect_rest`."""
        self._over.set()
        self._thread.join()


def collect_rest(place: Place, spool: Spool, kept: str, *, delete: bool = False) -> bool:
    """Collect a spool that nobody writes to any more; whether all could be.

    A warning says what could not, and that it will be in `kept`, a folder or URL. With `delete` the
    spool has nothing any more of what could.
    """
    try:
        found = collecting.collect(place, spool, over=True, delete=delete)
        collecting.forget(place, spool)
    except (GitmlError, OSError) as error:
        found = [collecting.Collected("", collecting.PROBLEM, remark=str(error))]
    problems = [one for one in found if one.word == collecting.PROBLEM]
    for one in problems:
        whose = f" of run {one.run_id[-8:]}" if one.run_id else ""
        warnings.warn(
            f"what was recorded elsewhere{whose} can't be collected: {one.remark}; it is kept,"
            f" and may be tried again: {shlex.join(['gitml', 'collect', kept])}",
            CollectingWarning,
            stacklevel=2,
        )
    return not problems
