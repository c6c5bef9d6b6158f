"""A command of a project as a shell reads it: where its parameters stand, and how to put them.

A command is text for a POSIX shell or bash with `{parameter}` in it, as in MLflow. Here every
parameter becomes a variable of the shell, quoted for the place where it stands. So a value is never
parsed, and is one word at most. Values come in as positional parameters; a command that has its own
(`set --`, `shift`, functions) does not change them. Pure.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from gitml.errors import UsageError, shown


@dataclass(frozen=True, slots=True)
class Parameter:
    """A place for a parameter's value in a command."""

    name: str


Symbol = str | Parameter  # one character, or a parameter


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command, its quotes taken away."""

    symbols: tuple[Symbol, ...]

    @property
    def text(self) -> str:
        """The word with a NUL for each parameter, which no word of a shell can have."""
        return "".join(symbol if isinstance(symbol, str) else "\0" for symbol in self.symbols)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters in the word."""
        return tuple(symbol.name for symbol in self.symbols if isinstance(symbol, Parameter))


@dataclass(frozen=True, slots=True)
class Simple:
    """A simple command: its words without redirections, and what it is fed.

    `fed` are the words of redirections to its input, `piped` says that a pipe comes before it.
    """

    words: tuple[Word, ...]
    fed: tuple[Word, ...]
    piped: bool


@dataclass(frozen=True, slots=True)
class Script:
    """A command in which each parameter is the variable that `prologue` makes of `names`."""

    text: str
    names: tuple[str, ...]
    commands: tuple[Simple, ...]
    takes_more: bool  # whether words can be added at its end


def variable(number: int) -> str:
    """The variable of the shell that holds the value `number`, counted from 1."""
    return f"__gitml_{number}"


def prologue(count: int) -> str:
    """What comes before a command: it keeps so many positional parameters, and lets them go."""
    kept = " ".join(f'{variable(number)}="${{{number}}}"' for number in range(1, count + 1))
    return f"readonly {kept}; set --; " if kept else ""


def parse(command: str) -> list[Symbol]:
    """The characters and parameters of a command; `{{` and `}}` are braces, as in MLflow.

    Raises UsageError for a brace that is neither.
    """
    symbols: list[Symbol] = []
    try:
        for text, name, spec, conversion in string.Formatter().parse(command):
            symbols.extend(text)
            if name is None:
                continue
            if spec or conversion or not name:
                raise UsageError(f"can't take a format in {{{name}}}; write {{name}} alone")
            symbols.append(Parameter(name))
    except ValueError as error:
        raise UsageError(f"{error}; write {{{{ and }}}} for braces of the shell's") from None
    return symbols


def scan(symbols: Sequence[Symbol]) -> Script:
    """What a shell makes of a command. Raises UsageError where a parameter can't stand."""
    scanner = _Scanner(symbols)
    scanner.scan()
    text, names = "".join(scanner.out), tuple(scanner.names)
    return Script(text, names, tuple(scanner.commands), not scanner.is_closed)


_BLANKS = " \t"
_DESCRIPTOR = re.compile(r"\d+|\{\w+\}")  # which one a redirection is for
_CLOSED_BY = {"(": ")", "{": "}", "[": "]", "`": "`"}
_QUOTES = ("'", '"')
_UNNESTED = (*_QUOTES, "`")  # what these open ends at the next one
_SUBSTITUTION = "a command substitution"


