"""Writing runs into the tables of the index."""

from __future__ import annotations

import contextlib
import datetime
import functools
import gc
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gitml.tracking.index import database
from gitml.tracking.index.reading import Refused
from gitml.tracking.index.rows import RunRows
from gitml.tracking.search.expressions import DATASET, METRIC, PARAM, SUMMARIES, TAG
from gitml.tracking.search.facts import Facts
from gitml.tracking.search.literals import number_of
from gitml.tracking.system_tags import NAMES

if TYPE_CHECKING:
    import sqlite3

Row = tuple[Any, ...]

_BULK = 1000
_figures = operator.itemgetter(*SUMMARIES)
_PARAMETERS = 999  # of one statement: what any SQLite takes
_SYSTEM = frozenset(NAMES)
_SOURCE = ("name", "type", "revision", "branch", "remote")  # of a run's system values, the last


class _Key:
    """A key's number, and its rows that wait to be written: flat, the columns of one after another.

    Rows wait key by key because that is how the tables are ordered: to write them in another
    order takes SQLite four times as long.
    """

    __slots__ = ("k", "num", "text")

    def __init__(self, k: int) -> None:
        self.k = k
        self.num: list[Any] = []
        self.text: list[Any] = []


class _Keys(dict[str, _Key]):
    """The keys of an entity that were needed so far; a new one gets a number."""

    def __init__(self, connection: sqlite3.Connection, entity: str) -> None:
        self._connection = connection
        self._entity = entity

    def __missing__(self, name: str) -> _Key:
        query = "SELECT k FROM keys WHERE entity = ? AND name = ?"
        found = self._connection.execute(query, (self._entity, name)).fetchone()
        if found is None:
            insert = "INSERT INTO keys(entity, name) VALUES (?, ?)"
            found = (self._connection.execute(insert, (self._entity, name)).lastrowid,)
        key = self[name] = _Key(found[0])
        return key


