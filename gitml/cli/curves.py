"""Curves of metrics in the cells of a terminal: sparklines, and charts of braille dots. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from gitml.cli.figures import number

Points = Sequence[tuple[float, float]]  # step and value, the steps rising

_BLOCKS = "▁▂▃▄▅▆▇█"
_BLANK = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # row and column in a cell


def sparkline(values: Sequence[float], width: int = 12) -> str:
    """Values as a line of blocks, at most `width`; values that are not finite are left out."""
    means = [_mean(part) for part in _parts(values, width)]
    known = [mean for mean in means if mean is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    return "".join(" " if mean is None else _block(mean, low, high) for mean in means)


def _parts(values: Sequence[float], count: int) -> Iterator[Sequence[float]]:
    """The values in at most `count` parts of nearly the same length, in order."""
    count = min(count, len(values))
    for at in range(count):
        yield values[at * len(values) // count : (at + 1) * len(values) // count]


def _mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(value / len(finite) for value in finite) if finite else None


def _block(value: float, low: float, high: float) -> str:
    if high == low:
        return _BLOCKS[3]
    return _BLOCKS[min(7, int(_share(value, low, high) * 8))]


def _share(value: float, low: float, high: float) -> float:
    """Where `value` is between `low` (0) and `high` (1), without overflow."""
    half = high / 2 - low / 2
    return (value / 2 - low / 2) / half if half > 0 else 0.5


def chart(points: Points, width: int = 60, height: int = 6) -> list[str]:
    """A curve as `height` lines with the highest and lowest value at the left, then the steps."""
    known = [(x, y) for x, y in points if math.isfinite(y)]
    if not known:
        return []
    low, high = min(y for _, y in known), max(y for _, y in known)
    labels = (
        {0: number(high), height - 1: number(low)} if high > low else {height // 2: number(low)}
    )
    margin = max(map(len, labels.values()))
    canvas = _Canvas(width, height)
    canvas.draw([(canvas.column(x, known), canvas.row(y, low, high)) for x, y in known])
    lines = [
        f"{labels.get(at, '').rjust(margin)} {'┤' if at in labels else '│'}{row}"
        for at, row in enumerate(canvas.rows())
    ]
    return [*lines, f"{' ' * margin} └{'─' * width}", f"{' ' * margin}  {_steps(known, width)}"]


def _steps(points: Points, width: int) -> str:
    first, last = number(points[0][0]), number(points[-1][0])
    return f"step {first}" if first == last else first + f"step {last}".rjust(width - len(first))


class _Canvas:
    """Dots, two across and four down in each cell."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._cells = [[0] * width for _ in range(height)]

    def column(self, x: float, points: Points) -> int:
        first, last = points[0][0], points[-1][0]
        return round(_share(x, first, last) * (2 * self._width - 1)) if last > first else 0

    def row(self, y: float, low: float, high: float) -> int:
        return round((1 - _share(y, low, high)) * (4 * self._height - 1))

    def draw(self, dots: Sequence[tuple[int, int]]) -> None:
        """Set dots, and those on the lines between one and the next."""
        seen: set[tuple[int, int, int, int]] = set()
        for (x, y), (x2, y2) in zip(dots, dots[1:] or dots, strict=False):
            if (x, y, x2, y2) in seen:
                continue
            seen.add((x, y, x2, y2))
            steps = max(abs(x2 - x), abs(y2 - y), 1)
            for at in range(steps + 1):
                self._set(x + round((x2 - x) * at / steps), y + round((y2 - y) * at / steps))

    def _set(self, x: int, y: int) -> None:
        self._cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]

    def rows(self) -> Iterator[str]:
        for row in self._cells:
            yield "".join(chr(_BLANK + dots) for dots in row).rstrip(chr(_BLANK))
