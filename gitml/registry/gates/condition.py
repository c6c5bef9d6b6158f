"""Conditions of gates: the filter language of searches, asked of the version that is proposed.

    metrics.auc >= 0.9 AND params.features != 'all'
    metrics.auc >= current.metrics.auc - 0.005     the version that holds the stage now
    data.name = 'may' AND age < 30d                since its run ended: s, m, h, d or w

A comparison with `current` is true where no version holds the stage: there is none to be worse
than. Where the current version has no such number it is false. A number that the candidate does not
have, or that is NaN, passes no condition, also not one with NOT before it. Pure.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

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
)
from gitml.tracking.search.facts import Facts
from gitml.tracking.search.literals import number_of
from gitml.tracking.search.match import answers, matches
from gitml.tracking.search.syntax import FilterReader

AGE = Key(ATTRIBUTE, "age")
_CURRENT = "current."
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DAY = _SECONDS["d"]
_TRUE, _FALSE = And(), Or(())
_TIME = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
_SIGNS: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the version that holds the stage, such as `current.metrics.auc - 0.005`."""

    key: Key
    sign: str = "+"
    number: float = 0


@dataclass(frozen=True, slots=True)
class Relative(Comparison):
    """A comparison with a figure of the current version, whose operand is not known before."""

    figure: Figure = Figure(AGE)


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a condition holds, None when that can't be told, and the numbers it is about."""

    holds: bool | None
    why: str


def parse_condition(text: str) -> Filter:
    """The condition that `text` says; UsageError with the column where it says none."""
    reader = _ConditionReader(text, "gate")
    found = reader.filter()
    reader.expect_end("AND, OR or the end")
    return found


def ask(condition: Filter, candidate: Facts, current: Facts | None) -> Answer:
    """Whether the candidate meets a condition, beside the version that holds the stage now."""
    told = "; ".join(_told(it, candidate, current) for it in _comparisons(condition))
    return Answer(matches(_known(condition, candidate, current), candidate), told)


def is_relative(condition: Filter) -> bool:
    """Whether a condition names the current version."""
    return any(isinstance(it, Relative) for it in _comparisons(condition))


def with_age(found: Facts, now: int) -> Facts:
    """Facts of a run that also tell its age, in seconds; `now` is in ms since the epoch."""
    end = found.attributes["end_time"]
    age = (now - end) // 1000 if isinstance(end, int) else None
    return found._replace(attributes={**found.attributes, AGE.name: age})


class _ConditionReader(FilterReader):
    """The grammar of filters with `age`, and with figures of the current version."""

    def __init__(self, text: str, what: str) -> None:
        super().__init__(text, what)
        self._figures: list[Figure] = []

    def comparison(self) -> Comparison:
        """One condition, which may be relative to the current version."""
        self._figures.clear()
        made = super().comparison()
        if not self._figures:
            return made
        return Relative(made.key, made.operator, made.operand, made.numeric, self._figures[0])

    def key(self) -> Key:
        """A key of a search, or the age."""
        if self.token.text.lower() == AGE.name:
            self.next()
            return AGE
        if self.token.text.startswith(_CURRENT):
            self.fail("write what is asked of the new version first, current... after it",
                      self.token)  # fmt: skip
        return super().key()

    def kind(self, key: Key) -> str:
        """An age is a number."""
        return "number" if key == AGE else super().kind(key)

    def value(self, key: Key) -> str | int | float:
        """A value of a search, a time for an age, or a figure of the current version."""
        if self.token.text.startswith(_CURRENT):
            self._figures.append(self._read_figure())
            return 0
        if key == AGE:
            found = _TIME.fullmatch(self.token.text)
            if found is None:
                self.expected("a time such as 30d, 12h or 2w")
            self.next()
            return float(found[1]) * _SECONDS[found[2]]
        return super().value(key)

    def _read_figure(self) -> Figure:
        start = self.token
        key = _ConditionReader(start.text.removeprefix(_CURRENT), "gate, after current.").key()
        if self.kind(key) == "text":
            self.fail("only numbers of the current version are compared with", start)
        self.next()
        if self.token.text in _SIGNS:
            sign = self.next().text
            number = self._number()
            if sign == "/" and number == 0:
                self.fail("a figure can't be divided by 0", start)
            return Figure(key, sign, number)
        if self.token.kind == "name" and self.token.text[0] in "+-":
            return Figure(key, "+", self._number())
        return Figure(key)

    def _number(self) -> float:
        number = number_of(self.token.text)
        if number is None:
            self.expected("a number")
        self.next()
        return float(number)


