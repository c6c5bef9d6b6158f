"""Searching models and versions in MLflow's filter language: the grammar is that of runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from gitml.registry.entities import ModelVersion, RegisteredModel
from gitml.tracking.search import parse_filter, parse_order
from gitml.tracking.search.expressions import NUMBER_ATTRIBUTES, TEXT_ATTRIBUTES
from gitml.tracking.search.facts import Facts
from gitml.tracking.search.match import matches, order_values, rank
from gitml.tracking.system_tags import NAMES

Found = TypeVar("Found", ModelVersion, RegisteredModel)

# What MLflow calls things here, and the attribute of a run that stands for it in the grammar.
_AS = {
    "name": "run_name",
    "source_path": "description",
    "version_number": "duration",
    "creation_timestamp": "start_time",
    "last_updated_timestamp": "start_time",
}
_KEYS = re.compile(
    rf"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*`
    | (?<![\w.])(?:attributes?\.|attr\.)?(?P<key>{"|".join(_AS)})\b""",
    re.VERBOSE,
)


def search(
    items: Sequence[Found], filter: str | None, order_by: Sequence[str] | None
) -> list[Found]:
    """Those that match, in the order that is asked for; else by name, the newest version first.

    Keys are name, run_id, source_path, version_number (of versions), creation_timestamp,
    last_updated_timestamp and tags. Raises UsageError for others.
    """
    wanted = parse_filter(_as_of_runs(filter or ""))
    order = parse_order([_as_of_runs(term) for term in order_by or ()])
    seen = [(item, _facts(item)) for item in items]
    found = [(item, facts) for item, facts in seen if matches(wanted, facts)]
    found.sort(key=lambda it: _tie(it[0]))
    if order_by:
        found.sort(key=lambda it: rank(order, order_values(order, it[1]), (0, "")))
    return [item for item, _ in found]


def _as_of_runs(text: str) -> str:
    return _KEYS.sub(lambda it: _AS[it["key"]] if it["key"] else it[0], text)


def _facts(item: ModelVersion | RegisteredModel) -> Facts:
    attributes: dict[str, str | int | None] = {
        **dict.fromkeys((*TEXT_ATTRIBUTES, *NUMBER_ATTRIBUTES)),
        "run_name": item.name,
        "start_time": item.creation_timestamp,
    }
    if isinstance(item, ModelVersion):
        attributes["run_id"], attributes["description"] = item.run_id, item.source
        attributes["end_time"] = item.creation_timestamp + item.ordinal  # its duration
    return Facts(attributes, {}, {}, dict(item.tags), (None,) * len(NAMES), {})


def _tie(item: ModelVersion | RegisteredModel) -> tuple[str, int]:
    return item.name, -item.ordinal if isinstance(item, ModelVersion) else 0
