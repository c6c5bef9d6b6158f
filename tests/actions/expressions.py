"""GitHub's expressions, parsed and evaluated.

`||`, `&&`, `==` and `!=`, the comparisons, `!`, and access by `.name` and `[index]` bind in this
order, the loosest first. Filters by `*` are not known. What the values come to is tested against
GitHub's own evaluator.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from tests.actions.errors import InvalidError, UnsupportedError
from tests.actions.functions import FUNCTIONS, Function
from tests.actions.values import Value, entry, equal, less, number, truth

STATUS = frozenset({"success", "failure", "cancelled", "always"})


# -- what an expression is made of ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that is written out."""

    value: Value


@dataclass(frozen=True, slots=True)
class Context:
    """One of the named values, such as `github`."""

    name: str


@dataclass(frozen=True, slots=True)
class Access:
    """`of.name` and `of[index]`."""

    of: Node
    index: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A function, by its name in small letters."""

    name: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator between two values; of `!` the right one only counts."""

    sign: str
    left: Node
    right: Node


Node: TypeAlias = Literal | Context | Access | Call | Operation


# -- parsing -------------------------------------------------------------------------------


class _Token(NamedTuple):
    kind: str
    text: str


_TOKENS = re.compile(
    r"""(?P<space>\s+)|(?P<string>'(?:[^']|'')*')
    |(?P<number>[-+]Infinity\b|[-+]?\.?[0-9][0-9A-Za-z.+-]*)
    |(?P<name>[A-Za-z_][A-Za-z0-9_-]*)
    |(?P<sign>\|\||&&|==|!=|<=|>=|[<>!()\[\],.])""",
    re.VERBOSE,
)
_WORDS = {"true": True, "false": False, "null": None, "NaN": math.nan, "Infinity": math.inf}
_LEVELS = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="))
_ACCESSIBLE = Context | Access | Call


def parse(source: str) -> Node:
    """An expression. InvalidError for one that GitHub refuses, UnsupportedError for a filter."""
    tokens = _Tokens(source)
    found = _binary(tokens, 0)
    if tokens.kind != "end":
        raise tokens.wrong()
    return found


