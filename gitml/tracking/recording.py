"""Recording: a live run's journals become a run commit and a place in the ledger.

It can be done again at any time, by any process on the machine, with the same result: what was
recorded is known by the journal lines that each session in the ledger covers, and a journal is
deleted only after its run was read back from the repository.
"""

from __future__ import annotations

import contextlib
import functools
import shlex
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from gitml import documents, faults, git, locks
from gitml.errors import FormatError, GitError, GitmlError, shown
from gitml.files import shown_path
from gitml.tracking import holding, live, mending, missing, salvage, staging
from gitml.tracking.commits import Identity, RunChange
from gitml.tracking.fold import STARTS, Folded, Part, Staged, fold, points_of, staged_of, words_of
from gitml.tracking.ledger import ChangedError, Entry
from gitml.tracking.metrics import Point, read_history
from gitml.tracking.place import Place
from gitml.tracking.record import KILLED, LOST, Artifact, RunRecord, to_document
from gitml.tracking.seen import Seen, look, parts_of
from gitml.tracking.storing import stored
from gitml.tracking.trees import blob_id

RUN_JSON = "run.json"
_PRUNED = "the snapshot was pruned from the repository before the run was recorded"


class ParamConflictWarning(UserWarning):
    """Processes that write one run gave one param different values."""


def record(
    place: Place,
    run: live.LiveRun,
    *,
    seconds: float = 15.0,
    first: bool = False,
    known: Entry | None = None,
    lost: bool = False,
) -> bool:
    """Record what the journals of `run` say and the ledger does not; whether there was anything.

    `first` spares the look into the ledger when the caller knows that the run is new, `known` when
    he knows the run as it was recorded a moment ago, and what is added is his alone. With `lost`
    the journals of writers elsewhere that were silent for long go too. Raises GitmlError when it
    can't be recorded now; the journals then stay.
    """
    if not run.folder.is_dir():
        return False
    with locks.held(run.folder.with_suffix(".lock"), seconds, remove=True), alone(run):
        faults.hit("record.fold")
        for _ in range(100):
            try:
                return _record_locked(place, run, seconds, first, known, lost)
            except ChangedError:
                first, known = False, None
        raise GitError(f"run {run.run_id} is changed all the time; try again later")


@contextlib.contextmanager
def alone(run: live.LiveRun) -> Iterator[None]:
    """Make whatever comes of what the journals of a run hold an error of that run alone."""
    try:
        yield
    except (GitmlError, OSError):
        raise
    except Exception as error:
        why = shown(f"{type(error).__name__}: {error}")
        raise FormatError(f"the journals of run {run.run_id} can't be read: {why}") from error


def _record_locked(
    place: Place, run: live.LiveRun, seconds: float, first: bool, known: Entry | None, lost: bool
) -> bool:
    entry = known if first or known else place.ledger.find(run.run_id)
    seen = look(run)
    parts = parts_of(seen, entry, place)
    if entry and not parts and place.ledger.lacks(entry):  # then the journals are all there is
        entry, parts = None, parts_of(seen, None, place)
    if parts and (entry or any(part.kind == "start" for part in parts)):
        place = place.to_write()
        new = _change(place, run, missing.without_lost(place, run, parts), entry)
        _write(place, new, seconds, fresh=first or known is not None)
        _warn_of_conflicts(new.change.record, entry)
    elif parts:
        if problem := buried(place, run):
            raise GitError(problem)
        return False  # the journal of the run's start is elsewhere
    faults.hit("record.clean")
    over = [item for item in seen if item.is_over or (lost and item.state == live.GONE)]
    if not parts:  # whoever recorded this was killed before he was done
        mending.drop(place.repo, [ref for item in over if (ref := _live_ref(item.begin))])
    _clean(run, over)
    return bool(parts)


def _warn_of_conflicts(record: RunRecord, before: Entry | None) -> None:
    """Say which params processes gave different values, unless it was said already."""
    known = before.record.param_conflicts if before else {}
    for key, values in record.param_conflicts.items():
        if known.get(key) != values:
            words = " and as ".join(shown(str(value)) for value in values)
            warnings.warn(
                f"run {record.run_id}: param {shown(key)} was logged as {words} by different"
                " processes; both are kept, the first is shown",
                ParamConflictWarning,
                stacklevel=2,
            )


class _New(NamedTuple):
    """A change of a run to write, and the refs of the snapshots that it makes superfluous."""

    change: RunChange
    done: list[str]


