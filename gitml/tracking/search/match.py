"""Asking one run directly: whether a filter matches it, and where an order puts it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gitml.tracking.search.expressions import (
    ATTRIBUTE,
    DATASET,
    METRIC,
    PARAM,
    And,
    Comparison,
    Filter,
    Key,
    Not,
    Or,
    Order,
)
from gitml.tracking.search.facts import Facts
from gitml.tracking.search.literals import number_of
from gitml.tracking.search.patterns import ilike, like

Answer = int | float | str | None


def matches(condition: Filter, run: Facts) -> bool:
    """Whether the filter matches the run."""
    if isinstance(condition, And):
        return all(matches(term, run) for term in condition.terms)
    if isinstance(condition, Or):
        return any(matches(term, run) for term in condition.terms)
    if isinstance(condition, Not):
        return not matches(condition.term, run)
    return _holds(condition, run)


def order_values(order: Sequence[Order], run: Facts) -> list[Answer]:
    """What the run is ordered by, one value for each term; None where it has no such key."""
    return [_order_value(term.key, run) for term in order]


def rank(order: Sequence[Order], values: Sequence[Answer], tie: tuple[int, str]) -> tuple[Any, ...]:
    """A sort key: by what `order_values` found, then by the run's `tie`."""
    terms = zip(order, values, strict=True)
    return (*(_place(value, term.descending) for term, value in terms), tie)


def _holds(comparison: Comparison, run: Facts) -> bool:
    found = answers(comparison.key, run)
    if comparison.operator == "IS NULL":
        return not found
    if comparison.operator == "IS NOT NULL":
        return bool(found)
    if comparison.key.entity == PARAM:
        found = [number_of(value) if comparison.numeric else str(value) for value in found]
    test = _TESTS[comparison.operator]
    return any(value is not None and test(value, comparison.operand) for value in found)


def answers(key: Key, run: Facts) -> Sequence[Any]:
    """What a run has under `key`: nothing, one value, or one for each of its datasets."""
    if key.entity == METRIC:
        figures = run.metrics.get(key.name)
        if figures is not None:
            figure = figures.get(key.summary)
            return [math.nan if figure is None else figure]  # only NaN was logged
        return answers(key.otherwise, run) if key.otherwise else []
    if key.entity == DATASET:
        return run.datasets[key.name]
    if key.entity == ATTRIBUTE:
        value = run.attribute(key.name)
        return [] if value is None else [value]
    if key.entity == PARAM:
        return [run.params[key.name]] if key.name in run.params else []
    tag = run.tag(key.name)
    return [] if tag is None else [tag]


def _order_value(key: Key, run: Facts) -> Answer:
    found = answers(key, run)
    if not found:
        return None
    if key.entity != PARAM:
        return found[0]  # type: ignore[no-any-return]
    number = number_of(found[0])
    return str(found[0]) if number is None else number


def _place(value: Answer, descending: bool) -> tuple[int, Any]:
    """Numbers, then text, then NaN, then nothing, the last two without an order of their own."""
    if value is None:
        return (3, 0)
    if value != value:
        return (2, 0)
    return (int(isinstance(value, str)), _Reversed(value) if descending else value)


class _Reversed:
    """A value that sorts the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and bool(self.value == other.value)

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.value < self.value)


def _same(value: Any, operand: Any) -> bool:
    return bool(value == operand) or (value != value and operand != operand)


def _is_in(value: Any, operand: Sequence[Any]) -> bool:
    return any(_same(value, item) for item in operand)


_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": _same,
    "!=": lambda value, operand: not _same(value, operand),
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "LIKE": lambda value, pattern: like(pattern, value),
    "ILIKE": lambda value, pattern: ilike(pattern, value),
    "IN": _is_in,
    "NOT IN": lambda value, operand: not _is_in(value, operand),
}
