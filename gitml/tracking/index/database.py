"""The SQLite file of the index: its tables, and how it is opened, kept and thrown away."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gitml import files
from gitml.tracking.search.patterns import ilike, like

if TYPE_CHECKING:
    import sqlite3

SCHEMA = 2
_WAIT_SECONDS = 120.0  # longer than another process needs to build the largest index

# num: `v` is a metric's last value or a param's number, NULL for NaN; the rest is for metrics.
# text: tags, datasets (of which a run may have several), and params that are no JSON numbers.
# runs: `source` is NULL for a run that sets one of MLflow's own tags itself: then all of its tags
# are in `text`. `path` only where it is not the one that names.run_path gives. `blobs` is the
# id of run.json, or when heads differ a text of several. `revision` is the run commit.
_TABLES = """
CREATE TABLE heads(ref TEXT PRIMARY KEY, id TEXT NOT NULL, own INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE runs(
    rid INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    experiment TEXT NOT NULL, experiment_id TEXT NOT NULL, status TEXT NOT NULL,
    start_time INTEGER NOT NULL, end_time INTEGER, user TEXT NOT NULL, description TEXT,
    parent TEXT, source INTEGER, deleted INTEGER NOT NULL, path TEXT, blobs NOT NULL,
    revision BLOB
);
CREATE TABLE sources(source INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
    revision TEXT NOT NULL, branch TEXT NOT NULL, remote TEXT NOT NULL,
    UNIQUE(revision, branch, remote, name, type));
CREATE TABLE keys(k INTEGER PRIMARY KEY, entity TEXT NOT NULL, name TEXT NOT NULL,
    UNIQUE(entity, name));
CREATE TABLE num(k INTEGER NOT NULL, rid INTEGER NOT NULL, v, low, high, step, count,
    PRIMARY KEY(k, rid)) WITHOUT ROWID;
CREATE TABLE text(k INTEGER NOT NULL, rid INTEGER NOT NULL, v TEXT NOT NULL,
    PRIMARY KEY(k, rid, v)) WITHOUT ROWID;
CREATE TABLE experiments(path TEXT PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL,
    deleted INTEGER NOT NULL, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE documents(id INTEGER PRIMARY KEY, blob BLOB NOT NULL UNIQUE, data BLOB NOT NULL);
CREATE TABLE tombstones(run_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE problems(path TEXT PRIMARY KEY, problem TEXT NOT NULL) WITHOUT ROWID;
"""
INDEXES = {
    "runs_by_start": "runs(start_time DESC)",
    "runs_by_experiment": "runs(experiment_id, start_time DESC)",
    "num_by_value": "num(k, v)",
    "text_by_value": "text(k, v)",
}
# What says that the file is well but can't be had: it is full, locked or read-only.
_UNAVAILABLE = ("locked", "readonly", "unable to open", "is full", "disk I/O")


def connect(path: Path | None) -> sqlite3.Connection:
    """The index in the file `path`, or in memory; its tables are made if they are missing."""
    import sqlite3

    if path is not None:
        with contextlib.suppress(OSError):  # SQLite says better what is wrong
            path.touch(exist_ok=False)
            files.share(path)
    connection = sqlite3.connect(
        ":memory:" if path is None else path,
        timeout=_WAIT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _set_up(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection) -> None:
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -32768")
    connection.create_function("gitml_like", 2, like, deterministic=True)
    connection.create_function("gitml_ilike", 2, ilike, deterministic=True)
    connection.create_function("gitml_text", 1, str, deterministic=True)
    if not _has_schema(connection):
        with transaction(connection):
            if not _has_schema(connection):
                wipe(connection)


def _use_wal(connection: sqlite3.Connection) -> None:
    """Readers and the writer do not block one another; SQLite does not wait to change to this."""
    import sqlite3

    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.005)


def _has_schema(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA)


def wipe(connection: sqlite3.Connection) -> None:
    """Empty tables of this schema instead of whatever there is; inside a transaction."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    for (name,) in connection.execute(query).fetchall():
        connection.execute(f'DROP TABLE "{name}"')
    for statement in _TABLES.split(";\n"):
        connection.execute(statement)
    add_indexes(connection)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")


def add_indexes(connection: sqlite3.Connection) -> None:
    """Make the secondary indexes."""
    for name, columns in INDEXES.items():
        connection.execute(f"CREATE INDEX {name} ON {columns}")


def drop_indexes(connection: sqlite3.Connection) -> None:
    """Remove the secondary indexes: they are made faster at once than row by row."""
    for name in INDEXES:
        connection.execute(f"DROP INDEX {name}")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock for the length of a block: all of its changes or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextlib.contextmanager
def savepoint(connection: sqlite3.Connection) -> Iterator[None]:
    """Inside a transaction: undo what a block changed when it fails."""
    connection.execute("SAVEPOINT block")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK TO block")
            connection.execute("RELEASE block")
        raise
    connection.execute("RELEASE block")


def is_unavailable(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is out of reach, as against damaged."""
    return any(sign in str(error) for sign in _UNAVAILABLE)


def delete(path: Path) -> None:
    """Remove an index file and what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
