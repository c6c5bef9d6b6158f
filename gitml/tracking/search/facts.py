"""What a search knows of a run: the one view that the index stores and filters are asked of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gitml.tracking.record import Json, RunRecord
from gitml.tracking.search.expressions import SUMMARIES
from gitml.tracking.system_tags import NAMES, system_values

Figures = Mapping[str, "float | None"]


class Facts(NamedTuple):
    """A run's attributes by MLflow's names, metrics, params, tags and datasets.

    `metrics` have the figures of `SUMMARIES`, of which `min` and `max` may be missing or None.
    `tags` are the run's own, None for a deleted one; `system` are the values of MLflow's.
    `datasets` are the names, digests and contexts of all of them.
    """

    attributes: Mapping[str, str | int | None]
    metrics: Mapping[str, Figures]
    params: Mapping[str, Json]
    tags: Mapping[str, str | None]
    system: tuple[str | None, ...]
    datasets: Mapping[str, Sequence[str]]

    def attribute(self, name: str) -> str | int | None:
        """An attribute, those that follow from others too."""
        if name == "artifact_uri":
            return artifact_uri(str(self.attributes["run_id"]))
        if name != "duration":
            return self.attributes[name]
        start, end = self.attributes["start_time"], self.attributes["end_time"]
        return end - start if isinstance(end, int) and isinstance(start, int) else None

    @property
    def tie(self) -> tuple[int, str]:
        """What orders runs that are equal otherwise: the newest first, then by id."""
        return (-int(self.attributes["start_time"] or 0), str(self.attributes["run_id"]))

    def tag(self, name: str) -> str | None:
        """A tag: what a person set or deleted wins over MLflow's own."""
        if name in self.tags:
            return self.tags[name]
        return (self.system[NAMES.index(name)] or None) if name in NAMES else None


def facts(record: RunRecord) -> Facts:
    """What a search knows of `record`."""
    attributes = {
        "run_id": record.run_id,
        "run_name": record.name,
        "status": record.status,
        "user_id": record.user,
        "experiment": record.experiment,
        "experiment_id": record.experiment_id,
        "description": record.description,
        "parent_run_id": record.parent_run,
        "start_time": record.start_time,
        "end_time": record.end_time,
    }
    metrics: dict[str, Figures] = {
        key: {name: getattr(item, name) for name in SUMMARIES}
        for key, item in record.metrics.items()
    }
    datasets = {
        "name": [item.name for item in record.datasets],
        "digest": [item.digest for item in record.datasets],
        "context": [item.context for item in record.datasets if item.context is not None],
    }
    return Facts(attributes, metrics, record.params, record.tags, system_values(record), datasets)


def artifact_uri(run_id: str) -> str:
    """The URI of a run's artifacts, the same in every clone."""
    return f"runs:/{run_id}"
