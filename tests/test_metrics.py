"""Metric histories: written, read back, and summed up."""

from __future__ import annotations

import gc
import math
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitml.errors import FormatError, UsageError
from gitml.tracking.metrics import Point, read_history, summarize, write_history
from gitml.tracking.record import MetricSummary

HEADER = b"metric\tstep\ttime_ms\tvalue\n"

keys = st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n\0"), min_size=1, max_size=8)
steps = st.integers(-(2**63), 2**63 - 1)
times = st.integers(0, 253_402_300_799_999)
values = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)
points = st.builds(Point, keys, steps, times, values)
few = st.builds(Point, st.sampled_from("ab"), st.integers(0, 2), st.integers(0, 2), values)


def bits(point: Point) -> tuple[str, int, int, bytes]:
    """A point that can be compared bit for bit; one NaN is like another."""
    value = math.nan if math.isnan(point.value) else point.value
    return point.key, point.step, point.time_ms, struct.pack(">d", value)


def points_of(*values: float, key: str = "loss") -> list[Point]:
    """A history of `values` at the steps 0, 1, ..."""
    return [Point(key, step, 1000 + step, value) for step, value in enumerate(values)]


# -- the file ------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(points, max_size=20))
@example([Point("k", 0, 0, value) for value in (math.nan, math.inf, -math.inf, -0.0, 5e-324)])
@example([Point("k", 0, 0, value) for value in (1e308, 1.7976931348623157e308, 0.1, 1e22, 1.0)])
@example([Point("1", 2, 3, 4.0), Point("nan", 0, 0, math.nan), Point(" ", 0, 0, 1.0)])
@example([])
def test_every_point_comes_back_bit_for_bit(history: list[Point]) -> None:
    """A history is read as it was written: order, integers and the bits of every float."""
    found = read_history(write_history(history), "here")
    assert list(map(bits, found)) == list(map(bits, history))
    assert all(type(point) is Point and type(point.value) is float for point in found)


@settings(deadline=None)
@given(st.lists(points, max_size=20), keys)
def test_one_metric_is_read_alone(history: list[Point], key: str) -> None:
    """Reading one key gives its points and no other's, such as those of a longer key."""
    longer = [*history, Point(key, 1, 1, 1.0), Point(f"{key}2", 1, 1, 2.0)]
    found = read_history(write_history(longer), "here", key)
    assert list(map(bits, found)) == [bits(point) for point in longer if point.key == key]


def test_the_file_is_plain_text() -> None:
    """The format is the contract: a header, TAB, LF, Python's floats, and three words."""
    history = points_of(0.5, math.nan, math.inf, -math.inf, 1e16)
    assert write_history(history) == HEADER + (
        b"loss\t0\t1000\t0.5\n"
        b"loss\t1\t1001\tNaN\n"
        b"loss\t2\t1002\tInfinity\n"
        b"loss\t3\t1003\t-Infinity\n"
        b"loss\t4\t1004\t1e+16\n"
    )


@pytest.mark.parametrize("key", ["a\tb", "a\nb", "a\rb", "a\0b", "a\t1\t1\t1\nb"])
def test_a_key_that_would_forge_other_points_is_not_written(key: str) -> None:
    """TAB, CR, LF and NUL have no place in a key."""
    with pytest.raises(UsageError, match="in its key"):
        write_history([Point("fine", 0, 0, 0.0), Point(key, 0, 0, 0.0)])


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", 1),
        (b"metric,step\n", 1),
        (b"metric\tstep\ttime_ms\tvalue\r\n", 1),
        (b"\xef\xbb\xbf" + HEADER, 1),
        (HEADER[:-1], 1),
        (HEADER + b"k\t0\t0\t1.0", 2),
        (HEADER + b"k\t0\t0\t1.0\nk\t1\t1\t1", 3),
        (HEADER + b"k\t0\t0\t1.0\n\n", 3),
        (HEADER + b"k\t0\t0\n", 2),
        (HEADER + b"k\t0\t0\t1.0\t2\n", 2),
        (HEADER + b"k\t0\t0\nk\t0\t0\t1.0\t5\n", 2),
        (HEADER + b"k\t0\t0\t1.0\nk\tone\t0\t1.0\n", 3),
        (HEADER + b"k\t0\t0\t1.0\nk\t1.5\t0\t1.0\n", 3),
        (HEADER + b"k\t0\t0\tlow\n", 2),
        (HEADER + b"k\t0\t0\t\n", 2),
        (HEADER + b"k\t0\t0\tnull\n", 2),
        (HEADER + b"k\t0\t0\t[1.0]\n", 2),
        (HEADER + b"k\t0\t0\t1.0\n\xff\t0\t0\t1.0\n", 3),
        (HEADER + b"k\t" + b"9" * 5000 + b"\t0\t1.0\n", 2),
    ],
)
def test_a_damaged_history_is_refused_with_its_line(data: bytes, line: int) -> None:
    """The error names the file and the first line that is wrong, on one printable line."""
    with pytest.raises(FormatError) as refused:
        read_history(data, "metrics/s.tsv")
    assert str(refused.value).startswith(f"metrics/s.tsv:{line} ")
    assert str(refused.value).isprintable()