class Writer:
    """Writes runs into the tables, inside a transaction.

    `unattributed` gathers the ids of runs whose run commit is not known.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.unattributed: set[str] = set()
        self._load()

    def _load(self) -> None:
        connection = self._connection
        self._keys = {name: _Keys(connection, name) for name in (METRIC, PARAM, TAG, DATASET)}
        self._names = dict(connection.execute("SELECT id, name FROM experiments"))
        self._sources: dict[tuple[str | None, ...], int] = {}
        self._new_sources: list[Any] = []
        self._last_source: int = connection.execute(
            "SELECT ifnull(max(source), 0) FROM sources"
        ).fetchone()[0]
        self._last = connection.execute("SELECT ifnull(max(rid), 0) FROM runs").fetchone()[0]
        self._is_empty = self._last == 0

    @contextlib.contextmanager
    def in_bulk(self, count: int) -> Iterator[None]:
        """Store many runs in a block: without the secondary indexes, if `count` is worth it."""
        if count <= max(_BULK, self._last // 4):
            yield
            return
        collects = gc.isenabled()
        gc.disable()  # millions of small objects, none of them in a cycle
        try:
            database.drop_indexes(self._connection)
            yield
            database.add_indexes(self._connection)
        finally:
            if collects:
                gc.enable()

    def put(self, runs: Sequence[RunRows], revisions: Mapping[str, str]) -> list[Refused]:
        """Store runs, new ones and changed ones, and return those that SQLite can't hold."""
        from sqlite3 import DataError, IntegrityError, InterfaceError, ProgrammingError

        sql_errors = (DataError, IntegrityError, InterfaceError, ProgrammingError)
        try:
            with database.savepoint(self._connection):
                self._put(runs, revisions)
            return []
        except (*sql_errors, AttributeError, OverflowError, TypeError, ValueError) as error:
            self._load()
            return self._put_apart(runs, revisions, error)

    def _put_apart(
        self, runs: Sequence[RunRows], revisions: Mapping[str, str], error: Exception
    ) -> list[Refused]:
        """Look for the runs that can't be stored, by halves, and store the others."""
        half = len(runs) // 2
        if half:
            return self.put(runs[:half], revisions) + self.put(runs[half:], revisions)
        run = runs[0]
        if isinstance(error, UnicodeEncodeError):  # a file name that is no UTF-8
            return self.put([run._replace(facts=Facts(*map(_text_only, run.facts)))], revisions)
        self.drop([run.run_id])
        return [Refused(run.path, f"{run.path} is no run record: {error}")]

    def _put(self, runs: Sequence[RunRows], revisions: Mapping[str, str]) -> None:
        rows: list[Any] = []
        for run in runs:
            rid, revision = self._place(run.run_id, revisions.get(run.run_id))
            self._add_metrics(rid, run.facts)
            self._add_params(rid, run.facts)
            self._add_texts(rid, run.facts)
            name = self._names.get(run.facts.attributes["experiment_id"])
            rows += _run_row(rid, run, name, self._source(run.facts), revision)
        self._insert("INSERT INTO sources VALUES", self._new_sources, 6)
        self._new_sources.clear()
        self._insert("INSERT INTO runs VALUES", rows, 16)
        self._flush()

    def _flush(self) -> None:
        num: list[Any] = []
        text: list[Any] = []
        for keys in self._keys.values():
            for key in keys.values():
                num += key.num
                text += key.text
                key.num.clear()
                key.text.clear()
        self._insert("INSERT INTO num VALUES", num, 7)
        self._insert("INSERT OR IGNORE INTO text VALUES", text, 3)

    def _insert(self, statement: str, values: list[Any], columns: int) -> None:
        """Insert the values of many rows, a hundred with each statement: that saves a quarter."""
        row = f"({', '.join('?' * columns)})"
        rows = _PARAMETERS // columns
        many = f"{statement} {', '.join([row] * rows)}"
        size, rest = rows * columns, len(values) % (rows * columns)
        for at in range(0, len(values) - rest, size):
            self._connection.execute(many, values[at : at + size])
        if rest:
            few = f"{statement} {', '.join([row] * (rest // columns))}"
            self._connection.execute(few, values[-rest:])

    def drop(self, run_ids: Iterable[str]) -> None:
        """Remove runs."""
        for run_id in run_ids:
            query = "SELECT rid FROM runs WHERE run_id = ?"
            for (rid,) in self._connection.execute(query, (run_id,)).fetchall():
                self._clear(rid)

    def attribute(self, run_ids: Iterable[str], revisions: Mapping[str, str]) -> None:
        """Set the run commits of runs that are stored."""
        known = [
            (bytes.fromhex(revisions[run_id]), run_id) for run_id in run_ids if run_id in revisions
        ]
        self._connection.executemany("UPDATE runs SET revision = ? WHERE run_id = ?", known)

    def _place(self, run_id: str, revision: str | None) -> tuple[int, bytes | None]:
        """The number of a run, cleared of what was there, and its run commit."""
        commit = bytes.fromhex(revision) if revision else None
        if not self._is_empty:
            query = "SELECT rid, revision FROM runs WHERE run_id = ?"
            for rid, known in self._connection.execute(query, (run_id,)).fetchall():
                self._clear(rid)
                return rid, commit or known
        if commit is None:
            self.unattributed.add(run_id)
        self._last += 1
        return self._last, commit

    def _clear(self, rid: int) -> None:
        for table in ("num", "text"):
            where = "rid = ? AND k IN (SELECT k FROM keys)"  # a seek for each key, not a scan
            self._connection.execute(f"DELETE FROM {table} WHERE {where}", (rid,))
        self._connection.execute("DELETE FROM runs WHERE rid = ?", (rid,))

    def _add_metrics(self, rid: int, run: Facts) -> None:
        keys = self._keys[METRIC]
        for name, item in run.metrics.items():
            key = keys[name]
            try:
                key.num += (key.k, rid, *_figures(item))
            except KeyError:  # only NaN was logged: there is no minimum
                key.num += (key.k, rid, *map(item.get, SUMMARIES))

    def _add_params(self, rid: int, run: Facts) -> None:
        """A JSON number is in `num` alone, its text follows from it; all else has a text."""
        keys = self._keys[PARAM]
        for name, value in run.params.items():
            key = keys[name]
            number = value if type(value) is float else number_of(value)
            if number is not None:
                key.num += (key.k, rid, number, None, None, None, None)
            if number is None or type(number) is not type(value) or number != value:
                key.text += (key.k, rid, str(value))

    def _add_texts(self, rid: int, run: Facts) -> None:
        keys = self._keys[TAG]
        for name in run.tags if _SYSTEM.isdisjoint(run.tags) else {*run.tags, *_SYSTEM}:
            tag = run.tag(name)
            if tag is not None:
                key = keys[name]
                key.text += (key.k, rid, tag)
        keys = self._keys[DATASET]
        for name, values in run.datasets.items():
            for item in values:
                key = keys[name]
                key.text += (key.k, rid, item)

    def _source(self, run: Facts) -> int | None:
        """The number of the run's source and code; None for a run with such tags of its own."""
        if not _SYSTEM.isdisjoint(run.tags):
            return None
        values = run.system[4:]
        number = self._sources.get(values)
        if number is None:
            plain = tuple(value or "" for value in values)
            number = self._sources.get(plain) or self._stored_source(plain)
            self._sources[values] = self._sources[plain] = number
        return number

    def _stored_source(self, values: tuple[str, ...]) -> int:
        if not self._is_empty:
            where = " AND ".join(f"{column} = ?" for column in _SOURCE)
            query = f"SELECT source FROM sources WHERE {where}"
            known = self._connection.execute(query, values).fetchone()
            if known:
                return int(known[0])
        self._last_source += 1
        self._new_sources += (self._last_source, *values)
        return self._last_source


def _text_only(value: Any) -> Any:
    """A value with every half of a surrogate pair in it replaced."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_text_only(key): _text_only(item) for key, item in value.items()}
    return type(value)(map(_text_only, value)) if isinstance(value, (list, tuple)) else value


def usual_folder(experiment_id: str, run_id: str) -> str:
    """The same as names.run_path, for ids that are known to be some."""
    return f"runs/{experiment_id}/{_date(int(run_id[:12], 16) // 86_400_000)}/{run_id}"


@functools.lru_cache(1024)
def _date(day: int) -> str:
    try:
        return f"{datetime.date(1970, 1, 1) + datetime.timedelta(day):%Y/%m/%d}"
    except OverflowError:  # no id of gitml's: its folder is stored
        return ""


def _run_row(
    rid: int, run: RunRows, experiment: str | None, source: int | None, revision: bytes | None
) -> Row:
    known, blobs = run.facts.attributes, run.blobs
    folder = run.path.removesuffix("/run.json")
    return (
        rid, run.run_id, known["run_name"], experiment or known["experiment"],
        known["experiment_id"], known["status"], known["start_time"], known["end_time"],
        known["user_id"], known["description"], known["parent_run_id"], source, run.deleted,
        None if folder == usual_folder(str(known["experiment_id"]), run.run_id) else folder,
        bytes.fromhex(blobs[0]) if len(blobs) == 1 else " ".join(blobs), revision,
    )  # fmt: skip
