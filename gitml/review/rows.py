"""A run as one row of a listing or an export: the stable keys that scripts rely on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gitml.tracking.moments import time_to_text
from gitml.tracking.record import Json, RunRecord, number_to_json


def row(record: RunRecord) -> dict[str, Any]:
    """What a listing says of a run: every key is always there, None when it says nothing.

    `params` keep their JSON type, `metrics` are last values (NaN and infinities as text), `tags`
    are those that are set. Times are ISO 8601 in UTC, `duration` is in seconds.
    """
    end, code = record.end_time, record.code
    return {
        "run_id": record.run_id,
        "name": record.name,
        "experiment": record.experiment,
        "experiment_id": record.experiment_id,
        "status": record.status,
        "reason": record.reason,
        "start_time": time_to_text(record.start_time),
        "end_time": None if end is None else time_to_text(end),
        "duration": None if end is None else (end - record.start_time) / 1000,
        "user": record.user or None,
        "description": record.description,
        "deleted": record.deleted,
        "parent_run": record.parent_run,
        "source": record.source.name or None,
        "code": {
            "commit": code.commit,
            "tree": code.tree,
            "branch": code.branch,
            "dirty": code.dirty,
            "drift": list(code.drift),
        },
        "models": sorted(record.models),
        "params": dict(record.params),
        "metrics": {key: number_to_json(item.last) for key, item in record.metrics.items()},
        "tags": record.live_tags,
    }


_OPEN = ("params", "metrics", "tags")  # mappings whose keys are the user's


def flat_rows(documents: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[dict[str, Json]]]:
    """Documents as rows of one level, and the names of the columns that hold them all.

    The user's own keys stand behind the others, sorted.
    """
    rows = [flat(document) for document in documents]
    names = list(dict.fromkeys(name for row in rows for name in row))
    own = [name for name in names if name.partition(".")[0] in _OPEN]
    own.sort(key=lambda name: (_OPEN.index(name.partition(".")[0]), name))
    return [name for name in names if name not in set(own)] + own, rows


def flat(document: Mapping[str, Any], above: str = "") -> dict[str, Json]:
    """A document as one level: the keys of mappings are joined by a dot, lists stay lists."""
    found: dict[str, Json] = {}
    for key, value in document.items():
        if isinstance(value, Mapping) and above.rstrip(".") not in _OPEN:
            found.update(flat(value, f"{above}{key}."))
        else:
            found[above + key] = value
    return found
