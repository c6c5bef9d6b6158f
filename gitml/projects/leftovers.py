"""Containers whose client died: they are ended, and what they recorded is collected.

A container has a folder, `<gitml folder>/containers/<run id>`, with a lock that its client holds.
One that nobody holds the lock of tells of a container that was left; its label tells which it is.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from gitml import locks
from gitml.tracking.names import is_run_id
from gitml.tracking.place import Place
from gitml.tracking.spool import Spool

RUN_LABEL = "gitml.run_id"
FOLDER, ENGINE, SPOOL = "containers", "engine", "spool"


def sweep(place: Place) -> list[str]:
    """End what was left, before its runs are recorded; what could not be, in words."""
    problems = []
    for home in place.homes():
        with contextlib.suppress(OSError):  # as a rule there is no such folder
            for folder in sorted((home / FOLDER).iterdir()):
                if is_run_id(folder.name) and (problem := _swept(place, folder)):
                    problems.append(problem)
    return problems


def _swept(place: Place, folder: Path) -> str:
    from gitml.containers import EngineError  # every command looks here, and seldom finds anything

    lock = folder.with_suffix(".lock")
    descriptor = locks.acquire(lock)
    if descriptor is None:
        return ""  # its client lives
    try:
        tidy(place, folder)
        lock.unlink(missing_ok=True)
    except EngineError as error:
        return f"the container of run {folder.name[-8:]} may still run: {error}"
    finally:
        locks.release(descriptor)
    return ""


def tidy(place: Place, folder: Path) -> None:
    """End the container of a folder whose lock is held, and collect. EngineError for no answer."""
    _end(folder)
    close(place, folder)


def close(place: Place, folder: Path) -> None:
    """Collect what an ended container has left in its folder, and take it away.

    What can't be collected stays, under another name.
    """
    from gitml.projects.collector import collect_rest

    kept = folder.with_name(f"refused-{folder.name}")
    spool = folder / SPOOL
    if spool.is_dir() and not collect_rest(place, Spool(spool), str(kept / SPOOL)):
        folder.rename(kept)
    shutil.rmtree(folder, ignore_errors=True)


def _end(folder: Path) -> None:
    """End the container of a folder; one that was killed early has none, or not even an engine."""
    from gitml.containers import Container
    from gitml.containers.engine import listed

    if not (folder / ENGINE).is_file():
        return
    engine = (folder / ENGINE).read_text(encoding="utf-8")
    for id in listed(engine, f"{RUN_LABEL}={folder.name}"):
        Container(engine, id).remove()