def _comparisons(condition: Filter) -> Iterator[Comparison]:
    """The comparisons in a condition, in its order."""
    if isinstance(condition, Comparison):
        yield condition
    elif isinstance(condition, Not):
        yield from _comparisons(condition.term)
    else:
        for term in condition.terms:
            yield from _comparisons(term)


def _known(
    condition: Filter, candidate: Facts, current: Facts | None, helps: bool = True
) -> Filter:
    """The condition with the current version's figures in it, and settled where one is missing.

    `helps` tells whether it is good for the candidate when a comparison in it is true: NOT turns
    that round. A comparison with no version is, one with a figure that is missing is not.
    """
    if isinstance(condition, Relative):
        number = None if current is None else _of_current(condition.figure, current)
        if number is None:
            return _TRUE if helps == (current is None) else _FALSE
        condition = replace(condition, operand=number)
    if isinstance(condition, Comparison):
        against = _FALSE if helps else _TRUE
        return against if _lacks_number(condition, candidate) else condition
    if isinstance(condition, Not):
        return Not(_known(condition.term, candidate, current, not helps))
    terms = tuple(_known(term, candidate, current, helps) for term in condition.terms)
    return And(terms) if isinstance(condition, And) else Or(terms)


def _lacks_number(comparison: Comparison, run: Facts) -> bool:
    """Whether a comparison of numbers is with one that a run does not have, or with NaN."""
    is_number = comparison.key.entity == METRIC or comparison.key == AGE or comparison.numeric
    if not is_number or comparison.operator.startswith("IS"):
        return False
    found = [number_of(value) for value in answers(comparison.key, run)]
    return not found or any(value is None or value != value for value in found)


def _of_current(figure: Figure, current: Facts) -> float | None:
    """The number that a figure stands for; None where the current version has none."""
    found = [number_of(value) for value in answers(figure.key, current)]
    if not found or found[0] is None:
        return None
    return _SIGNS[figure.sign](float(found[0]), figure.number)


# -- in words ------------------------------------------------------------------------------


def _told(comparison: Comparison, run: Facts, current: Facts | None) -> str:
    """A comparison with the numbers in it, such as `metrics.auc is 0.953, asked >= 0.9`."""
    found, name = answers(comparison.key, run), _name(comparison.key)
    listed = ", ".join(_value(comparison.key, value) for value in found)
    seen = f"{name} is {listed}" if found else f"there is no {name}"
    return f"{seen}, asked {comparison.operator}{_asked(comparison, current)}"


def _asked(comparison: Comparison, current: Facts | None) -> str:
    if comparison.operator.startswith("IS"):
        return ""
    if not isinstance(comparison, Relative):
        return f" {_value(comparison.key, comparison.operand)}"
    figure = comparison.figure
    name, more = _name(figure.key), f" {figure.sign} {figure.number:g}" if figure.number else ""
    if current is None:
        return f" that of the current version{more}, and no version holds the stage"
    number = _of_current(figure, current)
    if number is None:
        return f" {name} of the current version, which has no such number"
    return f" {_value(figure.key, number)} ({name} of the current version{more})"


def _value(key: Key, value: object) -> str:
    if key == AGE and isinstance(value, int | float):
        return f"{value / _DAY:.3g}d"
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


_PREFIX = {ATTRIBUTE: "", DATASET: "data.", PARAM: "params."}


def _name(key: Key) -> str:
    """A key as it is written."""
    if key.entity == ATTRIBUTE:
        return key.name
    dot = "" if key.summary == "last" else f".{key.summary}"
    return f"{_PREFIX.get(key.entity, key.entity + 's.')}{key.name}{dot}"
