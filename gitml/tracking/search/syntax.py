"""Reading filters and orders. An error is one line that points at the column.

filter      = conjunction { OR conjunction }
conjunction = term { AND term }
term        = NOT term | ( filter ) | comparison
comparison  = key ( = | != | > | >= | < | <= | LIKE | ILIKE ) value
            | key [ NOT ] IN ( value { , value } )
            | key IS [ NOT ] NULL
key         = [ entity . ] name, or in quotes [ entity . ] `name` or "name" [ . summary ]
value       = 'text' | "text" | number
order       = key [ ASC | DESC ] { , key [ ASC | DESC ] }
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gitml.errors import shown
from gitml.tracking.names import normal
from gitml.tracking.search.expressions import (
    ATTRIBUTE,
    DATASET,
    METRIC,
    NUMBER_ATTRIBUTES,
    PARAM,
    TIMES,
    And,
    Comparison,
    Filter,
    Key,
    Not,
    Operand,
    Or,
    Order,
)
from gitml.tracking.search.keys import read_key
from gitml.tracking.search.literals import number_of, time_of
from gitml.tracking.search.tokens import Reader, Token

MAX_DEPTH = 50
MAX_COMPARISONS = 1000
MAX_NUMBERS = 10_000

_LIKES = ("LIKE", "ILIKE")
_ORDERED = (">", ">=", "<", "<=")
_DOUBLE_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def parse_filter(text: str) -> Filter:
    """The filter that `text` says; an empty text matches every run.

    UsageError names the column of what can't be understood.
    """
    reader = FilterReader(text, "filter")
    if reader.token.kind == "end":
        return And()
    parsed = reader.filter()
    reader.expect_end("AND, OR or the end")
    return parsed


def parse_order(order_by: str | Sequence[str]) -> tuple[Order, ...]:
    """The order that clauses such as `metrics.auc DESC` say, the first one weighing most.

    A clause may hold several, with commas between them. Raises UsageError.
    """
    clauses = [order_by] if isinstance(order_by, str) else order_by
    return tuple(order for clause in clauses for order in _orders(Reader(clause, "order_by")))


def _orders(reader: Reader) -> Iterator[Order]:
    while True:
        start, key = reader.token, read_key(reader)
        if key.entity == DATASET:
            reader.fail("a run may have several datasets, so they give no order", start)
        descending = reader.takes("DESC") or (reader.takes("ASC") and False)
        yield Order(key, descending)
        if not reader.takes(","):
            return reader.expect_end("ASC, DESC, ',' or the end")


class FilterReader(Reader):
    """The grammar of filters, one method for each rule; others may take more keys and values."""

    _depth = 0
    _comparisons = 0

    def filter(self) -> Filter:
        """What all of the text says."""
        terms = [self._conjunction()]
        while self.takes("OR"):
            terms.append(self._conjunction())
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _conjunction(self) -> Filter:
        terms = [self._term()]
        while self.takes("AND"):
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _term(self) -> Filter:
        negated = False
        while self.takes("NOT"):
            negated = not negated
        start = self.token
        term = self._group(start) if self.takes("(") else self.comparison()
        return Not(term) if negated else term

    def _group(self, start: Token) -> Filter:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self.fail(f"more than {MAX_DEPTH} parentheses inside one another", start)
        inside = self.filter()
        self.expect(")", "AND, OR or ')'")
        self._depth -= 1
        return inside

    def comparison(self) -> Comparison:
        """What one condition says."""
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            self.fail(f"more than {MAX_COMPARISONS} comparisons; write IN (...)", self.token)
        start, key = self.token, self.key()
        at, operator = self.token, self._operator()
        if operator.startswith("IS "):
            return Comparison(key, operator)
        first = self.token
        values = self._list() if operator.endswith("IN") else [self.value(key)]
        if key.entity == ATTRIBUTE:
            values = [self._attribute_value(key.name, operator, value, first) for value in values]
        self._check(key, start, operator, at, values, first)
        operand: Operand = tuple(values) if operator.endswith("IN") else values[0]  # type: ignore[assignment]
        return Comparison(key, operator, operand, numeric=not isinstance(values[0], str))

    def _operator(self) -> str:
        token = self.next()
        word = token.text.upper()
        if word in ("==", "<>"):
            meant = "=" if word == "==" else "!="
            self.fail(f"there is no operator {word}; write {meant}", token)
        if token.kind == "operator" or (token.kind == "name" and word in ("LIKE", "ILIKE", "IN")):
            return word
        if word == "NOT" and self.takes("IN"):
            return "NOT IN"
        if word == "IS":
            operator = "IS NOT NULL" if self.takes("NOT") else "IS NULL"
            self.expect("NULL", "NULL")
            return operator
        self.expected("an operator: = != > >= < <= LIKE ILIKE IN, NOT IN, IS NULL", token)

    def _list(self) -> list[str | int | float]:
        start = self.expect("(", "a list such as ('a', 'b')")
        values = [self._plain_value()]
        while self.takes(","):
            if self.token.text == ")":  # ('a',) is how Python writes a tuple of one
                break
            values.append(self._plain_value())
        self.expect(")", "',' or ')'")
        texts = sum(isinstance(value, str) for value in values)
        if texts not in (0, len(values)):
            self.fail("the list mixes texts and numbers", start)
        if not texts and len(values) > MAX_NUMBERS:
            self.fail(f"the list has more than {MAX_NUMBERS} numbers", start)
        return values

    def key(self) -> Key:
        """What a condition is about."""
        return read_key(self)

    def value(self, key: Key) -> str | int | float:
        """What `key` is compared with."""
        return self._plain_value()

    def kind(self, key: Key) -> str:
        """What `key` can be compared with: number, text, or for a param either."""
        if key.entity == METRIC or (key.entity == ATTRIBUTE and key.name in NUMBER_ATTRIBUTES):
            return "number"
        return "either" if key.entity == PARAM else "text"

    def _plain_value(self) -> str | int | float:
        token = self.token
        if token.kind == "text" or _DOUBLE_QUOTED.fullmatch(token.text):
            quote = token.text[0]
            return self.next().text[1:-1].replace(quote * 2, quote)
        number = number_of(token.text) if token.kind == "name" else None
        if number is None:
            self.expected("a number or a text in quotes")
        self.next()
        return number

    def _attribute_value(
        self, name: str, operator: str, value: str | int | float, at: Token
    ) -> str | int | float:
        """Times may be written as ISO 8601, a status in any case, names in any Unicode form."""
        if not isinstance(value, str):
            return value
        if name == "status" and operator not in _LIKES:
            return value.upper()
        if name not in TIMES:
            return normal(value)
        moment = time_of(value)
        if moment is None:
            known = "milliseconds, '2026-01-31' or '2026-01-31T08:15:00Z'"
            self.fail(f"{shown(value)} is no time; write {known}", at)
        return moment

    def _check(
        self,
        key: Key,
        start: Token,
        operator: str,
        at: Token,
        values: Sequence[str | int | float],
        first: Token,
    ) -> None:
        """Refuse to compare what can't be: numbers with texts, texts by their size."""
        is_text = isinstance(values[0], str)
        kind = self.kind(key)
        if operator in _LIKES and (kind == "number" or not is_text):
            self.fail(f"{operator} compares texts, with a pattern in quotes", at)
        if kind == "number" and is_text:
            self.fail(f"{start.text} is a number; compare it with one, without quotes", first)
        if kind == "text" and not is_text:
            self.fail(f"{start.text} is a text; write {shown(first.text)}, in quotes", first)
        if operator in _ORDERED and is_text:
            self.fail(f"{operator} compares numbers; write the number without quotes", first)
