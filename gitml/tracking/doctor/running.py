"""Runs that are not recorded yet: dead ones, damaged journals, orphaned snapshots, old locks."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from gitml import locks
from gitml.errors import FormatError, plural, shown
from gitml.files import shown_path
from gitml.tracking import holding, journal, live, mending, recording, salvage
from gitml.tracking.doctor.finding import NOTE, WARNING, Finding, finding_of
from gitml.tracking.place import Place
from gitml.tracking.record import LOST
from gitml.tracking.snapshot import LIVE_REFS


def runs(place: Place) -> Iterator[Finding]:
    """Runs whose process died, here or elsewhere."""
    for run in place.live_runs():
        try:
            yield from _state(place, run)
        except FormatError as error:
            yield Finding(WARNING, str(error))
        yield from _damage(run)


def _state(place: Place, run: live.LiveRun) -> Iterator[Finding]:
    if not run.writers():
        if run.files.is_dir():
            what = f"the journal of run {run.run_id} was removed, but not the files that it logged"
            yield Finding(WARNING, what, shlex.join(["rm", "-r", str(run.folder)]))
    elif recording.is_dead(run) and (problem := recording.buried(place, run)):
        yield finding_of(WARNING, problem)
    elif recording.is_dead(run):
        what = f"run {run.run_id} is over and not recorded yet"
        what += f": {place.closed}" if place.closed else ""
        yield Finding(WARNING, what, "gitml recover")
    elif recording.is_dead(run, lost=True):
        yield Finding(
            WARNING,
            f"run {run.run_id} is {LOST}: its machine has given no sign of life for long",
            "gitml recover --lost",
        )


def _damage(run: live.LiveRun) -> Iterator[Finding]:
    for writer in run.writers():
        if locks.is_held(writer.lock):
            continue  # its last line may be half written at this moment
        skipped = journal.read(writer.journal).skipped
        if skipped:
            yield Finding(
                WARNING,
                f"{plural(skipped, 'line')} of the journal"
                f" {shown_path(writer.journal)} can't be read; the rest of the run is whole",
                "gitml recover",
            )


def aside(place: Place) -> Iterator[Finding]:
    """Journals of which nothing could be recorded."""
    for path in salvage.aside(place.repo.home):
        yield Finding(
            NOTE,
            f"nothing of the journal {shown_path(path)} could be read; it was set aside",
            shlex.join(["rm", str(path)]),
        )


def snapshots(place: Place) -> Iterator[Finding]:
    """Snapshots that are held for runs which are not live."""
    for ref in orphans(place):
        yield Finding(
            WARNING,
            f"the snapshot of run {ref.removeprefix(LIVE_REFS)[:32]} is held, but it does not run",
            shlex.join(["git", "update-ref", "-d", ref]),
        )
    for ref in holding.strays(place.repo):
        yield Finding(
            NOTE,
            f"{shown(ref)} is of no run, and keeps objects from being pruned",
            shlex.join(["git", "update-ref", "-d", ref]),
        )


def orphans(place: Place) -> list[str]:
    """The refs of snapshots that are held for runs which are not live."""
    return holding.orphans(place.repo, lambda run_id: place.live_run(run_id).folder.is_dir())


def lock_files(place: Place) -> Iterator[Finding]:
    """Locks that a killed git has left; and who writes to the ledger now."""
    for path in old_locks(place):
        yield Finding(
            WARNING,
            f"{shown_path(path)} blocks git commands; unless one runs now, it was left by one that"
            " was killed",
            shlex.join(["rm", str(path)]),
        )
    lock = place.repo.home / "ledger.lock"
    if locks.is_held(lock):
        owner = _owner(lock)
        who = f"process {owner}" if owner else "a process"
        yield Finding(NOTE, f"{who} is writing to the ledger")


def old_locks(place: Place) -> list[Path]:
    """The lock files of refs and index that are too old to be in use."""
    common = place.repo.common_dir
    names = (f"{place.ledger.ref}.lock", "packed-refs.lock", "HEAD.lock", "config.lock")
    paths = [common / name for name in names] + [place.repo.git_dir / "index.lock"]
    limit = time.time() - mending.STALE_SECONDS
    return [path for path in paths if path.exists() and path.stat().st_mtime < limit]


def _owner(lock: Path) -> int | None:
    """The process that holds the lock, where Linux tells."""
    try:
        inode = lock.stat().st_ino
        table = Path("/proc/locks").read_text("ascii", "replace")
    except OSError:
        return None
    for fields in (line.split() for line in table.splitlines()):
        if len(fields) > 5 and fields[5].endswith(f":{inode}") and fields[4].isdigit():
            return int(fields[4])
    return None


CHECKS = (runs, aside, snapshots, lock_files)
