"""Recording: a live run's journals become a run commit and a place in the ledger.

It can be done again at any time, by any process on the machine, with the same result: what was
recorded is known by the journal lines that each session in the ledger covers, and a journal is
deleted only after its run was read back from the repository.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gitml import documents, faults, git, locks
from gitml.errors import GitmlError
from gitml.tracking import journal, live
from gitml.tracking.commits import Identity, RunChange
from gitml.tracking.fold import STARTS, Folded, Part, Staged, fold, points_of, staged_of
from gitml.tracking.ledger import Entry
from gitml.tracking.metrics import Point, read_history
from gitml.tracking.place import Place
from gitml.tracking.record import LOST, RUNNING, Artifact, RunRecord, to_document
from gitml.tracking.snapshot import LIVE_REFS
from gitml.tracking.storing import stored

RUN_JSON = "run.json"


def record(place: Place, run: live.LiveRun, *, seconds: float = 15.0, first: bool = False) -> bool:
    """Record what the journals of `run` say and the ledger does not; whether there was anything.

    `first` spares the look into the ledger when the caller knows that the run is new. Raises
    GitmlError when it can't be recorded now; the journals then stay.
    """
    guard = run.folder.with_suffix(".lock")
    with locks.held(guard, seconds):
        faults.hit("record.fold")
        done = _record_locked(place, run, seconds, first) if run.folder.is_dir() else False
    with contextlib.suppress(OSError):
        guard.unlink()
    return done


def _record_locked(place: Place, run: live.LiveRun, seconds: float, first: bool) -> bool:
    entry = None if first else place.ledger.find(run.run_id)
    journals = {writer: _begin(writer) for writer in run.writers()}
    known = entry.record.sessions if entry else {}
    parts = [
        part
        for writer, begin in journals.items()
        if begin and (part := _part(writer, begin, known)) is not None
    ]
    if entry is None and not any(part.kind == "start" for part in parts):
        if not parts:
            _clean(run, journals)
        return False
    if parts:
        _append(place, run, parts, entry, seconds)
    faults.hit("record.clean")
    _clean(run, journals)
    return bool(parts)


def _begin(writer: live.Writer) -> Mapping[str, Any] | None:
    """The first event of a journal; None when its owner died before it was written."""
    event = journal.first(writer.journal)
    return event.get("begin") if event else None


def _state(writer: live.Writer, begin: Mapping[str, Any]) -> str:
    """What is known of a journal's writer; one that came to its end counts as dead."""
    if journal.has_ended(writer.journal):
        return live.DEAD
    return writer.state(live.owner_from_document(begin["owner"]))


def _part(writer: live.Writer, begin: Mapping[str, Any], known: Mapping[str, Any]) -> Part | None:
    """What the journal adds to the sessions `known`; None when it adds nothing."""
    session = _session_id(writer, begin)
    mine = [s for name, s in known.items() if name.split(".")[0] == session]
    covered = sum(session.lines for session in mine)
    state = _state(writer, begin)
    contents = journal.read(writer.journal, covered)
    if contents.lines == 0:
        return None
    return Part(
        session=f"{session}.{len(mine) + 1}" if mine else session,
        begin=begin,
        events=contents.events,
        lines=contents.lines,
        skipped=contents.skipped,
        last_seen=round(writer.journal.stat().st_mtime * 1000),
        alive=state == live.ALIVE,
    )


def _session_id(writer: live.Writer, begin: Mapping[str, Any]) -> str:
    """A session's name: that of the start is the same in every run, so that git can compare."""
    kind = str(begin["kind"])
    return kind if kind == "start" else f"{kind}-{writer.name.rpartition('-')[2]}"


