"""The end of a job's spool: what is on its way may arrive, is collected, and the spool goes."""

from __future__ import annotations

import contextlib
import shutil
import time
import warnings

from gitml.errors import GitmlError
from gitml.projects.collector import CollectingWarning
from gitml.storage import Bucket
from gitml.tracking import collecting
from gitml.tracking.place import Place
from gitml.tracking.spool import Spool
from gitml.tracking.spooled import depot_of

_PAUSE = 0.2
# Seconds for writers to end after their job: Ray ends its workers, and what carries journals to a
# bucket sends the rest.
_FOLDER, _BUCKET = 10.0, 30.0


def gather(place: Place, spool: Spool, *, patient: bool) -> None:
    """Collect the spool of a job that is over, and take it away once all in it has ended.

    What may still come, from a node that died or that has no network, or could not be collected,
    stays; a warning says how it gets in.
    """
    is_over = _wait(spool, (_BUCKET if spool.url else _FOLDER) if patient else 0.0)
    try:
        found = collecting.collect(place, spool)
        problems = [str(one.remark) for one in found if one.word == collecting.PROBLEM]
    except (GitmlError, OSError) as error:
        problems = [str(error)]
    if is_over and not problems:
        _remove(place, spool)
        return
    why = problems[0] if problems else "not all who write there have said that they ended"
    warnings.warn(
        f"of what the job has recorded something is left in {spool}: {why}; to have it later:"
        f" gitml collect {spool}",
        CollectingWarning,
        stacklevel=2,
    )


def _wait(spool: Spool, seconds: float) -> bool:
    """Wait for the ends of all journals in a spool; whether they came."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(GitmlError, OSError):
            found = depot_of(spool).journals().values()
            if all(one.is_over for journals in found for one in journals):
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE if spool.url is None else 5 * _PAUSE)


def _remove(place: Place, spool: Spool) -> None:
    """Take away a spool whose content the repository has."""
    collecting.forget(place, spool)
    with contextlib.suppress(GitmlError, OSError):  # it costs space, and nothing else
        if spool.url is None:
            shutil.rmtree(spool.home)
        else:
            bucket = Bucket(spool.url)
            bucket.remove(list(bucket.list("")))
