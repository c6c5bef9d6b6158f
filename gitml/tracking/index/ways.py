"""Ways through the index: which table a search reads, and in which order, to be done soon.

Left to itself SQLite would read and sort all runs for most orders. Every way finds the same runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gitml.tracking.search.expressions import (
    ATTRIBUTE,
    METRIC,
    PARAM,
    TAG,
    And,
    Comparison,
    Filter,
    Key,
    Order,
)
from gitml.tracking.search.sql import (
    ALWAYS,
    KeyNumber,
    Sql,
    is_never_null,
    is_system_tag,
    joined,
    order_clause,
    order_expression,
    seek,
)

if TYPE_CHECKING:
    import sqlite3

_FEW = 1000  # so few candidates are sorted sooner than an index is walked through
_START = Key(ATTRIBUTE, "start_time")


class Way(NamedTuple):
    """Where a query reads runs `r`: a FROM clause and a condition that goes with it.

    A walk reads them in the order of its column `o.v`, which then stands for the first term of
    the search's order; `holds` says of a run that the walk comes by it.
    """

    source: Sql
    where: Sql = ALWAYS
    holds: str = ""


class Ways:
    """The ways for a filter and an order."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        filter: Filter,
        order: Sequence[Order],
        number: KeyNumber,
    ) -> None:
        self._connection = connection
        self._order = order
        self._number = number
        self._values = [order_expression(term.key, number) for term in order]
        terms = filter.terms if isinstance(filter, And) else (filter,)
        self._conjuncts = [term for term in terms if isinstance(term, Comparison)]

    def all(self, *, one_experiment: bool) -> Iterator[Way]:
        """Ways that read every run that can match, each once, one after the other in order."""
        few = self.few()
        if few is not None:
            yield few
            return
        walks = list(self._walks())
        yield from walks
        if not walks or self._others_than(walks):
            others = joined("AND", (Sql(f"NOT {walk.holds}") for walk in walks))
            yield Way(Sql(self._runs(one_experiment)), others)

    def few(self) -> Way | None:
        """The runs that one comparison leaves, if it leaves few.

        One with the key that leads the order does not count: it cuts the walk short.
        """
        leading = self._order[0].key if self._order else None
        for term in self._conjuncts:
            places = seek(term, self._number) if term.key != leading else []
            each = " UNION ALL ".join(
                f"SELECT rid FROM {table} WHERE {test.text}" for table, test in places
            )
            values = tuple(value for _, test in places for value in test.values)
            if each and self._is_few(f"SELECT rid FROM ({each}) LIMIT {_FEW}", values):
                rids = f"(SELECT DISTINCT rid FROM ({each})) c"
                return Way(Sql(f"{rids} CROSS JOIN runs r ON r.rid = c.rid", values))
        return None

    def query(self, way: Way, where: Sql) -> Sql:
        """The runs on a way that match a condition, in order: number, start, id, and values."""
        condition = joined("AND", (way.where, where))
        values = ["o.v", *self._values[1:]] if way.holds else self._values
        columns = ["r.rid", "r.start_time AS start_time", "r.run_id AS run_id"]
        columns += [f"{value} AS v{at}" for at, value in enumerate(values)]
        text = f"SELECT {', '.join(columns)} FROM {way.source.text} WHERE {condition.text}"
        if not way.holds and not all(is_never_null(term.key) for term in self._order):
            text = f"SELECT * FROM ({text} LIMIT -1)"  # else each value is worked out three times
            values = [f"v{at}" for at in range(len(values))]
        terms = [
            (value, term.descending, value == "o.v" or is_never_null(term.key))
            for value, term, known in zip(values, self._order, self._values, strict=True)
            if known != "NULL"
        ]
        parameters = way.source.values + condition.values
        return Sql(f"{text} ORDER BY {order_clause(terms)}", parameters)

    # -- the kinds of ways -----------------------------------------------------------------

    def _walks(self) -> Iterator[Way]:
        """What the order begins with lies in order in an index: numbers first, then text."""
        key = self._order[0].key if self._order else _START
        k = self._number(key.entity, key.name)
        if k is None or key.otherwise or key.summary != "last" or is_system_tag(key):
            return
        if key.entity in (METRIC, PARAM):
            yield self._walk("num", k, "o.v IS NOT NULL")
        if key.entity == PARAM:
            yield self._walk(
                "text", k, f"NOT EXISTS(SELECT 1 FROM num WHERE k = {k} AND rid = o.rid)"
            )
        if key.entity == TAG:
            yield self._walk("text", k, "1")

    def _walk(self, table: str, k: int, kept: str) -> Way:
        """Along the values of a key; what the filter says of the same key cuts it short."""
        parts = [Sql(f"o.k = {k} AND {kept}")]
        for term in self._conjuncts:
            places = seek(term, self._number) if term.key == self._order[0].key else []
            if [place for place, _ in places] == [table]:
                parts.append(places[0][1])
        source = f"{table} o INDEXED BY {table}_by_value CROSS JOIN runs r ON r.rid = o.rid"
        rows = f"SELECT 1 FROM {table} o WHERE o.k = {k} AND o.rid = r.rid AND {kept}"
        return Way(Sql(source), joined("AND", parts), f"EXISTS({rows})")

    def _runs(self, one_experiment: bool) -> str:
        """All runs; in the order of their start if that is what is asked for."""
        left = [
            term.key
            for term, value in zip(self._order, self._values, strict=True)
            if value != "NULL"
        ]
        if left and left[0] != _START:
            return "runs r"
        return f"runs r INDEXED BY runs_by_{'experiment' if one_experiment else 'start'}"

    def _others_than(self, walks: Sequence[Way]) -> bool:
        """Whether there are runs that no walk comes by."""
        holds = " OR ".join(walk.holds for walk in walks)
        query = f"SELECT 1 FROM runs r WHERE NOT ({holds}) LIMIT 1"
        return self._connection.execute(query).fetchone() is not None

    def _is_few(self, query: str, values: Sequence[object]) -> bool:
        count = self._connection.execute(f"SELECT count(*) FROM ({query})", values).fetchone()[0]
        return bool(count < _FEW)
