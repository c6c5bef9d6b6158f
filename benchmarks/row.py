"""A result: what was measured on either side, and the target that it is held against."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class MeasureError(Exception):
    """A measurement could not be made; the message is one line."""


class Unit(Enum):
    """What a figure counts. Values are kept in seconds, bytes, and so on, unscaled."""

    SECONDS = "s"
    BYTES = "B"
    RUNS_PER_SECOND = "runs/s"
    REQUESTS_PER_SECOND = "requests/s"
    MODULES = "modules"


_RATES = (Unit.RUNS_PER_SECOND, Unit.REQUESTS_PER_SECOND)


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of the repetitions and the best of them; `remark` says what else was seen.

    `cpu` is the mean processor time of a repetition in seconds.
    """

    value: float
    best: float | None = None
    cpu: float | None = None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A target: at most `value`, or at least."""

    value: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Whether a figure keeps to the target."""
        return value >= self.value if self.at_least else value <= self.value


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the results. A side that gave no figure has the reason in its place."""

    what: str
    unit: Unit
    gitml: Figure | str
    limit: Limit | None = None
    peers: tuple[tuple[str, Figure | str], ...] = ()
    note: str = ""
    load: float | None = None

    @property
    def verdict(self) -> str:
        """`met`, `not met` or `not measured`; empty without a target."""
        if isinstance(self.gitml, str):
            return "not measured"
        if self.limit is None:
            return ""
        return "met" if self.limit.met(self.gitml.value) else "**not met**"

    def times(self, peer: Figure) -> float | None:
        """How many times better gitml is than a peer; below 1 it is worse."""
        if isinstance(self.gitml, str) or not self.gitml.value or not peer.value:
            return None
        ratio = peer.value / self.gitml.value
        return 1 / ratio if self.unit in _RATES else ratio


def figure_of(samples: Sequence[float], cpu: float | None = None, remark: str = "") -> Figure:
    """The figure of repeated measurements, of which the smallest is the best."""
    return Figure(statistics.median(samples), min(samples), cpu, remark)


def shown(value: float, unit: Unit) -> str:
    """A figure for people: three digits, in a unit of its size."""
    if unit is Unit.SECONDS:
        return _scaled(value, ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")))
    if unit is Unit.BYTES:
        return _scaled(value, ((1e6, "MB"), (1e3, "kB"), (1.0, "B")))
    return f"{_digits(value)} {unit.value}"


def _scaled(value: float, units: Sequence[tuple[float, str]]) -> str:
    size, name = next((unit for unit in units if abs(value) >= unit[0]), units[-1])
    return f"{_digits(value / size)} {name}"


def _digits(value: float) -> str:
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