@dataclass(slots=True)
class _Scanner:
    symbols: Sequence[Symbol]
    at: int = 0
    out: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    commands: list[Simple] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    fed: list[Word] = field(default_factory=list)
    word: list[Symbol] | None = None  # None between words
    redirected: str = ""  # the redirection to which the next word belongs
    piped: bool = False  # what comes next comes behind a pipe, or may belong to what does
    is_closed: bool = False  # a comment or a here-document goes on to the end

    def scan(self) -> None:
        while (symbol := self._next()) is not None:
            self._unquoted(symbol)
        self._end_command()

    def _next(self) -> Symbol | None:
        symbol = self._peek()
        self.at += 1
        return symbol

    def _peek(self, ahead: int = 0) -> Symbol | None:
        place = self.at + ahead
        return self.symbols[place] if place < len(self.symbols) else None

    def _begin(self) -> list[Symbol]:
        self.word = [] if self.word is None else self.word
        return self.word

    def _end_word(self) -> None:
        if self.word is not None:
            if not self.redirected:
                self.words.append(Word(tuple(self.word)))
            elif self.redirected.startswith("<"):
                self.fed.append(Word(tuple(self.word)))
            self.redirected = ""
        self.word = None

    def _end_command(self) -> None:
        self._end_word()
        if self.words or self.fed:
            self.commands.append(Simple(tuple(self.words), tuple(self.fed), self.piped))
        self.words, self.fed, self.redirected = [], [], ""

    # -- one symbol, and what belongs to it -----------------------------------------------

    def _unquoted(self, symbol: Symbol) -> None:
        if isinstance(symbol, Parameter):
            self._put(symbol, '"', '"')
        elif symbol == "#" and self.word is None:
            self._comment()
        elif symbol in _BLANKS:
            self._end_word()
            self.out.append(symbol)
        elif symbol in "\n;&|()":
            self._operator(symbol)
        elif symbol in "<>":
            self._redirection(symbol)
        elif symbol in "'\"`$\\":
            self._quoting(symbol)
        else:
            self._begin().append(symbol)
            self.out.append(symbol)

    def _put(self, parameter: Parameter, before: str, after: str) -> None:
        """Put its variable there, between the quotes that make it one word."""
        if parameter.name not in self.names:
            self.names.append(parameter.name)
        number = self.names.index(parameter.name) + 1
        self.out.append(f"{before}${{{variable(number)}}}{after}")
        self._begin().append(parameter)

    def _comment(self) -> None:
        self.out.append("#")
        while (symbol := self._peek()) is not None and symbol != "\n":
            self.at += 1
            self.out.append(symbol if isinstance(symbol, str) else f"{{{symbol.name}}}")
        self.is_closed = symbol is None

    def _operator(self, symbol: str) -> None:
        arithmetic = symbol == "(" and self._peek() == "(" and self.word is None
        double = symbol == "|" and self._peek() == "|"
        self._end_command()
        self.piped = self.piped or (symbol == "|" and not double)  # and all that follows may be
        self.out.append(symbol)
        if double:
            self.out.append("|")
            self.at += 1
        elif arithmetic:
            self._enclosed(")", "an arithmetic expression")

    def _redirection(self, symbol: str) -> None:
        if self.word and not self.redirected and _DESCRIPTOR.fullmatch(Word(tuple(self.word)).text):
            self.word = None  # `2` of `2>x` is no word
        self._end_word()
        if self._peek() == "(":
            self.at += 1
            self.out.append(symbol + "(")
            self._begin()
            self._enclosed(")", _SUBSTITUTION)
            return
        while (following := self._peek()) in ("<", ">", "&", "|", " ", "-"):
            assert isinstance(following, str)
            symbol += following
            self.at += 1
        self.out.append(symbol)
        self.redirected = symbol
        if symbol.rstrip(" -") == "<<":
            self._here_document()

    def _here_document(self) -> None:
        """All that follows: where the document ends depends on the line that it begins in."""
        self.is_closed = True
        while (symbol := self._next()) is not None:
            if isinstance(symbol, Parameter):
                _refuse(symbol, "after the start of a here-document")
            self.out.append(symbol)

    # -- quotes ----------------------------------------------------------------------------

    def _quoting(self, symbol: str) -> None:
        self._begin()
        if symbol == "'":
            self._single()
        elif symbol == '"':
            self._double()
        elif symbol == "\\":
            self._escape()
        else:
            self._expansion(symbol)

    def _single(self) -> None:
        self.out.append("'")
        while (symbol := self._next()) not in (None, "'"):
            if isinstance(symbol, Parameter):
                self._put(symbol, "'\"", "\"'")
            else:
                assert symbol is not None
                self._literal(symbol)
        self._closed(symbol, "'")

    def _double(self) -> None:
        self.out.append('"')
        while (symbol := self._next()) not in (None, '"'):
            if isinstance(symbol, Parameter):
                self._put(symbol, "", "")
            elif symbol == "\\":
                self._escape()
            elif symbol in ("$", "`"):
                self._expansion(symbol)
            else:
                assert symbol is not None
                self._literal(symbol)
        self._closed(symbol, '"')

    def _literal(self, symbol: str) -> None:
        self.out.append(symbol)
        self._begin().append(symbol)

    def _escape(self) -> None:
        self.out.append("\\")
        symbol = self._next()
        if isinstance(symbol, Parameter):
            _refuse(symbol, "behind a backslash")
        if symbol is not None:
            self.out.append(symbol)
            if symbol != "\n":
                self._begin().append(symbol)

    def _closed(self, symbol: Symbol | None, quote: str) -> None:
        if symbol is None:
            raise UsageError(f"the quote {quote} is never closed")
        self.out.append(quote)

    # -- what the shell computes -----------------------------------------------------------

    def _expansion(self, symbol: str) -> None:
        """A `$` or a backquote, and all that belongs to it."""
        self._literal(symbol)
        if symbol == "`":
            self._enclosed("`", _SUBSTITUTION)
            return
        following = self._peek()
        if isinstance(following, Parameter):
            _refuse(following, f"behind $; write ${{{{{following.name}}}}} for a shell variable")
        if following == "'":
            self.at += 1
            self.out.append("'")
            self._enclosed("'", "$'...'")
        elif following in ("(", "{", "["):
            assert isinstance(following, str)
            self.at += 1
            self.out.append(following)
            what = _SUBSTITUTION if following == "(" else "an expansion"
            self._enclosed(_CLOSED_BY[following], what)

    def _enclosed(self, close: str, what: str, *, escapes: bool = True) -> None:
        """All up to the closing character, in which no parameter may stand.

        `escapes` says that a backslash takes its meaning from what follows it.
        """
        while (symbol := self._next()) is not None:
            if isinstance(symbol, Parameter):
                _refuse(symbol, f"in {what}")
            self.out.append(symbol)
            if symbol == close:
                return
            if symbol == "\\" and escapes:
                self._escaped()
            elif close not in _UNNESTED and symbol in _QUOTES:
                self._enclosed(symbol, what, escapes=symbol == '"')
            elif close not in _UNNESTED and _CLOSED_BY.get(symbol) == close:
                self._enclosed(close, what)
        raise UsageError(f"{what} is never closed: {shown(close)} is missing")

    def _escaped(self) -> None:
        if isinstance(escaped := self._peek(), str):
            self.at += 1
            self.out.append(escaped)


def _refuse(parameter: Parameter, where: str) -> NoReturn:
    raise UsageError(
        f"the parameter {{{parameter.name}}} can't stand {where}: its value might be run there;"
        " pass it to the program as an argument"
    )
