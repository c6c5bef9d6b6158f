"""A row of a search: what the index itself knows of a run, without reading its run.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gitml.tracking.index.writer import usual_folder
from gitml.tracking.record import RunRecord

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, slots=True)
class Row:
    """A run that was found; times are in milliseconds since the epoch.

    `folder` is its place in the ledger. `blobs` are the ids of its run.json: several when heads of
    the ledger differ, until somebody pulls. `commit` is its run commit, None if nobody knows it.
    A live run has its `record` instead of these three.
    """

    run_id: str
    name: str
    experiment: str
    experiment_id: str
    status: str
    start_time: int
    end_time: int | None
    user: str
    deleted: bool
    folder: str = ""
    blobs: tuple[str, ...] = ()
    commit: str | None = None
    record: RunRecord | None = None


def live_row(record: RunRecord) -> Row:
    """The row of a live run."""
    return Row(
        record.run_id,
        record.name,
        record.experiment,
        record.experiment_id,
        record.status,
        record.start_time,
        record.end_time,
        record.user,
        record.deleted,
        record=record,
    )


def stored_rows(
    connection: sqlite3.Connection, column: str, values: Iterable[object]
) -> dict[Any, Row]:
    """The rows whose `column` (rid or run_id) is one of the values, by that value."""
    query = (
        f"SELECT {column}, run_id, name, experiment, experiment_id, status, start_time, end_time,"
        " user, deleted, path, blobs, revision FROM runs"
        f" WHERE {column} IN (SELECT value FROM json_each(?))"
    )
    found = connection.execute(query, (json.dumps(list(values)),))
    return {key: _row(rest) for key, *rest in found}


def _row(values: Sequence[Any]) -> Row:
    run_id, name, experiment, experiment_id, status, start, end, user = values[:8]
    deleted, path, blobs, revision = values[8:]
    return Row(
        run_id,
        name,
        experiment,
        experiment_id,
        status,
        start,
        end,
        user,
        bool(deleted),
        folder=path or usual_folder(experiment_id, run_id),
        blobs=tuple(blobs.split(" ")) if isinstance(blobs, str) else (blobs.hex(),),
        commit=None if revision is None else revision.hex(),
    )
