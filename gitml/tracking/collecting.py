"""Collecting: the runs of a spool become runs of the repository.

It may be done by anybody, as often as one likes, and twice at once: a run is recorded by what the
ledger lacks of it. What was mirrored is noted in `spools/<digest>.json` of the repository's gitml
folder, only to spare the next time the work; without it everything is looked at again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from gitml import faults, files, locks
from gitml.documents import dump_json, load_json, write_atomic
from gitml.errors import FormatError, GitmlError
from gitml.tracking import live, recording
from gitml.tracking.ledger import Entry
from gitml.tracking.mirroring import Mirror, Note
from gitml.tracking.place import Place
from gitml.tracking.record import LOST, RunRecord
from gitml.tracking.record import RUNNING as RUNS
from gitml.tracking.spool import Spool
from gitml.tracking.spooled import Depot, Found, depot_of

DEAD_SECONDS = 900.0  # of silence, after which a writer elsewhere is taken for dead
FORGET_SECONDS = 24 * 3600.0  # of silence, after which what a writer left may be deleted
_NOTES_SECONDS = 30 * 24 * 3600.0  # after which nobody starts a job again
RECORDED, RUNNING, WAITING, KNOWN, PROBLEM = (
    "recorded", "running", "waiting", "known", "problem",
)  # fmt: skip


class Collected(NamedTuple):
    """What became of a run of the spool: a word, the run as it is now, and what is to be said.

    RECORDED: something of it was recorded. RUNNING: it goes on, or may. WAITING: its start is not
    there yet. KNOWN: nothing is new. PROBLEM: `remark` tells why it can't be collected.
    `deleted` tells whether it left the spool.
    """

    run_id: str
    word: str
    record: RunRecord | None = None
    remark: str | None = None
    deleted: bool = False


def collect(
    place: Place,
    spool: Spool,
    *,
    lost: bool = False,
    delete: bool = False,
    over: bool = False,
    seconds: float = 60.0,
) -> list[Collected]:
    """Record the runs of a spool that are over, and bring in those that go on; what became of each.

    A run whose writer is silent for `DEAD_SECONDS` is over; with `lost`, one that is shown as LOST.
    With `delete`, what the repository holds for certain is taken out of the spool. `over` says that
    nobody writes there any more: writers that did not end are dead. StorageError when the spool
    can't be read, or another process collects for longer than `seconds`.
    """
    place = place.to_write()
    with locks.held(place.home / "collect.lock", seconds):
        depot = depot_of(spool, over=over)
        found = list(_Round(place, depot, _notes_path(place, spool), lost, delete).all())
        if delete:
            depot.sweep(time.time() - _NOTES_SECONDS)
        return found


def forget(place: Place, spool: Spool) -> None:
    """Remove what was noted of a spool that will never be collected again."""
    with contextlib.suppress(OSError):
        _notes_path(place.to_write(), spool).unlink(missing_ok=True)


def _notes_path(place: Place, spool: Spool) -> Path:
    name = sha256((spool.url or str(spool.home)).encode()).hexdigest()[:16]
    return place.home / "spools" / f"{name}.json"


@dataclass(slots=True)
class _Round:
    """One look at all that is in a spool."""

    place: Place
    depot: Depot
    path: Path
    lost: bool
    delete: bool
    notes: dict[str, dict[str, Note]] = field(default_factory=dict)

    def all(self) -> Iterator[Collected]:
        self.notes = _read(self.path) if self.place.ledger.head() else {}
        journals = self.depot.journals()
        for run_id in self.notes.keys() - journals.keys():
            del self.notes[run_id]
        for run_id, found in journals.items():
            yield self._one(run_id, found)
        faults.hit("collect.noted")
        with contextlib.suppress(OSError, GitmlError):  # then all is looked at again
            files.make_folder(self.path.parent)
            write_atomic(self.path, dump_json({"schema": 1, "runs": self.notes}))

    def _one(self, run_id: str, found: list[Found]) -> Collected:
        try:
            return self._collected(run_id, found)
        except (GitmlError, OSError) as error:
            return Collected(run_id, PROBLEM, remark=str(error))

    def _collected(self, run_id: str, found: list[Found]) -> Collected:
        done = Collected(run_id, KNOWN)
        if not self._is_done(run_id, found):
            done = self._brought_in(run_id, found)
        if self.delete and self._is_done(run_id, found) and self._is_safe(run_id):
            for one in found:
                self.depot.delete(one)
            self.notes.pop(run_id, None)
            done = done._replace(deleted=True)
        return done

    def _brought_in(self, run_id: str, found: list[Found]) -> Collected:
        """Record what is over of a run, and have what goes on among the live runs."""
        run, entry = self.place.live_run(run_id), self.place.ledger.find(run_id)
        if entry is None and self.place.ledger.is_buried(run_id):
            gone = {one.writer: Note(consumed=one.size, is_done=True) for one in found}
            self.notes[run_id] = gone
            return Collected(run_id, KNOWN)
        self._mirror(run, entry, found)
        is_new = self._record(run)
        if is_new:
            entry = self.place.ledger.find(run_id)
        self._settle(Mirror(self.place, self.depot, run, entry), found)
        if is_new and entry is not None:
            return Collected(run_id, RECORDED, entry.record, entry.record.code.incomplete.get("."))
        record = recording.live_record(self.place, run) if run.folder.is_dir() else None
        if record is None:
            word = KNOWN if entry is not None else WAITING
            return Collected(run_id, word, entry.record if entry else None)
        return Collected(run_id, RUNNING if record.status in (RUNS, LOST) else KNOWN, record)

    def _mirror(self, run: live.LiveRun, entry: Entry | None, found: list[Found]) -> None:
        lock = run.folder.with_suffix(".lock")
        with locks.held(lock, remove=True), recording.alone(run):
            mirror = Mirror(self.place, self.depot, run, entry)
            self.notes[run.run_id] = mirror.update(found, self.notes.get(run.run_id, {}))

    def _record(self, run: live.LiveRun) -> bool:
        """Record a run that is over; whether there was anything new."""
        if not run.folder.is_dir():
            return False
        lost = self.lost or _are_silent(run)
        if not recording.is_dead(run, lost=lost):
            return False
        return recording.record(self.place, run, lost=lost)

    def _settle(self, mirror: Mirror, found: list[Found]) -> None:
        """Note which journals are over, and recorded to their last line."""
        notes = self.notes[mirror.run.run_id]
        for one in found:
            note = notes.get(one.writer)
            is_past = one.is_over or time.time() - one.seen > FORGET_SECONDS
            if note is not None and is_past and note.consumed == one.size and mirror.covers(note):
                notes[one.writer] = note._replace(is_done=True)

    def _is_done(self, run_id: str, found: list[Found]) -> bool:
        """Whether all of the run is over and recorded, as noted, and nothing was added since."""
        notes = self.notes.get(run_id, {})
        return all(
            (note := notes.get(one.writer)) is not None
            and note.is_done
            and note.consumed == one.size
            for one in found
        )

    def _is_safe(self, run_id: str) -> bool:
        """Whether the run can be read back from the repository, or was deleted there for good."""
        entry = self.place.ledger.find(run_id)
        if entry is None:
            return self.place.ledger.is_buried(run_id)
        notes = self.notes[run_id].values()
        mirror = Mirror(self.place, self.depot, self.place.live_run(run_id), entry)
        return not self.place.ledger.lacks(entry) and all(map(mirror.covers, notes))


def _are_silent(run: live.LiveRun) -> bool:
    """Whether the writers elsewhere are silent for so long that they count as dead."""
    with contextlib.suppress(OSError):
        silences = [writer.silent_seconds() for writer in run.writers()]
        return all(it > DEAD_SECONDS for it in silences if it > live.HEARTBEAT_LIMIT)
    return False


def _read(path: Path) -> dict[str, dict[str, Note]]:
    try:
        document = load_json(path.read_bytes(), path.name)
        return {
            run_id: {writer: Note(*note) for writer, note in notes.items()}
            for run_id, notes in document["runs"].items()
        }
    except (OSError, FormatError, KeyError, TypeError, AttributeError):
        return {}
