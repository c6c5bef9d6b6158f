"""The space of a sweep: what values each parameter may take, as a person writes them. Pure.

lr=0.001..0.1:log       a range on a logarithmic scale
depth=2..8              a range; whole numbers where both ends are, or the parameter's type is
rate=0.1..0.9:0.2       a range in steps
batch=1e1..1e3:log:int  whole numbers between numbers that are not written so
model=forest,boosting   a list
note="a,b",'0..1'       quotes hold commas and dots; a quote in them is written twice
epochs=5                one value, which every run has
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import NoReturn

from gitml.errors import UsageError, shown

_NUMBER = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_IS_NUMBER = re.compile(_NUMBER, re.ASCII)
_RANGE = re.compile(rf"\s*(?P<low>{_NUMBER})\s*\.\.(?P<rest>.*)", re.ASCII | re.DOTALL)
_WHOLE = re.compile(r"[-+]?\d+", re.ASCII)
_ITEM = re.compile(
    r"""\s*(?:"(?P<double>(?:[^"]|"")*)"|'(?P<single>(?:[^']|'')*)')\s*|(?P<bare>[^,]*)""",
    re.DOTALL,
)
_NO_RANGE = ("path", "uri", "bool")
_MOST = 10_000  # values of one parameter in a grid
_STEPS = 10**15  # of a range: a float tells no more of them apart
_SHORT = 6  # digits of a number that was drawn
_DIGITS = 300  # of an exponent: a float holds about so many


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some texts."""

    values: tuple[str, ...]

    def count(self) -> int:
        """How many values there are."""
        return len(self.values)

    def points(self) -> Sequence[str]:
        """All values."""
        return self.values

    def ends(self) -> Sequence[str]:
        """The values at which a type can be checked: all."""
        return self.values

    def __str__(self) -> str:
        return ",".join(_quoted(value) for value in self.values)


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from `low` to `high`, both among them; whole ones, or in steps, if it says so.

    With `log` they are drawn evenly on a logarithmic scale.
    """

    low: Decimal
    high: Decimal
    step: Decimal | None = None
    log: bool = False
    whole: bool = False

    def points(self) -> Sequence[str]:
        """All values in their order, where they can be counted."""
        return [self._text(self.low + at * self._width) for at in range(self.count() or 0)]

    def count(self) -> int | None:
        """How many values there are; None where they can't be counted."""
        if self.log or (self.step is None and not self.whole):
            return None
        return int((self.high - self.low) / self._width) + 1

    def ends(self) -> Sequence[str]:
        """The values at which a type can be checked: both ends."""
        return [self._text(self.low), self._text(self.high)]

    def text(self, value: float) -> str:
        """A number of the range as the program gets it; one of steps without an error of binary.

        Others are short enough to be read: with six digits that tell points of the range apart.
        """
        exact = Decimal(repr(value))
        if self.whole or self.step is not None:
            steps = round((exact - self.low) / self._width)
            return self._text(self.low + steps * self._width)
        largest = max(abs(self.low), abs(self.high))
        digits = _SHORT + max((largest / (self.high - self.low)).adjusted(), 0)
        return self._text(min(max(Context(prec=digits).plus(exact), self.low), self.high))

    @property
    def _width(self) -> Decimal:
        return Decimal(1) if self.step is None else self.step

    def _text(self, number: Decimal) -> str:
        return str(int(number)) if self.whole else _plain(number)

    def __str__(self) -> str:
        words = [f"{_plain(self.low)}..{_plain(self.high)}"]
        words += ["log"] if self.log else []
        words += ["int"] if self.whole else []
        words += [_plain(self.step)] if self.step is not None else []
        return ":".join(words)


Dimension = Choice | Range
Space = Mapping[str, Dimension]


def parse(name: str, text: str, kind: str = "string") -> Dimension:
    """What the parameter `name`, of the type `kind`, may be. Raises UsageError."""
    found = _RANGE.fullmatch(text)
    if found is None:
        return _choice(name, text)
    low, rest = found["low"], found["rest"]
    high, *options = (part.strip() for part in rest.split(":"))
    if "," in rest:
        _fail(name, text, "a range stands alone; quote a text that has two dots")
    if not _IS_NUMBER.fullmatch(high):
        _fail(name, text, f"{shown(high)} is no number; quote it if it is no range")
    if kind in _NO_RANGE:
        _fail(name, text, f"a parameter of type {kind} has no range; list its values")
    return _range(name, text, kind, [low, high], options)


