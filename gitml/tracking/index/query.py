"""Asking the index: a search as SQL, in the order asked for, merged with runs that are live."""

from __future__ import annotations

import heapq
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from gitml.tracking.record import RunRecord
from gitml.tracking.search.expressions import METRIC, PARAM, And, Comparison, Filter, Order
from gitml.tracking.search.facts import facts
from gitml.tracking.search.match import matches, order_values, rank
from gitml.tracking.search.sql import (
    Sql,
    condition,
    is_never_null,
    joined,
    order_clause,
    order_expression,
    seek,
)

if TYPE_CHECKING:
    import sqlite3

ACTIVE, DELETED, ALL = "active", "deleted", "all"
VIEWS = (ACTIVE, DELETED, ALL)

_FEW = 1000  # so few candidates are sorted sooner than the order is walked through


_EVERYTHING = And()


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched for: a filter, an order, experiments (None: all of them) and a view."""

    filter: Filter = _EVERYTHING
    order: tuple[Order, ...] = ()
    experiment_ids: tuple[str, ...] | None = None
    view: str = ACTIVE


class Hit(NamedTuple):
    """A run that was found: its number in the index, or the record of a live run."""

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
        self._where = joined("AND", (*self._scope(), condition(question.filter, self._key)))

    def count(self) -> int:
        """How many runs there are."""
        source = self._candidates() or Sql("runs r")
        text = f"SELECT count(*) FROM {source.text} WHERE {self._where.text}"
        values = source.values + self._where.values
        found = self._connection.execute(text, values).fetchone()[0]
        return int(found) + sum(1 for _ in self._live_hits())

    def hits(self, limit: int | None, offset: int) -> list[Hit]:
        """The runs from `offset` on, at most `limit`, in order."""
        most = -1 if limit is None else offset + limit
        merged = heapq.merge(self._stored_hits(most), sorted(self._live_hits()))
        return list(itertools.islice(merged, offset, None if limit is None else most))

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
        if question.experiment_ids is not None:
            yield _in("r.experiment_id", question.experiment_ids)
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
        order, found = self._question.order, 0
        for query in self._queries():
            text = f"{query.text} LIMIT {most if most < 0 else most - found}"
            for rid, start, run_id, *values in self._connection.execute(text, query.values):
                answers = [math.nan if value == b"" else value for value in values]
                yield Hit(rank(order, answers, (-start, run_id)), rid)
                found += 1

    def _queries(self) -> Iterator[Sql]:
        """Queries whose results, one after the other, are in order."""
        few = self._candidates()
        if few is not None:
            yield self._ordered(few, self._where)
            return
        leading = self._leading()
        if leading is None:
            yield self._ordered(Sql("runs r"), self._where)
            return
        # Numbers come first, and lie in order in an index; then comes all else.
        source = Sql("num o INDEXED BY num_by_value CROSS JOIN runs r ON r.rid = o.rid")
        yield self._ordered(source, joined("AND", (*self._walk(leading), self._where)), "o.v")
        rest = f"SELECT 1 FROM num WHERE k = {leading} AND rid = r.rid AND v IS NOT NULL"
        rest_only = joined("AND", (Sql(f"NOT EXISTS({rest})"), self._where))
        yield self._ordered(Sql("runs r"), rest_only)

    def _ordered(self, source: Sql, where: Sql, leading: str | None = None) -> Sql:
        """The query; `leading` is the never-null column that stands for the first term."""
        terms = []
        for at, term in enumerate(self._question.order):
            text = leading if leading and not at else order_expression(term.key, self._key)
            plain = bool(leading and not at) or is_never_null(term.key)
            terms.append((text, term.descending, plain))
        columns = ", ".join(["r.rid", "r.start_time", "r.run_id", *(term[0] for term in terms)])
        text = f"SELECT {columns} FROM {source.text} WHERE {where.text} ORDER BY "
        return Sql(text + order_clause(terms), source.values + where.values)

    # -- the shortest way ------------------------------------------------------------------

    def _candidates(self) -> Sql | None:
        """A source of few runs, all that can match, if one comparison leaves so few."""
        for term in self._conjuncts():
            found = seek(term, self._key)
            if found is None:
                continue
            table, test = found
            probe = f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {test.text} LIMIT {_FEW})"
            if self._connection.execute(probe, test.values).fetchone()[0] < _FEW:
                rids = f"SELECT DISTINCT rid FROM {table} WHERE {test.text}"
                return Sql(f"({rids}) c CROSS JOIN runs r ON r.rid = c.rid", test.values)
        return None

    def _leading(self) -> int | None:
        """The number of the key whose numbers come first in the order."""
        if not self._question.order:
            return None
        key = self._question.order[0].key
        if key.entity not in (METRIC, PARAM) or key.otherwise or key.summary != "last":
            return None
        return self._key(key.entity, key.name)

    def _walk(self, leading: int) -> Iterator[Sql]:
        """The part of the index to walk: what the filter says of the same key narrows it."""
        yield Sql(f"o.k = {leading} AND o.v IS NOT NULL")
        key = self._question.order[0].key
        for term in self._conjuncts():
            found = seek(term, self._key) if term.key == key else None
            if found is not None and found[0] == "num":
                yield found[1]

    def _conjuncts(self) -> list[Comparison]:
        condition = self._question.filter
        terms = condition.terms if isinstance(condition, And) else (condition,)
        return [term for term in terms if isinstance(term, Comparison)]

    def _key(self, entity: str, name: str) -> int | None:
        query = "SELECT k FROM keys WHERE entity = ? AND name = ?"
        found = self._connection.execute(query, (entity, name)).fetchone()
        return None if found is None else int(found[0])


def _in(column: str, values: Any) -> Sql:
    return Sql(f"({column} IN (SELECT value FROM json_each(?)))", (json.dumps(list(values)),))