def _change(place: Place, run: live.LiveRun, parts: Sequence[Part], entry: Entry | None) -> _New:
    has_points = any("m" in event or "ms" in event for part in parts for event in part.events)
    histories = _histories(place, entry) if has_points else {}
    folded = fold(parts, entry.record if entry else None, histories)
    record, files = stored(place, folded, entry, run.files)
    files = _without_repeats(files)
    starters = [part for part in folded.parts if part.kind in STARTS]
    leader = starters[0] if starters else folded.parts[0]
    base = leader.begin.get("base") or {}
    change = RunChange(
        record=record,
        files={RUN_JSON: documents.dump_json(to_document(record)), **files},
        tree=base.get("tree") if entry is None else None,
        parents=tuple(_parents(folded.parts, entry)),
        time=max(_last_moment(parts) // 1000, base.get("commit_time") or 0),
        identity=Identity(**base.get("identity", {})),
        what="" if entry is None else words_of(leader, folded.parts),
        before=entry.blob if entry else None,
    )
    done = [ref for part in starters if not part.alive and (ref := _live_ref(part.begin))]
    return _New(change, done)


def _without_repeats(files: Mapping[str, bytes | str]) -> dict[str, bytes | str]:
    """The files, less the packages of a resume that are those of the start: a hundred lines."""
    first = files.get("requirements.txt", b"")
    digits = len(first)

    def repeats(name: str, data: bytes | str) -> bool:
        if not name.startswith("requirements-") or isinstance(data, str):
            return False  # what was recorded stays
        return (blob_id(data, digits) if isinstance(first, str) else data) == first

    return {name: data for name, data in files.items() if not repeats(name, data)}


def _write(place: Place, new: _New, seconds: float, *, fresh: bool) -> None:
    """Write a run to the ledger; without its code when the repository has that no more."""
    append = functools.partial(place.ledger.append, done=new.done, seconds=seconds, fresh=fresh)
    try:
        append([new.change])
    except ChangedError:
        raise
    except GitError:
        if _is_there(place, new.change):
            raise ChangedError("the run was written, but not read back") from None
        whole = _without_lost_code(place, new.change)
        if whole == new.change:
            raise
        append([whole])


def _is_there(place: Place, change: RunChange) -> bool:
    """Whether the ledger got a change that ended in an error, with the code."""
    entry = place.ledger.find(change.record.run_id)
    if entry is None or entry.record != change.record:
        return False
    return git.is_whole(place.repo, f"{entry.commit}^{{tree}}", ())


def _without_lost_code(place: Place, change: RunChange) -> RunChange:
    there = tuple(commit for commit in change.parents if git.is_whole(place.repo, commit))
    tree = change.tree
    if tree is not None and not git.is_whole(place.repo, tree):
        tree = git.text(place.repo, "rev-parse", f"{there[0]}^{{tree}}") if there else None
    if (tree, there) == (change.tree, change.parents):
        return change
    code = replace(change.record.code, incomplete={".": _PRUNED})
    record = replace(change.record, code=code)
    files = {**change.files, RUN_JSON: documents.dump_json(to_document(record))}
    return replace(change, record=record, files=files, tree=tree, parents=there)


def _parents(parts: Sequence[Part], entry: Entry | None) -> Iterator[str]:
    """The code commit of a new run; of another its newest run commit, and what it resumed on."""
    if entry is not None:
        yield entry.commit
    for part in parts:
        base = part.begin.get("base") or {}
        if entry is None and part.kind == "start" and base.get("commit"):
            yield base["commit"]
        elif part.kind == "resume" and base.get("live"):
            yield base["live"]


def _live_ref(begin: Mapping[str, Any] | None) -> str | None:
    """The ref that holds the snapshot of a writer with this first event."""
    ref: str | None = ((begin or {}).get("base") or {}).get("ref")
    return ref


def _last_moment(parts: Sequence[Part]) -> int:
    return max(part.end["time"] if part.end else part.last_seen for part in parts)


def _histories(place: Place, entry: Entry | None) -> dict[str, list[Point]]:
    """The metric histories of a recorded run, by session."""
    found = texts(place, entry, "metrics/") if entry else []
    return {
        path.removeprefix("metrics/").removesuffix(".tsv"): read_history(data, path)
        for path, data in found
    }


def buried(place: Place, run: live.LiveRun) -> str | None:
    """What is wrong with a live run that was deleted for good meanwhile, with the command."""
    if not place.ledger.is_buried(run.run_id):
        return None
    folder = shown_path(run.folder)
    let_go = shlex.join(["rm", "-r", str(run.folder)])
    return (
        f"run {run.run_id} was deleted for good, by gitml gc, while it went on; what it logged"
        f" since stays in {folder}; to let go of it; run: {let_go}"
    )


# -- cleaning up -----------------------------------------------------------------------------


def _clean(run: live.LiveRun, seen: Sequence[Seen]) -> None:
    """Delete journals that are recorded and over, and the folder once none is left."""
    for item in seen:
        staging.clear(run.files, item.writer.name)
        faults.hit("record.cleaned")
        item.writer.lock.unlink(missing_ok=True)
        salvage.set_aside(item.writer)
        item.writer.journal.unlink(missing_ok=True)  # last: the rest is found by it
    for lock in run.folder.glob("*.lock"):
        if not lock.with_suffix(".jsonl").exists() and not locks.is_held(lock):
            lock.unlink(missing_ok=True)  # its writer died before it had a journal
    with contextlib.suppress(OSError):  # a writer that has just come is in it
        run.folder.rmdir()


def recover(place: Place, *, lost: bool = False, seconds: float = 15.0) -> list[Recovered]:
    """Record every run whose writers are dead; what became of each.

    With `lost`, runs of other machines that gave no sign of life for long are recorded too. Runs
    that live are left alone. Doing it again does nothing more.
    """
    mending.mend_files(place.repo)
    mending.sweep(place.home / "live")
    found = []
    for run in place.live_runs():
        try:
            if is_dead(run, lost=lost) and record(place, run, seconds=seconds, lost=lost):
                found.append(Recovered(run.run_id, None))
        except (GitmlError, OSError) as error:
            found.append(Recovered(run.run_id, str(error)))
    with contextlib.suppress(GitError):
        refs = holding.superfluous(
            place.repo, lambda run_id: place.live_run(run_id).folder.is_dir()
        )
        mending.drop(place.repo, refs)
    return found


@dataclass(frozen=True, slots=True)
class Recovered:
    """A run that was recovered, or the reason why it was not."""

    run_id: str
    problem: str | None


def goes_on(run: live.LiveRun) -> bool:
    """Whether a writer that the run depends on lives: its starter, or one that resumed it."""
    with alone(run):
        return any(item.starts and item.state == live.ALIVE for item in look(run))


def is_dead(run: live.LiveRun, *, lost: bool = False) -> bool:
    """Whether the run's starter is gone; with `lost`, a silent one elsewhere counts too."""
    with alone(run):
        seen = look(run)
        unborn = [item for item in seen if item.begin is None and item.state == live.ALIVE]
        deciding = [item for item in seen if item.starts] or [item for item in seen if item.begin]
        return not unborn and all(
            item.is_over or (lost and item.state == live.GONE) for item in deciding
        )


def live_records(place: Place) -> list[RunRecord]:
    """The runs that are going on, as far as their journals tell now; see `live_record`."""
    records = []
    for run in place.live_runs():
        with contextlib.suppress(GitmlError, OSError):
            if (record := live_record(place, run)) is not None:
                records.append(record)
    return records


def live_record(place: Place, run: live.LiveRun) -> RunRecord | None:
    """A live run's record: RUNNING, or LOST when its machine was silent for long.

    Its artifacts carry an empty `where` as long as they are not stored. None when there is
    nothing to tell yet.
    """
    with alone(run):
        seen = look(run)
        folded = _folded_live(place, run, seen)
    if folded is None:
        return None
    staged = {path: Artifact(f.size, f.sha256, "") for path, f in folded.staged.items()}
    record = replace(folded.record, artifacts={**folded.record.artifacts, **staged})
    states = {item.state for item in seen if item.starts}
    is_lost = live.GONE in states and live.ALIVE not in states and record.status == KILLED
    return replace(record, status=LOST) if is_lost else record


def _folded_live(place: Place, run: live.LiveRun, seen: Sequence[Seen]) -> Folded | None:
    whole = parts_of(seen, None)
    is_new = any(part.kind == "start" for part in whole)
    if is_new and all(item.state != live.GONE for item in seen):
        return fold(whole)  # it can't be in the ledger: its starter would have cleaned up
    entry = place.ledger.find(run.run_id) if seen else None
    parts = parts_of(seen, entry, place)
    if entry is None:
        return fold(parts) if any(part.kind == "start" for part in parts) else None
    return fold(parts, entry.record, _histories(place, entry)) if whole or parts else None


def live_points(run: live.LiveRun, key: str, entry: Entry | None = None) -> list[Point]:
    """The points of a metric that the journals of a live run hold, and `entry` does not."""
    with alone(run):
        parts = sorted(parts_of(look(run), entry), key=lambda part: part.begin["time"])
        return [point for part in parts for point in points_of(part) if point.key == key]


def staged(run: live.LiveRun) -> Mapping[str, Staged]:
    """The files that a live run logged so far, by path."""
    with alone(run):
        return staged_of(parts_of(look(run), None))


def texts(place: Place, entry: Entry, prefix: str) -> list[tuple[str, bytes]]:
    """The files of a recorded run whose path begins with `prefix`: (path, content)."""
    blobs = {path: blob for path, blob in entry.files.items() if path.startswith(prefix)}
    return list(zip(blobs, git.read_objects(place.repo, blobs.values()), strict=True))