def _append(
    place: Place, run: live.LiveRun, parts: Sequence[Part], entry: Entry | None, seconds: float
) -> None:
    folded = fold(parts, entry.record if entry else None, _histories(place, entry))
    record, files = stored(place, folded, entry, run.files)
    start = next(part for part in folded.parts if part.kind in STARTS or entry)
    base = start.begin.get("base") or {}
    change = RunChange(
        record=record,
        files={RUN_JSON: documents.dump_json(to_document(record)), **files},
        tree=base.get("tree") if entry is None else None,
        parents=_parents(base, entry),
        time=max(_last_moment(parts) // 1000, base.get("commit_time") or 0),
        identity=Identity(**base.get("identity", {})),
        what="" if entry is None else "resumed" if start.kind == "resume" else "more metrics",
    )
    place.ledger.append([change], done=_live_refs(place, run, base), seconds=seconds)


def _parents(base: Mapping[str, Any], entry: Entry | None) -> tuple[str, ...]:
    if entry is None:
        return tuple(filter(None, [base.get("commit")]))
    return tuple(filter(None, [entry.commit, base.get("live")]))


def _live_refs(place: Place, run: live.LiveRun, base: Mapping[str, Any]) -> list[str]:
    return [LIVE_REFS + run.run_id] if base.get("live") else []


def _last_moment(parts: Sequence[Part]) -> int:
    return max(part.end["time"] if part.end else part.last_seen for part in parts)


def _histories(place: Place, entry: Entry | None) -> dict[str, list[Point]]:
    """The metric histories of a recorded run, by session."""
    found = texts(place, entry, "metrics/") if entry else []
    return {
        path.removeprefix("metrics/").removesuffix(".tsv"): read_history(data, path)
        for path, data in found
    }


# -- cleaning up -----------------------------------------------------------------------------


def _clean(run: live.LiveRun, journals: Mapping[live.Writer, Mapping[str, Any] | None]) -> None:
    """Delete the journals whose writers are gone, and the folder once none is left."""
    for writer, begin in journals.items():
        gone = _never_began(writer) if begin is None else _state(writer, begin) != live.ALIVE
        if gone:
            writer.journal.unlink(missing_ok=True)
            writer.lock.unlink(missing_ok=True)
    if not any(run.folder.glob("*.jsonl")):
        shutil.rmtree(run.folder, ignore_errors=True)


def _never_began(writer: live.Writer) -> bool:
    """Whether the writer died before its first line was whole: it acknowledged nothing."""
    return not locks.is_held(writer.lock) and b"\n" not in writer.journal.read_bytes()


def recover(place: Place, *, lost: bool = False, seconds: float = 15.0) -> list[Recovered]:
    """Record every run whose writers are dead; what became of each.

    With `lost`, runs of other machines that gave no sign of life for long are recorded too. Runs
    that live are left alone. Doing it again does nothing more.
    """
    found = []
    for run in live.runs(place.home):
        if not is_dead(run, lost=lost):
            continue
        try:
            if record(place, run, seconds=seconds):
                found.append(Recovered(run.run_id, None))
        except (GitmlError, OSError) as error:
            found.append(Recovered(run.run_id, str(error)))
    return found


@dataclass(frozen=True, slots=True)
class Recovered:
    """A run that was recovered, or the reason why it was not."""

    run_id: str
    problem: str | None


def is_dead(run: live.LiveRun, *, lost: bool = False) -> bool:
    """Whether the run's starter is gone; with `lost`, a silent one elsewhere counts too."""
    for writer in run.writers():
        begin = _begin(writer)
        if begin is None:
            if locks.is_held(writer.lock):
                return False
        elif begin["kind"] in STARTS or not _has_starter(run):
            state = _state(writer, begin)
            if state == live.ALIVE or (state == live.GONE and not lost):
                return False
    return True


def _has_starter(run: live.LiveRun) -> bool:
    begins = (_begin(writer) for writer in run.writers())
    return any(begin is not None and begin["kind"] in STARTS for begin in begins)


def live_records(place: Place) -> list[RunRecord]:
    """The runs that are going on, as far as their journals tell now; see `live_record`."""
    records = []
    for run in live.runs(place.home):
        with contextlib.suppress(GitmlError, OSError):
            if (record := live_record(place, run)) is not None:
                records.append(record)
    return records


def live_record(place: Place, run: live.LiveRun) -> RunRecord | None:
    """A live run's record: RUNNING, or LOST when its machine was silent for long.

    Its artifacts carry an empty `where` as long as they are not stored. None when there is
    nothing to tell yet.
    """
    folded = _folded_live(place, run)
    if folded is None:
        return None
    staged = {path: Artifact(f.size, f.sha256, "") for path, f in folded.staged.items()}
    record = replace(folded.record, artifacts={**folded.record.artifacts, **staged})
    lost = record.status == RUNNING and any(_is_gone(writer) for writer in run.writers())
    return replace(record, status=LOST) if lost else record


def _is_gone(writer: live.Writer) -> bool:
    begin = _begin(writer)
    return begin is not None and begin["kind"] in STARTS and _state(writer, begin) == live.GONE


def _folded_live(place: Place, run: live.LiveRun) -> Folded | None:
    begins = [(writer, begin) for writer in run.writers() if (begin := _begin(writer))]
    is_new = any(begin["kind"] == "start" for _, begin in begins)
    entry = None if is_new else place.ledger.find(run.run_id)
    if not begins or not (is_new or entry):
        return None
    known = entry.record.sessions if entry else {}
    parts = [part for writer, begin in begins if (part := _part(writer, begin, known))]
    return fold(parts, entry.record if entry else None, _histories(place, entry))


def live_points(run: live.LiveRun, key: str) -> list[Point]:
    """The points of a metric that the journals of a live run hold."""
    parts = [
        part for writer in run.writers() if (b := _begin(writer)) and (part := _part(writer, b, {}))
    ]
    return [point for part in parts for point in points_of(part) if point.key == key]


def staged(run: live.LiveRun) -> Mapping[str, Staged]:
    """The files that a live run logged so far, by path."""
    return staged_of([p for w in run.writers() if (b := _begin(w)) and (p := _part(w, b, {}))])


def texts(place: Place, entry: Entry, prefix: str) -> list[tuple[str, bytes]]:
    """The files of a recorded run whose path begins with `prefix`: (path, content)."""
    blobs = {path: blob for path, blob in entry.files.items() if path.startswith(prefix)}
    return list(zip(blobs, git.read_objects(place.repo, blobs.values()), strict=True))
