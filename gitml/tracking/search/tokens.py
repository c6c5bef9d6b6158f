"""The words of a filter or an order, and the errors that point at them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, NoReturn

from gitml.errors import UsageError, shown

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<text>'(?:[^']|'')*')
    | (?P<name>(?:[^\s'"`=!<>(),]+ | "(?:[^"]|"")*" | `[^`]*`)+)
    | (?P<operator>!=|<>|==|>=|<=|=|>|<)
    | (?P<mark>[(),])""",
    re.VERBOSE,
)
# NUL and halves of surrogate pairs: no record holds them, SQLite and JSON stumble over them.
_NOT_TEXT = re.compile(r"[\0\ud800-\udfff]")


class Token(NamedTuple):
    """A word: its kind (text, name, operator, mark or end), itself, and its column from 1."""

    kind: str
    text: str
    column: int


class Reader:
    """Goes through a text from left to right; `token` is the one that comes next."""

    def __init__(self, text: str, what: str) -> None:
        if not isinstance(text, str):
            raise UsageError(f"{what} must be text, not {type(text).__name__}")
        if _NOT_TEXT.search(text):
            raise UsageError(f"{what} {shown(text)} holds characters that are no text")
        self._what = what
        self._tokens = self._split(text)
        self.token = next(self._tokens)

    def next(self) -> Token:
        """Step over a token and return it."""
        token, self.token = self.token, next(self._tokens)
        return token

    def takes(self, word: str) -> bool:
        """Step over a keyword or a mark if it comes next."""
        found = self.token.kind in ("name", "mark") and self.token.text.upper() == word
        if found:
            self.next()
        return found

    def expect(self, mark: str, what: str) -> Token:
        """Step over a mark or a keyword that must come next; `what` describes it in the error."""
        token = self.token
        if not self.takes(mark):
            self.expected(what)
        return token

    def expect_end(self, what: str) -> None:
        """Refuse anything that still follows."""
        if self.token.kind != "end":
            self.expected(what)

    def expected(self, what: str, at: Token | None = None) -> NoReturn:
        """Fail: something else stands where `what` should."""
        token = at or self.token
        found = shown(token.text) if token.kind != "end" else "the end"
        self.fail(f"expected {what}, found {found}", token)

    def unknown(
        self, name: str, have: str, known: Sequence[str], at: Token, hint: str = ""
    ) -> NoReturn:
        """Fail: there is no such name; say which one is like it, or which there are."""
        from gitml.documents import near_miss

        meant = near_miss(name, known) or f"; {have} {', '.join(known)}{hint}"
        self.fail(f"unknown {shown(name)}{meant}", at)

    def fail(self, problem: str, at: Token) -> NoReturn:
        """Raise UsageError with the column of `at`."""
        raise UsageError(f"{self._what}, column {at.column}: {problem}")

    def _split(self, text: str) -> Iterator[Token]:
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            here = Token("", "", at + 1)
            if found is None:
                quote = text[at] in "'\"`"
                self.fail(f"the quote {text[at]} is never closed" if quote
                          else f"unexpected {shown(text[at])}", here)  # fmt: skip
            if found.lastgroup != "space":
                yield Token(str(found.lastgroup), found.group(), at + 1)
            at = found.end()
        while True:
            yield Token("end", "", len(text) + 1)