def test_one_metric_of_a_damaged_history_is_refused_with_its_line() -> None:
    """Reading one key counts all lines."""
    data = HEADER + b"a\t0\t0\t1.0\nb\t0\t0\tbad\n"
    assert read_history(data, "here", "a") == [Point("a", 0, 0, 1.0)]
    with pytest.raises(FormatError, match="here:3 is not a point"):
        read_history(data, "here", "b")


@pytest.mark.parametrize(
    "line",
    [
        b"k\t0,0\t1.0",
        b"k\t0\t0\t1.0,null,0,0,1.0",
        b"k\t0\t0",
        b"k\t0\t0\t1.0\t2",
        b"k\tnull\t0\t1.0",
        b"k\ttrue\t0\t1.0",
        b"k\t0\t0\t[]",
        b"k\t",
    ],
)
def test_no_text_passes_for_the_points_of_one_metric(line: bytes) -> None:
    """A line that is no point is refused between others of its metric too."""
    data = HEADER + b"k\t0\t0\t1.0\n%b\nk\t2\t2\t2.0\n" % line
    with pytest.raises(FormatError, match="here:3 is not a point"):
        read_history(data, "here", "k")


def test_reading_leaves_the_garbage_collector_as_it_was() -> None:
    """Collection that is on stays on, and collection that is off stays off."""
    data = write_history(points_of(1.0))
    read_history(data, "here")
    assert gc.isenabled()
    gc.disable()
    try:
        read_history(data, "here")
        assert not gc.isenabled()
    finally:
        gc.enable()


# -- the summary ---------------------------------------------------------------------------


def test_last_is_that_of_the_highest_step_then_time_then_call() -> None:
    """MLflow's rule."""
    history = [
        Point("loss", 5, 10, 1.0),
        Point("loss", 9, 20, 2.0),
        Point("loss", 9, 30, 3.0),
        Point("loss", 9, 30, 4.0),
        Point("loss", 9, 25, 5.0),
        Point("loss", 1, 99, 6.0),
    ]
    assert summarize({"s": history})["loss"] == MetricSummary(4.0, 9, 1.0, 6.0, 6)


def test_of_two_sessions_at_one_step_and_time_the_higher_id_holds() -> None:
    """The order of the sessions in the mapping does not matter."""
    a, b = [Point("loss", 1, 10, 1.0)], [Point("loss", 1, 10, 2.0)]
    assert summarize({"a": a, "b": b}) == summarize({"b": b, "a": a})
    assert summarize({"b": b, "a": a})["loss"].last == 2.0


def test_nan_is_counted_but_is_no_extreme() -> None:
    """NaN can be the last value; it is never the lowest or the highest."""
    summary = summarize({"s": points_of(2.0, math.nan, 1.0, math.nan)})["loss"]
    assert (summary.min, summary.max, summary.count) == (1.0, 2.0, 4)
    assert math.isnan(summary.last)


def test_a_metric_of_nan_alone_has_no_extremes() -> None:
    """There is nothing to be lowest or highest."""
    summary = summarize({"s": points_of(math.nan)})["loss"]
    assert (summary.min, summary.max, summary.count) == (None, None, 1)


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinities_are_extremes(value: float) -> None:
    """They are values like any other."""
    assert summarize({"s": points_of(value)})["loss"] == MetricSummary(value, 0, value, value, 1)


@settings(deadline=None)
@given(st.lists(st.lists(few, max_size=8), max_size=4))
def test_a_summary_agrees_with_its_definition(histories: list[list[Point]]) -> None:
    """The quick computation gives what the rules say, in whatever order sessions come."""
    sessions = {f"s{number}": history for number, history in enumerate(histories)}
    found = summarize(dict(reversed(sessions.items())))
    everything = [
        (point.step, point.time_ms, session, number, point)
        for session, history in sessions.items()
        for number, point in enumerate(history)
    ]
    assert found.keys() == {item[-1].key for item in everything}
    for key, summary in found.items():
        own = [item for item in everything if item[-1].key == key]
        last = max(own, key=lambda item: item[:4])[-1]
        numbers = [item[-1].value for item in own if not math.isnan(item[-1].value)]
        assert bits(last) == bits(Point(key, summary.step, last.time_ms, summary.last))
        assert summary.count == len(own)
        assert summary.min == min(numbers, default=None)
        assert summary.max == max(numbers, default=None)
