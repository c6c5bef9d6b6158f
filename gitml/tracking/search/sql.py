"""Filters and orders as SQL over the index: `runs r`, `num` and `text` (see index/database.py).

Every outside value is a bound parameter. Conditions are never NULL, so that NOT turns them round.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from gitml.tracking import system_tags
from gitml.tracking.search.expressions import (
    ATTRIBUTE,
    DATASET,
    METRIC,
    PARAM,
    TAG,
    And,
    Comparison,
    Filter,
    Key,
    Not,
    Or,
)
from gitml.tracking.search.literals import number_of

ATTRIBUTES = {
    "run_id": "r.run_id",
    "run_name": "r.name",
    "status": "r.status",
    "user_id": "r.user",
    "artifact_uri": "('runs:/' || r.run_id)",
    "experiment": "r.experiment",
    "experiment_id": "r.experiment_id",
    "description": "r.description",
    "parent_run_id": "r.parent",
    "start_time": "r.start_time",
    "end_time": "r.end_time",
    "duration": "(r.end_time - r.start_time)",
}
_NULLABLE = ("description", "parent_run_id", "end_time", "duration")
# MLflow's own tags, of a run that has not set or deleted one of them itself.
_SYSTEM = {
    **{
        name: f"CASE WHEN r.source IS NOT NULL THEN nullif({column}, '') END"
        for name, column in (
            (system_tags.USER, "r.user"),
            (system_tags.RUN_NAME, "r.name"),
            (system_tags.NOTE, "r.description"),
            (system_tags.PARENT_RUN_ID, "r.parent"),
        )
    },
    **{
        name: f"(SELECT nullif({column}, '') FROM sources WHERE source = r.source)"
        for name, column in (
            (system_tags.SOURCE_NAME, "name"),
            (system_tags.SOURCE_TYPE, "type"),
            (system_tags.GIT_COMMIT, "revision"),
            (system_tags.GIT_BRANCH, "branch"),
            (system_tags.GIT_REPO_URL, "remote"),
        )
    },
}
_FIGURES = {"last": "v", "min": "low", "max": "high", "step": "step", "count": "count"}

# The number of a key in the index, from its entity and name; None when no run has it.
KeyNumber = Callable[[str, str], "int | None"]


class Sql(NamedTuple):
    """A piece of SQL and the values of its parameters; how deep its parentheses go."""

    text: str
    values: tuple[Any, ...] = ()
    depth: int = 0


NEVER = Sql("0")
ALWAYS = Sql("1")


def condition(filter: Filter, number: KeyNumber, *, negated: bool = False) -> Sql:
    """The filter, or its opposite, as a condition on `runs r`."""
    if isinstance(filter, Not):
        return condition(filter.term, number, negated=not negated)
    if isinstance(filter, (And, Or)):
        word = "AND" if isinstance(filter, And) is not negated else "OR"
        return joined(word, (condition(term, number, negated=negated) for term in filter.terms))
    if filter.operator in ("IS NULL", "IS NOT NULL"):
        found, negated = _has(filter.key, number), negated is not (filter.operator == "IS NULL")
    else:
        found = _CONDITIONS[filter.key.entity](filter, number)
    return opposite(found) if negated else found


def joined(word: str, parts: Iterable[Sql]) -> Sql:
    """Conditions joined by AND or OR.

    As a balanced tree with the deepest part first, because SQLite limits both the depth of an
    expression and how much its parser has to remember.
    """
    found = sorted(parts, key=lambda part: -part.depth)
    if not found:
        return ALWAYS if word == "AND" else NEVER
    if len(found) == 1:
        return found[0]
    half = len(found) // 2
    left, right = joined(word, found[:half]), joined(word, found[half:])
    text = f"({left.text} {word} {right.text})"
    return Sql(text, left.values + right.values, max(left.depth, right.depth) + 1)


def opposite(part: Sql) -> Sql:
    """The opposite of a condition."""
    return Sql(f"(NOT {part.text})", part.values, part.depth + 1)


def seek(comparison: Comparison, number: KeyNumber) -> list[tuple[str, Sql]]:
    """Where an index finds all that can match: tables, and for each a condition on its rows.

    Nothing when the comparison is of a kind for which no index helps.
    """
    key, operator, operand = comparison.key, comparison.operator, comparison.operand
    if operator not in _SOUGHT or key.otherwise or key.summary != "last":
        return []
    if key.entity == ATTRIBUTE:
        return [("runs", _test("run_id", comparison, walk=True))] if key.name == "run_id" else []
    found = number(key.entity, key.name)
    if found is None or key.name in _SYSTEM:
        return []
    items = operand if isinstance(operand, tuple) else (operand,)
    if key.entity == METRIC or comparison.numeric:
        if operator == "IN" and any(item != item for item in items):
            return []
        return [("num", _row(found, _test("v", comparison, walk=True)))]
    places = [("text", _row(found, _test("v", comparison, walk=True)))]
    values = [value for value in map(number_of, items) if value is not None and value == value]
    if key.entity == PARAM and values:  # the text of a number is not stored
        places.append(("num", _row(found, Sql(f"v IN ({_marks(values)})", tuple(values)))))
    return places


_SOUGHT = ("=", ">", ">=", "<", "<=", "IN")


def _row(k: int, test: Sql) -> Sql:
    return Sql(f"k = {k} AND {test.text}", test.values)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


# -- one comparison ------------------------------------------------------------------------


def _of_attribute(comparison: Comparison, number: KeyNumber) -> Sql:
    return _not_null(ATTRIBUTES[comparison.key.name], comparison)


def _of_metric(comparison: Comparison, number: KeyNumber) -> Sql:
    """The metric of that very name decides; only a run without it is asked for `otherwise`."""
    key = comparison.key
    hit = _rows("num", key, number, _test(_FIGURES[key.summary], comparison))
    if key.otherwise is None:
        return hit
    other = _of_metric(replace(comparison, key=key.otherwise), number)
    lacks = opposite(_rows("num", key, number))
    return joined("OR", (hit, joined("AND", (lacks, other))))


def _of_param(comparison: Comparison, number: KeyNumber) -> Sql:
    """Text that is stored as text, else the text of the number."""
    key = comparison.key
    if comparison.numeric:
        return _rows("num", key, number, _test("v", comparison))
    stored_text = _rows("text", key, number, _test("v", comparison))
    test = _test("gitml_text(v)", comparison)
    if comparison.operator == "=":
        value = number_of(comparison.operand)
        if value is None or value != value:
            return stored_text
        test = Sql(f"v = ? AND {test.text}", (value, *test.values))
    lacks = opposite(_rows("text", key, number))
    written = _rows("num", key, number, test)
    return joined("OR", (stored_text, joined("AND", (lacks, written))))


def _of_tag(comparison: Comparison, number: KeyNumber) -> Sql:
    key = comparison.key
    own = _rows("text", key, number, _test("v", comparison))
    if key.name not in _SYSTEM:
        return own
    return joined("OR", (own, _not_null(_SYSTEM[key.name], comparison)))


def _of_dataset(comparison: Comparison, number: KeyNumber) -> Sql:
    return _rows("text", comparison.key, number, _test("v", comparison))


_CONDITIONS = {
    ATTRIBUTE: _of_attribute,
    METRIC: _of_metric,
    PARAM: _of_param,
    TAG: _of_tag,
    DATASET: _of_dataset,
}


def _has(key: Key, number: KeyNumber) -> Sql:
    """Whether the run has the key."""
    if key.entity == ATTRIBUTE:
        return Sql(f"({ATTRIBUTES[key.name]} IS NOT NULL)")
    parts = []
    if key.entity in (METRIC, PARAM):
        parts.append(_rows("num", key, number))
    if key.entity != METRIC:
        parts.append(_rows("text", key, number))
    if key.entity == TAG and key.name in _SYSTEM:
        parts.append(Sql(f"({_SYSTEM[key.name]} IS NOT NULL)"))
    if key.otherwise is not None:
        parts.append(_has(key.otherwise, number))
    return joined("OR", parts)


def _rows(table: str, key: Key, number: KeyNumber, test: Sql = ALWAYS) -> Sql:
    """Whether `table` has a row of the run and the key that passes the test."""
    found = number(key.entity, key.name)
    if found is None:
        return NEVER
    where = f"k = {found} AND rid = r.rid AND {test.text}"
    return Sql(f"EXISTS(SELECT 1 FROM {table} WHERE {where})", test.values)


def _not_null(expression: str, comparison: Comparison) -> Sql:
    test = _test(expression, comparison)
    return Sql(f"({expression} IS NOT NULL AND {test.text})", test.values)


def _test(column: str, comparison: Comparison, *, walk: bool = False) -> Sql:
    """The comparison of a column in which NULL stands for NaN; `walk` by an index, if one can."""
    operator, operand = comparison.operator, comparison.operand
    if isinstance(operand, tuple):
        # The plus keeps SQLite from walking through a list once for every run.
        plain = walk or (column == "r.run_id" and operator == "IN")
        return _membership(column if plain else f"+{column}", operator, operand, walk=walk)
    if operator in ("LIKE", "ILIKE"):
        return Sql(f"gitml_{operator.lower()}(?, {column})", (operand,))
    value = None if operand != operand else operand
    if operator in ("=", "!="):
        return Sql(f"{column} {'IS' if operator == '=' else 'IS NOT'} ?", (value,))
    if value is None:  # nothing is greater or less than NaN
        return NEVER
    return Sql(f"{column} {operator} ?", (value,))


def _membership(column: str, operator: str, items: Sequence[Any], *, walk: bool) -> Sql:
    if isinstance(items[0], str):  # one parameter, however long the list is
        return Sql(f"{column} {operator} (SELECT value FROM json_each(?))", (json.dumps(items),))
    if walk:
        return Sql(f"{column} {operator} ({_marks(items)})", tuple(items))
    values = tuple("NaN" if item != item else item for item in items)
    return Sql(f"ifnull({column}, 'NaN') {operator} ({_marks(items)})", values)


# -- orders --------------------------------------------------------------------------------


def order_expression(key: Key, number: KeyNumber) -> str:
    """What a run is ordered by: NULL where it has no such key, an empty blob for NaN."""
    if key.entity == ATTRIBUTE:
        return ATTRIBUTES[key.name]
    found = []
    if key.entity in (METRIC, PARAM):
        found += _value("num", f"ifnull({_FIGURES[key.summary]}, x'')", key, number)
    if key.entity != METRIC:
        found += _value("text", "v", key, number)
    if key.entity == TAG and key.name in _SYSTEM:
        found.append(_SYSTEM[key.name])
    if key.otherwise is not None:
        found.append(order_expression(key.otherwise, number))
    return f"coalesce({', '.join(found)}, NULL)" if found else "NULL"


def _value(table: str, value: str, key: Key, number: KeyNumber) -> list[str]:
    found = number(key.entity, key.name)
    return [f"(SELECT {value} FROM {table} WHERE k = {found} AND rid = r.rid)"] if found else []


def is_never_null(key: Key) -> bool:
    """Whether every run has the key, and it is never NaN."""
    return key.entity == ATTRIBUTE and key.name not in _NULLABLE


def is_system_tag(key: Key) -> bool:
    """Whether the key is one of MLflow's own tags, which no table lists by their values."""
    return key.entity == TAG and key.name in _SYSTEM


def order_clause(terms: Sequence[tuple[str, bool, bool]]) -> str:
    """ORDER BY for terms (expression, descending, never null); among equals the newest first."""
    parts = []
    for expression, descending, plain in terms:
        if not plain:
            kinds = "WHEN 'null' THEN 3 WHEN 'blob' THEN 2 WHEN 'text' THEN 1"
            parts.append(f"CASE typeof({expression}) {kinds} ELSE 0 END")
        parts.append(expression + (" DESC" if descending else ""))
    return ", ".join((*parts, "start_time DESC", "run_id"))
