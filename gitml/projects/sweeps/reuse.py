"""Runs that were recorded before, in the place of trials that would come to the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitml.projects import fingerprint
from gitml.projects.sweeps.plan import value_of
from gitml.projects.task import Task
from gitml.tracking import starting, store, vouched
from gitml.tracking.record import FINISHED, RunRecord

_MOST = 20


def recorded(task: Task, metric: str) -> RunRecord | None:
    """The newest finished run with the task's fingerprint and the metric.

    It may be anybody's who writes to the repository, not of a fork that was only fetched.
    """
    place = task.where.place
    digest = fingerprint.of(task, starting.code_now(place, task.program().files))
    if digest is None:
        return None
    found = store.search(
        place,
        f"status = 'FINISHED' AND tags.`{fingerprint.TAG}` = '{digest}'",
        ["start_time DESC"],
        limit=_MOST,
    )
    known = (own for one in found for own in vouched.vouched(place, one.run_id))
    return next((own for own in known if _fits(own, digest, metric)), None)


def _fits(record: RunRecord, digest: str, metric: str) -> bool:
    is_same = record.live_tags.get(fingerprint.TAG) == digest and record.status == FINISHED
    return is_same and value_of(metric, record.metrics) is not None and _has_known_data(record)


def _has_known_data(record: RunRecord) -> bool:
    """Whether the data that a run logged is as its code says: no file that nothing tracks.

    What git and DVC track is in the tree of the code, if it was not changed.
    """
    return not any(_is_untracked(item.source_type, item.source) for item in record.datasets)


def _is_untracked(kind: str, source: Mapping[str, Any]) -> bool:
    return kind == "local" or bool(source.get("changed"))
