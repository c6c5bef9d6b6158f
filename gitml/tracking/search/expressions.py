"""What a search asks for, as values: keys, comparisons, filters and orders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

METRIC, PARAM, TAG, ATTRIBUTE, DATASET = "metric", "param", "tag", "attribute", "dataset"

SUMMARIES = ("last", "min", "max", "step", "count")

TEXT_ATTRIBUTES = (
    "run_id", "run_name", "status", "user_id", "artifact_uri", "experiment", "experiment_id",
    "description", "parent_run_id",
)  # fmt: skip
TIMES = ("start_time", "end_time")
NUMBER_ATTRIBUTES = (*TIMES, "duration")

Operand = int | float | str | tuple[int | float, ...] | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Key:
    """What is compared or ordered by, such as `params.lr` or `metrics.loss.min`.

    `summary`, one of `SUMMARIES`, says which figure of a metric is meant. `otherwise` is asked
    when a run has no such key: `metrics.loss.min` means the metric named `loss.min` first, and
    in a run without it the minimum of `loss`.
    """

    entity: str
    name: str
    summary: str = "last"
    otherwise: Key | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One condition. `numeric`: a param is compared as a number, not by its text.

    `operator` is one of = != > >= < <= LIKE, ILIKE, IN, NOT IN, IS NULL, IS NOT NULL.
    """

    key: Key
    operator: str
    operand: Operand = None
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class And:
    """Every one of the terms; without terms it is always true."""

    terms: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of the terms."""

    terms: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Whatever the term does not match, runs without the key among them."""

    term: Filter


Filter = Comparison | And | Or | Not


def keys_of(filter: Filter) -> Iterator[Key]:
    """The keys that a filter names, in its order."""
    if isinstance(filter, Comparison):
        yield filter.key
    elif isinstance(filter, Not):
        yield from keys_of(filter.term)
    else:
        for term in filter.terms:
            yield from keys_of(term)


@dataclass(frozen=True, slots=True)
class Order:
    """One term of an order: runs without the key come last, whichever the direction."""

    key: Key
    descending: bool = False
