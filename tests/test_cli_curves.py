"""Curves drawn with the characters of a terminal."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from gitml.cli.curves import chart, sparkline

LINE = """\
4 ┤⠀⠀⠀⠀⠀⠀⠀⡠⠔⠊
  │⠀⠀⠀⢀⡠⠔⠉
0 ┤⡠⠔⠊⠁
  └──────────
   0   step 4"""

values = st.lists(st.floats(), max_size=40)


def test_a_sparkline_rises_from_the_lowest_to_the_highest() -> None:
    """Blocks of eight heights; NaN is a gap; a line without change is in the middle."""
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([0, math.nan, 7]) == "▁ █"
    assert sparkline([3.0, 3.0]) == "▄▄"
    assert sparkline([]) == sparkline([math.nan]) == ""


@given(values, st.integers(1, 20))
def test_a_sparkline_of_anything(values: list[float], width: int) -> None:
    """Any values, the largest there are too, give at most `width` blocks."""
    line = sparkline(values, width)
    assert len(line) <= width
    assert set(line) <= set(" ▁▂▃▄▅▆▇█")


def test_a_straight_line() -> None:
    """A chart has the highest and the lowest value at its left, the steps below."""
    points = [(float(step), float(step)) for step in range(5)]
    assert "\n".join(chart(points, width=10, height=3)) == LINE


def test_a_chart_without_a_curve() -> None:
    """One point, or points of one value, are a line in the middle; no finite point is nothing."""
    assert chart([]) == chart([(0, math.nan)]) == []
    assert "step 7" in chart([(7, 0.5)])[-1]
    assert sum("0.5 ┤" in line for line in chart([(0, 0.5), (9, 0.5)])) == 1


@given(values, st.integers(10, 80), st.integers(2, 8))
def test_a_chart_of_anything(values: list[float], width: int, height: int) -> None:
    """Whatever the values, the chart has its size."""
    lines = chart([(float(at), value) for at, value in enumerate(values)], width, height)
    assert len(lines) in (0, height + 2)
    margin = max((line.index("└") for line in lines if "└" in line), default=0)
    assert all(len(line) <= margin + 1 + width for line in lines)
