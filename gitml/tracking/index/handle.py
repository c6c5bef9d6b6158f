"""The index of a repository's runs, as the rest of gitml uses it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gitml import git
from gitml.errors import FormatError, UsageError, shown
from gitml.git import Repository
from gitml.tracking.experiment import ExperimentRecord
from gitml.tracking.index import lookup
from gitml.tracking.index.documents import is_small, keep_if_free, kept
from gitml.tracking.index.heads import Own
from gitml.tracking.index.location import index_path
from gitml.tracking.index.memory import Memory
from gitml.tracking.index.query import ACTIVE, VIEWS, Query, Question
from gitml.tracking.index.reading import Unite, record_of, refused
from gitml.tracking.index.row import Row, live_row, stored_rows
from gitml.tracking.index.store import Store
from gitml.tracking.index.update import bring_up_to_date, refuse
from gitml.tracking.record import RunRecord
from gitml.tracking.search.expressions import METRIC, PARAM, TAG
from gitml.tracking.search.syntax import parse_filter, parse_order
from gitml.tracking.typed import MALFORMED

if TYPE_CHECKING:
    import sqlite3

_MOST = 1 << 60  # SQLite counts no further


def newest(records: Sequence[RunRecord]) -> RunRecord:
    """The record whose status, then whose other fields, were set last; in any order the same."""
    return max(records, key=lambda record: (record.stamp("status"), sorted(record.clock.items())))


@dataclass(frozen=True, slots=True)
class Index:
    """The searchable cache of a ledger, as of when it was opened or refreshed.

    Every method that takes `live` counts those records in: a live run stands in for what is
    recorded under its id. Safe to share between threads.
    """

    repo: Repository
    unite: Unite
    _store: Store
    _memory: Memory = field(default_factory=Memory)

    @classmethod
    def open(
        cls,
        repo: Repository,
        ledger: str = "gitml/runs",
        *,
        unite: Unite = newest,
        own: Own | None = None,
    ) -> Index:
        """The index of the ledger branch `ledger`, up to date with the heads of it.

        `unite` makes one record of those that heads have for the same run; `own` chooses of the
        heads' names those that count before others, by default all do. Raises GitError.
        """
        store = Store(
            index_path(repo),
            lambda connection: bring_up_to_date(connection, repo, ledger, unite, own),
        )
        store.fill()
        return cls(repo, unite, store)

    def refresh(self) -> None:
        """Bring the index up to date: one git process when nothing has changed."""
        self._store.fill()

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()

    # -- searching -------------------------------------------------------------------------

    def search(
        self,
        filter: str = "",
        order_by: str | Sequence[str] = (),
        *,
        experiment_ids: Iterable[str] | None = None,
        view: str = ACTIVE,
        limit: int | None = None,
        offset: int = 0,
        live: Sequence[RunRecord] = (),
    ) -> list[Row]:
        """The runs that a filter matches, in order; the newest first where nothing else decides.

        `view` is `active`, `deleted` or `all`; runs of a deleted experiment count as deleted.
        Raises UsageError for a filter or an order that can't be read.
        """
        if (limit is not None and limit < 0) or offset < 0:
            raise UsageError("limit and offset must not be negative")
        question = _question(filter, order_by, experiment_ids, view)
        most = None if limit is None else min(limit, _MOST)

        def work(connection: sqlite3.Connection) -> list[Row]:
            current = _current(connection, live)
            hits = Query(connection, question, current).hits(most, min(offset, _MOST))
            rows = stored_rows(connection, "rid", [hit.rid for hit in hits if hit.live is None])
            return [live_row(hit.live) if hit.live else rows[hit.rid] for hit in hits]

        return self._store.ask(work)

    def count(
        self,
        filter: str = "",
        *,
        experiment_ids: Iterable[str] | None = None,
        view: str = ACTIVE,
        live: Sequence[RunRecord] = (),
    ) -> int:
        """How many runs `search` would find."""
        question = _question(filter, (), experiment_ids, view)
        return self._store.ask(
            lambda connection: Query(connection, question, _current(connection, live)).count()
        )

    def records(self, rows: Sequence[Row]) -> list[RunRecord]:
        """The records of rows, in their order; one git process for those that are not at hand.

        A file that can't be read is left out, and from then on among the `problems`.
        """
        marks = self.marks()
        known = [row.record or self._memory.get(row.blobs) for row in rows]
        unknown = [row for row, record in zip(rows, known, strict=True) if record is None]
        contents = self._contents([blob for row in unknown for blob in row.blobs])
        found = (
            record or self._record(row, contents) for row, record in zip(rows, known, strict=True)
        )
        return [_as_today(record, marks) for record in found if record is not None]

    def as_today(self, record: RunRecord) -> RunRecord:
        """A record with what its experiment says today: its name, and that it is deleted."""
        return _as_today(record, self.marks())

    def _record(self, row: Row, contents: Mapping[str, bytes]) -> RunRecord | None:
        path = f"{row.folder}/run.json"
        try:
            record = record_of(path, [contents[blob] for blob in row.blobs], self.unite)
        except (FormatError, *MALFORMED) as error:
            problem = refused(path, error)
            self._store.ask(lambda connection: refuse(connection, problem))
            return None
        if all(is_small(contents[blob]) for blob in row.blobs):
            self._memory.keep(row.blobs, record)
        return record

    def _contents(self, blobs: Sequence[str]) -> dict[str, bytes]:
        if not blobs:
            return {}
        known = self._store.ask(lambda connection: kept(connection, blobs))
        missing = [blob for blob in blobs if blob not in known]
        read = dict(zip(missing, git.read_objects(self.repo, missing), strict=True))
        if read:
            self._store.ask(lambda connection: keep_if_free(connection, read))
        return {**known, **read}

    # -- looking up ------------------------------------------------------------------------

    def find(self, text: str, *, live: Sequence[RunRecord] = ()) -> list[str]:
        """The ids of the runs that `text` may mean, the newest first; see `lookup.find`."""
        return self._store.ask(lambda connection: lookup.find(connection, text, live))

    def rows_for(self, run_ids: Sequence[str]) -> list[Row]:
        """The rows of recorded runs, deleted ones too, in the order of the ids; none for others."""
        rows = self._store.ask(lambda connection: stored_rows(connection, "run_id", run_ids))
        return [rows[run_id] for run_id in run_ids if run_id in rows]

    def marks(self) -> dict[str, lookup.Mark]:
        """The names of experiments, and whether they are deleted, of those with own files."""
        return self._store.ask(lookup.marks)

    def experiments(self, *, live: Sequence[RunRecord] = ()) -> list[ExperimentRecord]:
        """All experiments, deleted ones too, in the order of their names."""
        return self._store.ask(lambda connection: lookup.experiments(connection, live))

    def metric_keys(self) -> list[str]:
        """The metrics that recorded runs have."""
        return self._store.ask(lambda connection: lookup.keys(connection, METRIC))

    def param_keys(self) -> list[str]:
        """The params that recorded runs have."""
        return self._store.ask(lambda connection: lookup.keys(connection, PARAM))

    def tag_keys(self) -> list[str]:
        """The tags that people set on recorded runs."""
        return self._store.ask(lambda connection: lookup.keys(connection, TAG))

    def problems(self) -> list[str]:
        """What is wrong with files of the ledger that could not be read, one line each."""
        return list(self.unreadable().values())

    def unreadable(self) -> dict[str, str]:
        """The files of the ledger that could not be read, each with what is wrong with it."""
        query = "SELECT path, problem FROM problems ORDER BY path"
        return self._store.ask(lambda connection: dict(connection.execute(query).fetchall()))


def _question(
    filter: str,
    order_by: str | Sequence[str],
    experiment_ids: Iterable[str] | None,
    view: str,
) -> Question:
    if view not in VIEWS:
        raise UsageError(f"view {shown(view)} is not one; use one of {', '.join(VIEWS)}")
    ids = None if experiment_ids is None else tuple(map(str, experiment_ids))
    return Question(parse_filter(filter), parse_order(order_by), ids, view)


def _current(connection: sqlite3.Connection, live: Sequence[RunRecord]) -> list[RunRecord]:
    """Live runs with what their experiments say today."""
    marks = lookup.marks(connection) if live else {}
    return [_as_today(record, marks) for record in live]


def _as_today(record: RunRecord, marks: Mapping[str, lookup.Mark]) -> RunRecord:
    mark = marks.get(record.experiment_id)
    if mark is None or (mark.name == record.experiment and not mark.deleted):
        return record
    return replace(record, experiment=mark.name, deleted=record.deleted or mark.deleted)
