"""Changes of recorded runs: tags, name, description, deletion. Each makes a new run commit."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gitml import documents, git
from gitml.errors import NOT_FOUND, GitError, UsageError, shown
from gitml.tracking import absent, names, recording, starting, store, values
from gitml.tracking.commits import RunChange
from gitml.tracking.ledger import ChangedError, Entry
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord, to_document
from gitml.tracking.recording import RUN_JSON
from gitml.tracking.session import Session
from gitml.tracking.system_tags import FIELDS

_TRIES = 100

Edit = Callable[[RunRecord], RunRecord]

_writer = f"{os.getpid()}-{secrets.token_hex(4)}"


def change(place: Place, entries: Sequence[Entry], edit: Edit, what: str) -> list[RunRecord]:
    """Apply `edit` to recorded runs, all of them or none; the records as they are then.

    A run that the edit leaves as it is gets no new commit. `what` says in a word what changed.
    Where another process changed a run meanwhile, the edit is applied to what it is then.
    """
    for _ in range(_TRIES):
        try:
            return _change_once(place, entries, edit, what)
        except ChangedError:
            entries = [entry_of(place, entry.record.run_id) for entry in entries]
    raise GitError("other processes change these runs all the time; try again later")


def _change_once(place: Place, entries: Sequence[Entry], edit: Edit, what: str) -> list[RunRecord]:
    identity = starting.identity(git.settings(place.repo))
    edited = [(entry, edit(entry.record)) for entry in entries]
    changes = [
        RunChange(
            record=record,
            files={RUN_JSON: documents.dump_json(to_document(record)), **entry.files},
            tree=None,
            parents=(entry.commit,),
            time=int(time.time()),
            identity=identity,
            what=what,
            before=entry.blob,
        )
        for entry, record in edited
        if record != entry.record
    ]
    if changes:
        place.ledger.append(changes)
    return [record for _, record in edited]


def tag(place: Place, run_id: str, tags: Mapping[str, Any]) -> None:
    """Set tags of a run, recorded or live; a value of None deletes one."""
    checked = {
        names.check_tag_key(key): None if value is None else values.check_tag_value(key, value)
        for key, value in tags.items()
    }
    run = place.live_run(run_id)
    if run.folder.is_dir() and not recording.is_dead(run):
        with joined(place, run_id) as session:
            session.mark(checked)
        return
    words = ", ".join(f"without {k}" if v is None else f"{k}={v}" for k, v in checked.items())
    change(place, [entry_of(place, run_id)], lambda record: _tagged(record, checked), words[:60])


def _tagged(record: RunRecord, tags: Mapping[str, str | None]) -> RunRecord:
    for key, value in tags.items():
        if field := FIELDS.get(key):
            name = names.check_run_name(value or "") if field == "name" else value
            record = _with(record, field, name)
            continue
        if value is None and record.tags.get(key) is None:
            raise UsageError(f"run {record.run_id} has no tag {shown(key)}", NOT_FOUND)
        if record.tags.get(key) != value:
            record = record.set(f"tags.{key}", value, _writer)
    return record


def rename(place: Place, run_id: str, name: str) -> None:
    """Give a run another name."""
    _set(place, run_id, "name", names.check_run_name(name))


def describe(place: Place, run_id: str, text: str | None) -> None:
    """Give a run another description."""
    _set(place, run_id, "description", text)


def _set(place: Place, run_id: str, field: str, value: str | None) -> None:
    run = place.live_run(run_id)
    if run.folder.is_dir() and not recording.is_dead(run):
        with joined(place, run_id) as session:
            session.set(**{field: value})
        return
    change(place, [entry_of(place, run_id)], lambda record: _with(record, field, value), field)


def _with(record: RunRecord, field: str, value: Any) -> RunRecord:
    return record if getattr(record, field) == value else record.set(field, value, _writer)


def delete(place: Place, run_ids: Sequence[str]) -> list[RunRecord]:
    """Mark runs as deleted; `gitml gc` takes marked runs out, until then they can be restored."""
    entries = [entry_of(place, run_id) for run_id in run_ids]
    return change(place, entries, lambda record: _with(record, "deleted", True), "deleted")


def restore(place: Place, run_ids: Sequence[str]) -> list[RunRecord]:
    """Take the mark of deletion from runs."""
    entries = [entry_of(place, run_id) for run_id in run_ids]
    return change(place, entries, lambda record: _with(record, "deleted", False), "restored")


def terminate(place: Place, run_id: str, status: str, end_time: int | None = None) -> None:
    """Give a recorded run another final status."""
    values.check_status(status)

    def edit(record: RunRecord) -> RunRecord:
        changed = replace(record, end_time=end_time or record.end_time or int(time.time() * 1000))
        return _with(changed, "status", status)

    change(place, [entry_of(place, run_id)], edit, status)


_UNRECORDED = "not recorded yet, though it has ended; run: gitml recover"


def entry_of(place: Place, run_id: str) -> Entry:
    """The recorded run with that id; UsageError when there is none."""
    names.check_run_id(run_id)
    entry = store.entry(place, run_id)
    if entry is None:
        if (run := place.live_run(run_id)).folder.is_dir():
            goes_on = recording.goes_on(run)
            what = "still running; wait until it has ended" if goes_on else _UNRECORDED
            raise UsageError(f"run {run_id} is {what}")
        raise absent.error(place, run_id)
    return entry


@contextlib.contextmanager
def joined(place: Place, run_id: str) -> Iterator[Session]:
    """A session to a run that another process writes, or that was recorded already.

    A recorded run is recorded again at the end of the block. UsageError when it is deleted.
    """
    record, entry = store.open_run(place, run_id)
    run = place.live_run(run_id)
    session = Session(run, starting.joining(place))
    session.know(record)
    try:
        yield session
    finally:
        session.end("FINISHED")
        if recording.is_dead(run):
            recording.record(place, run, known=entry)
