"""Looking up runs by what people call them, keys, and experiments."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from gitml.documents import load_json
from gitml.tracking import experiment
from gitml.tracking.experiment import ExperimentRecord
from gitml.tracking.record import RunRecord
from gitml.tracking.search.expressions import METRIC

if TYPE_CHECKING:
    import sqlite3

LATEST = "latest"
SHOWN = 8  # how many digits of an id, its last ones, listings show

_DIGITS = re.compile(r"[0-9a-f]{4,32}")
_ALIVE = "deleted = 0 AND experiment_id NOT IN (SELECT id FROM experiments WHERE deleted)"
_BY_DIGITS = """runs WHERE run_id IN (
    SELECT run_id FROM runs WHERE run_id >= ? AND run_id < ?
    UNION ALL SELECT run_id FROM runs WHERE substr(run_id, ?) = ?)"""
_BY_SHOWN = "runs WHERE substr(run_id, ?, ?) = ?"


def find(connection: sqlite3.Connection, text: str, live: Sequence[RunRecord]) -> list[str]:
    """The ids of the runs that `text` may mean, the newest first.

    The first of these that finds any: `latest`, the newest run; an id, or a prefix or suffix of
    ids of at least 4 hex digits; such a prefix of the digits that listings show; the name of runs.
    Runs that are marked as deleted are found only if no other is.
    """
    if text == LATEST:
        newest = f"{_ALIVE} ORDER BY start_time DESC, run_id LIMIT {1 + len(live)}"
        source = f"runs INDEXED BY runs_by_start WHERE {newest}"
        return _found(connection, source, (), live, lambda run: not run.deleted)[:1]
    digits = text.lower()
    if _DIGITS.fullmatch(digits):
        values = (digits, digits + "g", -len(digits), digits)
        by_id = _found(connection, _BY_DIGITS, values, live, lambda run: _has(run, digits))
        if by_id:
            return by_id
        shown = (-SHOWN, len(digits), digits)
        by_id = _found(connection, _BY_SHOWN, shown, live, lambda run: _shows(run, digits))
        if by_id:
            return by_id
    # A text with half a character in it, as a shell may pass, is the name of no run.
    name = text.encode("utf-8", "replace").decode()
    return _found(connection, "runs WHERE name = ?", (name,), live, lambda run: run.name == text)


def _has(run: RunRecord, digits: str) -> bool:
    return run.run_id.startswith(digits) or run.run_id.endswith(digits)


def _shows(run: RunRecord, digits: str) -> bool:
    return run.run_id[-SHOWN:].startswith(digits)


def _found(
    connection: sqlite3.Connection,
    source: str,
    values: Sequence[object],
    live: Sequence[RunRecord],
    test: Callable[[RunRecord], bool],
) -> list[str]:
    query = f"SELECT run_id, deleted, -start_time FROM {source}"
    runs = {
        run_id: (deleted, start) for run_id, deleted, start in connection.execute(query, values)
    }
    for run in live:
        runs.pop(run.run_id, None)
        if test(run):
            runs[run.run_id] = (int(run.deleted), -run.start_time)
    kept = min((deleted for deleted, _ in runs.values()), default=0)
    known = sorted((start, run_id) for run_id, (deleted, start) in runs.items() if deleted == kept)
    return [run_id for _, run_id in known]


def keys(connection: sqlite3.Connection, entity: str) -> list[str]:
    """The names of the metrics, params or tags that runs have."""
    tables = ("num",) if entity == METRIC else ("num", "text")
    used = " OR ".join(f"EXISTS(SELECT 1 FROM {table} WHERE k = keys.k)" for table in tables)
    query = f"SELECT name FROM keys WHERE entity = ? AND ({used}) ORDER BY name"
    return [name for (name,) in connection.execute(query, (entity,))]


class Mark(NamedTuple):
    """What an experiment's own file says today: its name, and whether it is deleted."""

    name: str
    deleted: bool


def marks(connection: sqlite3.Connection) -> dict[str, Mark]:
    """The marks of the experiments that have a file of their own, by id."""
    rows = connection.execute("SELECT id, name, deleted FROM experiments")
    return {id: Mark(name, bool(deleted)) for id, name, deleted in rows}


def experiments(
    connection: sqlite3.Connection, live: Sequence[RunRecord]
) -> list[ExperimentRecord]:
    """All experiments, from their own files and from what runs say, in the order of their names.

    One whose file does not tell when it was created is as old as its oldest run.
    """
    own = {
        made.id: made
        for path, document in connection.execute("SELECT path, document FROM experiments")
        for made in [experiment.from_document(load_json(document.encode(), path), path)]
    }
    seen: dict[str, tuple[int, str]] = {}
    for experiment_id, *first in connection.execute(_OLDEST):
        seen[experiment_id] = (first[0], first[1])
    for run in live:
        first_seen = (run.start_time, run.experiment)
        seen[run.experiment_id] = min(seen.get(run.experiment_id, first_seen), first_seen)
    for experiment_id, (start, name) in seen.items():
        known = own.get(experiment_id) or ExperimentRecord(experiment_id, name)
        own[experiment_id] = known if known.created is not None else replace(known, created=start)
    return sorted(own.values(), key=lambda known: (known.name, known.id))


# Each experiment's id, and the start and the experiment's name of its oldest run; from one
# experiment to the next by the index, without a look at all runs.
_OLDEST = """
WITH RECURSIVE ids(id) AS (
    SELECT min(experiment_id) FROM runs
    UNION ALL
    SELECT (SELECT min(experiment_id) FROM runs WHERE experiment_id > ids.id) FROM ids
    WHERE ids.id IS NOT NULL)
SELECT r.experiment_id, r.start_time, r.experiment FROM ids CROSS JOIN runs r ON r.rid = (
    SELECT rid FROM runs WHERE experiment_id = ids.id ORDER BY start_time, rid LIMIT 1)
WHERE ids.id IS NOT NULL
"""