class _Tokens:
    """The tokens of an expression, and where the parser is in them."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._all = [*_tokens(source), _Token("end", "")]
        self._at = 0

    @property
    def kind(self) -> str:
        """The kind of the next token."""
        return self._all[self._at].kind

    def take(self) -> str:
        """The next token, which is passed."""
        self._at += 1
        return self._all[self._at - 1].text

    def passed(self, *signs: str) -> str | None:
        """The next token if it is one of the signs, which is passed; else None."""
        token = self._all[self._at]
        return self.take() if token.kind == "sign" and token.text in signs else None

    def must(self, sign: str) -> None:
        """Pass a sign that has to come."""
        if self.passed(sign) is None:
            raise self.wrong()

    def wrong(self) -> Exception:
        """The error about the next token."""
        token = self._all[self._at]
        return InvalidError(f"{self._source!r}: {token.text or 'the end'!r} is not expected")


def _tokens(source: str) -> Iterator[_Token]:
    at = 0
    while at < len(source):
        found = _TOKENS.match(source, at)
        if found is None:
            kind = UnsupportedError if source[at] == "*" else InvalidError
            raise kind(f"{source!r}: {source[at]!r} is not expected")
        at = found.end()
        if found.lastgroup and found.lastgroup != "space":
            yield _Token(found.lastgroup, found[0])


def _binary(tokens: _Tokens, level: int) -> Node:
    if level == len(_LEVELS):
        return _unary(tokens)
    left = _binary(tokens, level + 1)
    while sign := tokens.passed(*_LEVELS[level]):
        left = Operation(sign, left, _binary(tokens, level + 1))
    return left


def _unary(tokens: _Tokens) -> Node:
    if tokens.passed("!"):
        return Operation("!", Literal(None), _unary(tokens))
    grouped = tokens.passed("(") is not None
    found = _binary(tokens, 0) if grouped else _primary(tokens)
    if grouped:
        tokens.must(")")
    while grouped or isinstance(found, _ACCESSIBLE):
        if tokens.passed("["):
            found = Access(found, _binary(tokens, 0))
            tokens.must("]")
        elif tokens.passed("."):
            if tokens.kind != "name":
                raise tokens.wrong()
            found = Access(found, Literal(tokens.take()))
        else:
            break
    return found


def _primary(tokens: _Tokens) -> Node:
    if tokens.kind == "string":
        return Literal(tokens.take()[1:-1].replace("''", "'"))
    if tokens.kind == "number":
        value = number(told := tokens.take())
        if math.isnan(value):
            raise InvalidError(f"{told!r} is no number")
        return Literal(value)
    if tokens.kind != "name":
        raise tokens.wrong()
    name = tokens.take()
    if tokens.passed("("):
        return _call(name, tuple(_arguments(tokens)))
    return Literal(_WORDS[name]) if name in _WORDS else Context(name.lower())


def _arguments(tokens: _Tokens) -> Iterator[Node]:
    while not tokens.passed(")"):
        yield _binary(tokens, 0)
        if tokens.passed(")"):
            return
        tokens.must(",")


def _call(name: str, args: tuple[Node, ...]) -> Call:
    lower = name.lower()
    if lower in STATUS:
        least = most = 0
    elif lower in FUNCTIONS:
        _, least, most = FUNCTIONS[lower]
    else:
        raise UnsupportedError(f"the function {name}")
    if not least <= len(args) <= most:
        raise InvalidError(f"{name} takes another number of arguments")
    return Call(lower, args)


# -- evaluating ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scope:
    """The contexts that may be named where an expression stands, and functions of its place."""

    contexts: Mapping[str, Value]
    functions: Mapping[str, Function]


def evaluate(node: Node, scope: Scope) -> Value:
    """What an expression comes to. InvalidError for a context or a function of another place."""
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Context):
        if node.name not in scope.contexts:
            raise InvalidError(f"{node.name} can't be named here")
        return scope.contexts[node.name]
    if isinstance(node, Access):
        return entry(evaluate(node.of, scope), evaluate(node.index, scope))
    if isinstance(node, Call):
        return _called(node, scope)
    return _operated(node, scope)


def _called(node: Call, scope: Scope) -> Value:
    if node.name in STATUS and node.name not in scope.functions:
        raise InvalidError(f"{node.name}() can't be called here")
    function = scope.functions.get(node.name) or FUNCTIONS[node.name][0]
    return function(*(evaluate(arg, scope) for arg in node.args))


def _operated(node: Operation, scope: Scope) -> Value:
    left = evaluate(node.left, scope)
    if node.sign in ("&&", "||"):
        return left if truth(left) is (node.sign == "||") else evaluate(node.right, scope)
    return _COMPARED[node.sign](left, evaluate(node.right, scope))


_COMPARED: Mapping[str, Callable[[Value, Value], bool]] = {
    "!": lambda _, right: not truth(right),
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": less,
    ">": lambda left, right: less(right, left),
    "<=": lambda left, right: equal(left, right) or less(left, right),
    ">=": lambda left, right: equal(left, right) or less(right, left),
}


def parts(node: Node) -> Iterator[Node]:
    """An expression, and all that it is made of."""
    yield node
    inner: tuple[Node, ...] = ()
    if isinstance(node, Call):
        inner = node.args
    elif isinstance(node, Access):
        inner = (node.of, node.index)
    elif isinstance(node, Operation):
        inner = (node.left, node.right)
    for part in inner:
        yield from parts(part)


def asks_status(node: Node) -> bool:
    """Whether it calls a function of status, so that `success()` does not go without saying."""
    return any(isinstance(part, Call) and part.name in STATUS for part in parts(node))