def _range(name: str, text: str, kind: str, ends: Sequence[str], options: Sequence[str]) -> Range:
    log, is_int, steps = False, False, list[str]()
    for option in options:
        if option == "log" and not log:
            log = True
        elif option == "int" and not is_int:
            is_int = True
        elif _IS_NUMBER.fullmatch(option) and not steps:
            steps.append(option)
        else:
            _fail(name, text, f"{shown(option)} is neither log, int nor a step, each once")
    numbers = [_number(name, text, word) for word in (*ends, *steps)]
    written_so = kind != "float" and all(_WHOLE.fullmatch(word) for word in (*ends, *steps))
    whole = is_int or kind == "int" or written_so
    if whole and any(number != number.to_integral_value() for number in numbers):
        _fail(name, text, "whole numbers have no fraction")
    low, high, *step = numbers
    return _checked(name, text, Range(low, high, step[0] if step else None, log, whole))


def _checked(name: str, text: str, found: Range) -> Range:
    if found.low >= found.high or float(found.low) == float(found.high):
        _fail(name, text, "the first number must be the smaller one")
    if found.log and found.low <= 0:
        _fail(name, text, "a logarithmic range begins above 0")
    if found.step is None:
        return found
    if found.log:
        _fail(name, text, "a logarithmic range has no steps")
    if not 0 < found.step <= found.high - found.low:
        _fail(name, text, "a step is above 0, and not longer than the range")
    steps = int((found.high - found.low) / found.step)
    if steps > _STEPS:
        _fail(name, text, f"there are more than {_STEPS:g} steps; take a longer one, or none")
    return Range(found.low, found.low + steps * found.step, found.step, False, found.whole)


def _number(name: str, text: str, word: str) -> Decimal:
    number = Decimal(word)
    is_far_off = bool(number) and abs(number.adjusted()) > _DIGITS
    if is_far_off or len(word) > _DIGITS:
        _fail(name, text, f"{shown(word)} is out of range")
    return number


def _choice(name: str, text: str) -> Choice:
    values, at = list[str](), 0
    while True:
        found = _ITEM.match(text, at)
        assert found is not None  # a bare item may be empty
        value = _value(name, text, found)
        if not value and found["bare"] is not None and text:
            _fail(name, text, "a value is empty; write '' for that")
        values.append(value)
        at = found.end()
        if at == len(text):
            break
        if text[at] != ",":
            _fail(name, text, "after a quoted value comes a comma")
        at += 1
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        _fail(name, text, f"{shown(twice)} is there twice")
    return Choice(tuple(values))


def _value(name: str, text: str, found: re.Match[str]) -> str:
    if found["double"] is not None:
        return found["double"].replace('""', '"')
    if found["single"] is not None:
        return found["single"].replace("''", "'")
    bare = found["bare"].strip()
    if _RANGE.fullmatch(bare):
        _fail(name, text, "a range stands alone; quote a text that has two dots")
    if bare[:1] in ("'", '"') and bare:
        _fail(name, text, "a quote is not closed")
    return bare


def _quoted(value: str) -> str:
    is_plain = value and value == value.strip() and not re.search(r"[,\"']", value)
    if is_plain and not _RANGE.fullmatch(value):
        return value
    return '"' + value.replace('"', '""') + '"'


def _plain(number: Decimal) -> str:
    """A number as it is short: without zeros at the end, with an exponent where it is far off."""
    bare = number.normalize()
    return format(bare, "f") if -7 < bare.adjusted() < 16 else str(bare)


def _fail(name: str, text: str, why: str) -> NoReturn:
    raise UsageError(f"the parameter {shown(name)}: {shown(text)}: {why}")


# -- the whole space -----------------------------------------------------------------------


def fixed(space: Space) -> dict[str, str]:
    """The parameters with one value, which every run has."""
    return {
        name: it.values[0]
        for name, it in space.items()
        if isinstance(it, Choice) and len(it.values) == 1
    }


def varying(space: Space) -> dict[str, Dimension]:
    """The parameters that are searched."""
    same = fixed(space)
    return {name: it for name, it in space.items() if name not in same}


def size(space: Space) -> int | None:
    """How many combinations there are; None where the values of a parameter can't be counted."""
    counts = [dimension.count() for dimension in varying(space).values()]
    known = [count for count in counts if count is not None]
    return math.prod(known) if len(known) == len(counts) else None


def grid(space: Space, count: int) -> list[dict[str, str]]:
    """The first `count` combinations; the last parameter varies fastest. Raises UsageError."""
    axes = []
    for name, dimension in varying(space).items():
        if (dimension.count() or _MOST + 1) > _MOST:
            raise UsageError(
                f"the parameter {shown(name)}={dimension} has too many values for a grid; list"
                " them, give a step (0.1..0.9:0.1), or use --sampler random or tpe"
            )
        axes.append([(name, value) for value in dimension.points()])
    return [dict(point) for point in itertools.islice(itertools.product(*axes), count)]


def corners(space: Space) -> Iterator[dict[str, str]]:
    """Combinations in which each listed value, and each end of a range, comes up once at least."""
    ends = {name: dimension.ends() for name, dimension in space.items()}
    for number in range(max(map(len, ends.values()), default=1)):
        yield {name: values[min(number, len(values) - 1)] for name, values in ends.items()}
