"""Bringing the index up to date with the heads of the ledger."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

from gitml import git
from gitml.documents import dump_json, load_json
from gitml.errors import FormatError, GitError
from gitml.git import Repository
from gitml.tracking import experiment
from gitml.tracking.experiment import ExperimentRecord
from gitml.tracking.index import database
from gitml.tracking.index.changes import Changes, all_revisions, changes
from gitml.tracking.index.documents import KEPT, keep
from gitml.tracking.index.heads import Heads, Own, read_heads
from gitml.tracking.index.reading import Files, Refused, Unite, read_runs
from gitml.tracking.index.writer import Writer

if TYPE_CHECKING:
    import sqlite3


def bring_up_to_date(
    connection: sqlite3.Connection, repo: Repository, ledger: str, unite: Unite, own: Own | None
) -> None:
    """Make the index say what the heads of `ledger` say now; see `Heads` for those of `own`."""
    heads = Heads.of(read_heads(repo, ledger), own)
    if _stored_heads(connection) == heads:
        return
    with database.transaction(connection):
        old = _stored_heads(connection)
        if [{*some.values()} for some in old] != [{*some.values()} for some in heads]:
            _Update(connection, repo, unite).run(old, heads)
        connection.execute("DELETE FROM heads")
        rows = [(*head, some is heads.own) for some in heads for head in some.items()]
        connection.executemany("INSERT INTO heads VALUES (?, ?, ?)", rows)


def _stored_heads(connection: sqlite3.Connection) -> Heads:
    query = "SELECT ref, id FROM heads WHERE own = ?"
    return Heads(*(dict(connection.execute(query, (own,))) for own in (True, False)))


class _Update:
    """One update, inside a transaction."""

    def __init__(self, connection: sqlite3.Connection, repo: Repository, unite: Unite) -> None:
        self._connection = connection
        self._repo = repo
        self._unite = unite

    def run(self, old: Heads, new: Heads) -> None:
        is_less = not old.own.keys() <= new.own.keys()  # what it had may be another's now
        found = self._changes(old, new) if old.ids and not is_less else None
        if found is None or any(
            not blobs and not path.endswith("/run.json") for path, blobs in found.files.items()
        ):  # a tombstone or an experiment's file went with its remote: what it hid was not kept
            self._rebuild(new)
        else:
            self._apply(found, new)

    def _changes(self, old: Heads, new: Heads) -> Changes | None:
        """None when an old commit is gone, collected after the ledger was appended again."""
        try:
            return changes(self._repo, old, new)
        except GitError:
            return None

    def _rebuild(self, heads: Heads) -> None:
        """From nothing: the first head by its whole tree, the others by how they differ."""
        database.wipe(self._connection)
        first = Heads(*(dict(itertools.islice(some.items(), 1)) for some in heads))
        if first.own:
            first = first._replace(others={})
        if heads.ids:
            self._apply(changes(self._repo, Heads({}, {}), first), first)
        if len(heads.ids) > 1:
            self._apply(changes(self._repo, first, heads), heads)

    def _apply(self, found: Changes, heads: Heads) -> None:
        paths = ((path,) for path in found.files)
        self._connection.executemany("DELETE FROM problems WHERE path = ?", paths)
        self._describe(_ending(found.files, "/experiment.json"))
        runs = _ending(found.files, "/run.json")
        writer = Writer(self._connection)
        writer.drop(_run_id(path) for path, blobs in runs.items() if not blobs)
        buried = self._bury(found.files, writer)
        present = {
            path: blobs for path, blobs in runs.items() if blobs and _run_id(path) not in buried
        }
        with writer.in_bulk(len(present)):
            left = len(present)
            for read in read_runs(self._repo, present, self._unite):
                writer.drop(_run_id(refused.path) for refused in read.refused)
                refused = read.refused + writer.put(read.runs, found.revisions)
                insert = "INSERT INTO problems VALUES (?, ?)"
                self._connection.executemany(insert, refused)
                if left <= KEPT:
                    keep(self._connection, read.contents)
                left -= len(read.contents)
        if writer.unattributed:  # their ledger commits are older than what was looked at
            writer.attribute(all_revisions(self._repo, heads))

    def _bury(self, files: Files, writer: Writer) -> frozenset[str]:
        """Note tombstones, drop their runs, and return the ids of all that were ever buried."""
        found = [path[8:] for path in files if path.startswith("deleted/")]
        writer.drop(found)
        insert = "INSERT OR IGNORE INTO tombstones VALUES (?)"
        self._connection.executemany(insert, ((run_id,) for run_id in found))
        return frozenset(row[0] for row in self._connection.execute("SELECT * FROM tombstones"))

    def _describe(self, files: Files) -> None:
        """Store what experiments' own files say."""
        for path, blobs in files.items():
            self._connection.execute("DELETE FROM experiments WHERE path = ?", (path,))
            try:
                sides = [
                    experiment.from_document(load_json(data, path), path)
                    for data in git.read_objects(self._repo, blobs)
                ]
            except FormatError as error:
                row = (path, str(error))
                self._connection.execute("INSERT INTO problems VALUES (?, ?)", row)
                continue
            if sides:
                self._store(path, functools.reduce(experiment.merge, sides))

    def _store(self, path: str, made: ExperimentRecord) -> None:
        """An experiment, and its name in its runs: theirs may be from before it was renamed."""
        document = dump_json(experiment.to_document(made)).decode()
        row = (path, made.id, made.name, made.deleted, document)
        self._connection.execute("INSERT INTO experiments VALUES (?, ?, ?, ?, ?)", row)
        rename = "UPDATE runs SET experiment = ? WHERE experiment_id = ? AND experiment <> ?"
        self._connection.execute(rename, (made.name, made.id, made.name))


def refuse(connection: sqlite3.Connection, refused: Refused) -> None:
    """Take a run out of the index whose file turned out to be unreadable."""
    with database.transaction(connection):
        Writer(connection).drop([_run_id(refused.path)])
        connection.execute("INSERT OR REPLACE INTO problems VALUES (?, ?)", refused)


def _run_id(path: str) -> str:
    return path.split("/")[-2]


def _ending(files: Files, suffix: str) -> dict[str, tuple[str, ...]]:
    return {path: blobs for path, blobs in files.items() if path.endswith(suffix)}
