"""Recording: a live run's journals become a run commit and a place in the ledger.

It can be done again at any time, by any process on the machine, with the same result: what was
recorded is known by the journal lines that each session in the ledger covers, and a journal is
deleted only after its run was read back from the repository.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gitml import config, documents, faults, git, locks, storage
from gitml.errors import GitmlError, StorageError, shown
from gitml.tracking import journal, live, units
from gitml.tracking.commits import Identity, RunChange
from gitml.tracking.fold import STARTS, Folded, Part, Staged, fold, points_of, staged_of
from gitml.tracking.ledger import Entry, Ledger
from gitml.tracking.metrics import Point, read_history
from gitml.tracking.record import LOST, RUNNING, Artifact, RunRecord, to_document
from gitml.tracking.snapshot import LIVE_REFS

RUN_JSON = "run.json"
DVC_CONFIG = ".dvc/config"


@dataclass(frozen=True, slots=True)
class Place:
    """Where runs are recorded: a repository, its settings, and the folder of live runs.

    `home` is the repository's gitml folder, or one in the user's state folder when the
    repository can't be written.
    """

    repo: git.Repository
    settings: config.Config
    home: Path

    @property
    def ledger(self) -> Ledger:
        """The ledger that the settings name."""
        return Ledger(self.repo, self.settings.ledger.ref)

    @property
    def cache(self) -> storage.Cache:
        """The cache of run artifacts."""
        return storage.Cache(self.home / "cache")

    def remote(self) -> storage.Remote | None:
        """The DVC remote of the runs; None when the project has no remote."""
        root = self.repo.root or self.repo.git_dir
        return storage.runs_remote(root, self.settings.artifacts.remote)


def place_of(repo: git.Repository, start: Path | None = None) -> Place:
    """The place for runs of `repo`; `start` is the folder whose gitml.yaml holds."""
    settings = config.load(repo.root, start, repo.home) if repo.root else config.Config()
    return Place(repo, settings, repo.home)


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
    mine = [s for name, s in known.items() if name.split(".")[0] == writer.name]
    covered = sum(session.lines for session in mine)
    state = _state(writer, begin)
    contents = journal.read(writer.journal, covered)
    if contents.lines == 0:
        return None
    return Part(
        session=f"{writer.name}.{len(mine) + 1}" if mine else writer.name,
        begin=begin,
        events=contents.events,
        lines=contents.lines,
        skipped=contents.skipped,
        last_seen=round(writer.journal.stat().st_mtime * 1000),
        alive=state == live.ALIVE,
    )


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


# -- artifacts -------------------------------------------------------------------------------


def stored(
    place: Place, folded: Folded, entry: Entry | None, folder: Path
) -> tuple[RunRecord, dict[str, bytes | str]]:
    """The record with its artifacts in place, and the files of its folder: contents or blobs."""
    files: dict[str, bytes | str] = {**(entry.files if entry else {}), **folded.files}
    record = folded.record
    artifacts = dict(record.artifacts)
    _drop_unused({p: a for p, a in artifacts.items() if p not in folded.staged}, files)
    limits = place.settings.artifacts
    for unit in units.plan(
        units.without_clashes(folded.staged),
        models=record.models,
        inline_unit=limits.inline_unit,
        inline_run=limits.inline_run - _inline_bytes(record),
    ):
        where = _store(place, unit, files, folder)
        for path, file in _paths(unit, folded.staged):
            artifacts[path] = Artifact(file.size, file.sha256, where)
    record = _restamped(record, artifacts, folded)
    _drop_unused(artifacts, files)
    if any(item.where != units.INLINE for item in artifacts.values()):
        _add_dvc_config(place, files)
    return record, files


def _paths(unit: units.Unit, logged: Mapping[str, Staged]) -> Iterable[tuple[str, Staged]]:
    names = {id(file): path for path, file in units.without_clashes(logged).items()}
    return ((names[id(file)], file) for file in unit.files)


def _inline_bytes(record: RunRecord) -> int:
    return sum(item.size for item in record.artifacts.values() if item.where == units.INLINE)


def _store(place: Place, unit: units.Unit, files: dict[str, bytes | str], folder: Path) -> str:
    """Put one unit where it belongs; the `where` of its artifacts."""
    if unit.inline:
        for file in unit.files:
            files[f"{units.FOLDER}/{file.path}"] = _content(folder / file.file, file)
        return units.INLINE
    cache = place.cache
    missing = [(folder / file.file, file.md5) for file in unit.files if not cache.has(file.md5)]
    cache.add_files(missing)
    if unit.is_dir:
        pointer = cache.add_tree((unit.inside(f.path), f.md5, f.size) for f in unit.files)
    else:
        pointer = storage.Pointer(unit.files[0].md5, unit.files[0].size, None)
    where = units.pointer_path(unit.root)
    text = _pointer_text(pointer, where)
    if files.get(where, text) != text:
        where = units.pointer_path(unit.root, pointer.md5)
        text = _pointer_text(pointer, where)
    files[where] = text
    return where


def _pointer_text(pointer: storage.Pointer, where: str) -> bytes:
    """A pointer file; it stands beside what it names, as DVC wants it."""
    name = where.removesuffix(".dvc").rpartition("/")[2]
    return storage.pointer_text(pointer, name).encode()


def _content(path: Path, file: Staged) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(
            f"the staged copy of artifact {shown(file.path)} is gone: {error.strerror}"
        ) from None
    if len(data) != file.size:
        raise StorageError(f"the staged copy of artifact {shown(file.path)} is damaged")
    return data


def _restamped(record: RunRecord, artifacts: Mapping[str, Artifact], folded: Folded) -> RunRecord:
    """The record with its artifacts; those that replace an earlier one carry a stamp."""
    replaced = [p for p, item in record.artifacts.items() if artifacts[p] != item]
    writer = folded.parts[-1].session if folded.parts else ""
    clock = dict(record.clock)
    for path in replaced:
        name = f"{units.FOLDER}/{path}"
        clock[name] = replace(
            record.stamp(name), counter=record.stamp(name).counter + 1, writer=writer
        )
    return replace(record, artifacts=artifacts, clock=clock)


def _drop_unused(artifacts: Mapping[str, Artifact], files: dict[str, bytes | str]) -> None:
    """Forget files and pointers that none of the artifacts refers to."""
    used = {
        f"{units.FOLDER}/{path}" if item.where == units.INLINE else item.where
        for path, item in artifacts.items()
    }
    for path in list(files):
        if path.startswith(f"{units.FOLDER}/") and path not in used:
            del files[path]


def _add_dvc_config(place: Place, files: dict[str, bytes | str]) -> None:
    """Make the run's folder a DVC root that knows the remote, where there is one."""
    if (remote := place.remote()) is not None:
        files[DVC_CONFIG] = storage.run_config_text(remote).encode()


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
