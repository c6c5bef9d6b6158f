"""Asking the index: a search as SQL, in the order asked for, merged with runs that are live."""

from __future__ import annotations

import heapq
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from gitml.tracking.index.ways import Way, Ways
from gitml.tracking.record import RunRecord
from gitml.tracking.search.expressions import And, Filter, Order
from gitml.tracking.search.facts import facts
from gitml.tracking.search.match import matches, order_values, rank
from gitml.tracking.search.sql import Sql, condition, joined

if TYPE_CHECKING:
    import sqlite3

ACTIVE, DELETED, ALL = "active", "deleted", "all"
VIEWS = (ACTIVE, DELETED, ALL)

_EVERYTHING = And()


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched for: a filter, an order, experiments (None: all of them) and a view."""

    filter: Filter = _EVERYTHING
    order: tuple[Order, ...] = ()
    experiment_ids: tuple[str, ...] | None = None
    view: str = ACTIVE


class Hit(NamedTuple):
    """A run that was found: its number in the index, or the record of a live run.

    `place` tells where it stands among others, if there are live runs at all.
    """

    place: tuple[Any, ...]
    rid: int
    live: RunRecord | None = None


class Query:
    """One question to the index. Live runs stand in for the stored rows of the same id."""

    def __init__(
        self, connection: sqlite3.Connection, question: Question, live: Sequence[RunRecord]
    ) -> None:
        self._connection = connection
        self._question = question
        self._removed = frozenset(
            row[0] for row in connection.execute("SELECT id FROM experiments WHERE deleted")
        )
        self._live = live
        self._ways = Ways(connection, question.filter, question.order, self._key)
        self._where = joined("AND", (*self._scope(), condition(question.filter, self._key)))

    def count(self) -> int:
        """How many runs there are."""
        way = self._ways.few() or Way(Sql("runs r"))
        text = f"SELECT count(*) FROM {way.source.text} WHERE {self._where.text}"
        values = way.source.values + self._where.values
        found = self._connection.execute(text, values).fetchone()[0]
        return int(found) + sum(1 for _ in self._live_hits())

    def hits(self, limit: int | None, offset: int) -> list[Hit]:
        """The runs from `offset` on, at most `limit`, in order."""
        end = None if limit is None else offset + limit
        found = self._stored_hits(-1 if end is None else end)
        if self._live:
            found = heapq.merge(found, sorted(self._live_hits()))
        return list(itertools.islice(found, offset, end))

    # -- which runs ------------------------------------------------------------------------

    def _scope(self) -> Iterator[Sql]:
        """The conditions apart from the filter."""
        question, removed = self._question, _in("r.experiment_id", self._removed)
        if question.view == ACTIVE:
            yield Sql("r.deleted = 0")
            if self._removed:
                yield Sql(f"NOT {removed.text}", removed.values)
        elif question.view == DELETED:
            yield Sql(f"(r.deleted OR {removed.text})", removed.values)
        ids = question.experiment_ids
        if ids is not None and len(ids) == 1:
            one = "(SELECT value FROM json_each(?))"  # an index can follow it, unlike a list
            yield Sql(f"r.experiment_id = {one}", (json.dumps(ids),))
        elif ids is not None:
            yield _in("r.experiment_id", ids)
        if self._live:
            stored = _in("+r.run_id", [record.run_id for record in self._live])
            yield Sql(f"NOT {stored.text}", stored.values)

    def _live_hits(self) -> Iterator[Hit]:
        question = self._question
        for record in self._live:
            deleted = record.deleted or record.experiment_id in self._removed
            if question.view != ALL and deleted != (question.view == DELETED):
                continue
            ids = question.experiment_ids
            if ids is not None and record.experiment_id not in ids:
                continue
            known = facts(record)
            if matches(question.filter, known):
                place = rank(question.order, order_values(question.order, known), known.tie)
                yield Hit(place, 0, record)

    def _stored_hits(self, most: int) -> Iterator[Hit]:
        """In order; `most` bounds what SQLite has to sort, -1 for all."""
        found, ids = 0, self._question.experiment_ids
        for way in self._ways.all(one_experiment=ids is not None and len(ids) == 1):
            query = self._ways.query(way, self._where)
            text = f"{query.text} LIMIT {most if most < 0 else most - found}"
            for rid, start, run_id, *values in self._connection.execute(text, query.values):
                yield Hit(self._place(values, (-start, run_id)) if self._live else (), rid)
                found += 1
            if found == most:
                break

    def _place(self, values: Sequence[Any], tie: tuple[int, str]) -> tuple[Any, ...]:
        answers = [math.nan if value == b"" else value for value in values]
        return rank(self._question.order, answers, tie)

    def _key(self, entity: str, name: str) -> int | None:
        query = "SELECT k FROM keys WHERE entity = ? AND name = ?"
        found = self._connection.execute(query, (entity, name)).fetchone()
        return None if found is None else int(found[0])


def _in(column: str, values: Any) -> Sql:
    return Sql(f"({column} IN (SELECT value FROM json_each(?)))", (json.dumps(list(values)),))
