"""Metric histories: the points of a session as a TSV file, and what all sessions come to.

A history file has the header `metric step time_ms value` and one line for each point, in call
order, with TAB and LF. A value is written as Python writes a float, or NaN, Infinity, -Infinity,
so every bit pattern but a NaN's payload comes back.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import Any, NamedTuple, TypeVar

from gitml.errors import FormatError, UsageError, shown
from gitml.tracking.record import MetricSummary

_HEADER = "metric\tstep\ttime_ms\tvalue\n"
_Number = TypeVar("_Number", int, float)
Row = tuple[str, int, int, float]  # a point's fields, in their order


class Point(NamedTuple):
    """One logged value of a metric; the time is in milliseconds since the epoch."""

    key: str
    step: int
    time_ms: int
    value: float


def write_history(points: Iterable[Point]) -> bytes:
    """The history file of a session's points, which are in call order."""
    lines = [f"{key}\t{step}\t{time}\t{value!r}\n" for key, step, time, value in points]
    text = _HEADER + "".join(lines)
    # a key that holds a separator would forge other points
    if (text.count("\n"), text.count("\t")) != (len(lines) + 1, 3 * len(lines) + 3) or (
        "\r" in text or "\0" in text
    ):
        bad = next(line for line in lines if _is_forged(line))
        raise UsageError(f"metric line {shown(bad)} holds a TAB, CR, LF or NUL in its key")
    for python, name in (("nan", "NaN"), ("inf", "Infinity"), ("-inf", "-Infinity")):
        text = text.replace(f"\t{python}\n", f"\t{name}\n")
    return text.encode()


def _is_forged(line: str) -> bool:
    return (line.count("\t"), line.count("\n")) != (3, 1) or "\r" in line or "\0" in line


def read_history(data: bytes, where: str, key: str | None = None) -> list[Point]:
    """The points of a history file in call order, of one metric if `key` is given.

    `where` names the file in the FormatError that a damaged one raises.
    """
    with without_collection():
        return list(map(tuple.__new__, repeat(Point), read_rows(data, where, key)))


def read_rows(data: bytes, where: str, key: str | None = None) -> Iterator[Row]:
    """The points of a history file as `read_history` has them, in half the time: plain tuples."""
    if not data.startswith(_HEADER.encode()):
        raise FormatError(f"{where}:1 is not the header of a metric history")
    if not data.endswith(b"\n"):
        last = data.count(b"\n") + 1
        raise FormatError(f"{where}:{last} has no end; the metric history is cut off")
    body = data[len(_HEADER) :]
    try:
        return _rows(body) if key is None else _rows_of(data[len(_HEADER) - 1 :], key)
    except ValueError:
        raise FormatError(_complaint(body, where, key)) from None


def _lines_of(body: bytes, key: str) -> list[bytes]:
    prefix = f"{key}\t".encode()
    return [line + b"\n" for line in body.split(b"\n") if line.startswith(prefix)]


def _rows(body: bytes) -> Iterator[Row]:
    """All points at once, column by column: twice as fast as line by line."""
    cells = body.replace(b"\n", b"\t\n\t").split(b"\t")
    cells.pop()  # what follows the last line's end
    ends = cells[4::5]
    if ends.count(b"\n") != len(ends) or len(cells) % 5:
        raise ValueError("a line does not have four cells")
    keys = {key: key.decode() for key in set(cells[::5])}
    return zip(
        map(keys.__getitem__, cells[::5]),
        _numbers(cells[1::5], int),
        _numbers(cells[2::5], int),
        _numbers(cells[3::5], float),
        strict=True,
    )


def _rows_of(lines: bytes, key: str) -> Iterator[Row]:
    """The points of one metric, read as one JSON array: null, step, time, value, null, step ...

    `lines` begins with the end of the header. This takes two thirds of the time of `_rows`,
    which gets whatever is not plain numbers.
    """
    start = b"\n%b\t" % key.encode()
    if lines.count(start) + 1 < lines.count(b"\n"):
        lines = b"\n" + b"".join(_lines_of(lines[1:], key))
    count = lines.count(b"\n") - 1
    cells = lines[:-1].replace(start, b",null,")
    numbers = _parsed(cells[1:].replace(b"\t", b",")) if cells.count(b",") == 2 * count else []
    nulls, steps, times, values = (numbers[at::4] for at in range(4))
    if nulls.count(None) != count or not _are(steps, int, times, int, values, float):
        return _rows(lines[1:])
    return zip(repeat(key), steps, times, values, strict=False)


def _numbers(cells: list[bytes], kind: type[_Number]) -> list[_Number]:
    """The numbers, by a reader that is three times as fast where all are plain JSON ones."""
    values = _parsed(b",".join(cells))
    if len(values) == len(cells) and _are(values, kind):
        return values
    return list(map(kind, cells))


def _parsed(cells: bytes) -> list[Any]:
    """A JSON array's items; none when it is none, as with NaN or an infinity."""
    import orjson

    try:
        return orjson.loads(b"[%b]" % cells)  # type: ignore[no-any-return]
    except orjson.JSONDecodeError:
        return []


def _are(*columns: Any) -> bool:
    """Whether all values of each column are of the type that follows it."""
    return all(set(map(type, columns[at])) == {columns[at + 1]} for at in range(0, len(columns), 2))


def _complaint(body: bytes, where: str, key: str | None) -> str:
    prefix = b"" if key is None else f"{key}\t".encode()
    for number, line in enumerate(body.split(b"\n")[:-1], start=2):
        try:
            if line.startswith(prefix):
                _rows(line + b"\n")
        except ValueError:
            text = shown(line.decode("utf-8", "backslashreplace"))
            return f"{where}:{number} is not a point of a metric history: {text}"
    return f"{where} is not a metric history"


@contextmanager
def without_collection() -> Iterator[None]:
    """Spare the making of many small objects the garbage collector, which takes half the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def summarize(histories: Mapping[str, Sequence[Point]]) -> dict[str, MetricSummary]:
    """The summary of every metric over the histories of all sessions, given by session id.

    `last` is the value at the highest step; among points of one step that of the latest time,
    then of the highest session id, then of the latest call. So the result does not depend on
    the order of the mapping. NaN is counted and can be `last`, but is never `min` or `max`.
    """
    totals: dict[str, _Total] = {}
    for key, step, time, value in _in_order(histories):
        total = totals.get(key)
        if total is None:
            total = totals[key] = _Total(step, time, value)
        elif step > total.step or (step == total.step and time >= total.time):
            total.step, total.time, total.last = step, time, value
        total.count += 1
        if value < total.low:
            total.low = value
        if value > total.high:
            total.high = value
    return {key: total.summary() for key, total in totals.items()}


def _in_order(histories: Mapping[str, Sequence[Point]]) -> Iterator[Point]:
    for session in sorted(histories):
        yield from histories[session]


class _Total:
    """The running total of one metric; it begins without a point, so `low` is above `high`."""

    __slots__ = ("count", "high", "last", "low", "step", "time")

    def __init__(self, step: int, time: int, value: float) -> None:
        self.step, self.time, self.last = step, time, value
        self.low, self.high, self.count = math.inf, -math.inf, 0

    def summary(self) -> MetricSummary:
        numbers = self.low <= self.high
        return MetricSummary(
            last=self.last,
            step=self.step,
            min=self.low if numbers else None,
            max=self.high if numbers else None,
            count=self.count,
        )
