"""What the fluent API and the client return: MLflow's entities, field for field, but frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from gitml.tracking.record import Dataset as DatasetRecord
from gitml.tracking.record import MetricSummary, RunRecord
from gitml.tracking.system_tags import system_tags

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class RunStatus:
    """The statuses of a run, by MLflow's names."""

    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"

    @staticmethod
    def to_string(status: str) -> str:
        """The status itself, which is a string here."""
        return status

    @staticmethod
    def is_terminated(status: str) -> bool:
        """Whether a run of this status has ended."""
        return status in (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED)


class ViewType:
    """Which runs or experiments a search looks at: those alive, those deleted, or all."""

    ACTIVE_ONLY = 1
    DELETED_ONLY = 2
    ALL = 3

    @staticmethod
    def name_of(view: int) -> str:
        """The word for a view type: active, deleted or all."""
        return {1: "active", 2: "deleted", 3: "all"}[view]


@dataclass(frozen=True)
class Metric:
    """One point of a metric; the timestamp is in milliseconds since the epoch."""

    key: str
    value: float
    timestamp: int
    step: int = 0


@dataclass(frozen=True)
class Param:
    """A param of a run, its value as text."""

    key: str
    value: str


@dataclass(frozen=True)
class RunTag:
    """A tag of a run."""

    key: str
    value: str


@dataclass(frozen=True)
class FileInfo:
    """A file or folder among a run's artifacts; `file_size` in bytes, None of a folder."""

    path: str
    is_dir: bool
    file_size: int | None


@dataclass(frozen=True)
class InputTag:
    """A tag of a dataset as an input."""

    key: str
    value: str


@dataclass(frozen=True)
class Dataset:
    """A dataset that a run used; `schema`, `source` and `profile` are JSON text, as in MLflow."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None


@dataclass(frozen=True)
class DatasetInput:
    """A dataset with the tags of this use, among them its context."""

    dataset: Dataset
    tags: list[InputTag] = field(default_factory=list)


@dataclass(frozen=True)
class RunInputs:
    """The inputs of a run."""

    dataset_inputs: list[DatasetInput] = field(default_factory=list)


@dataclass(frozen=True)
class RunInfo:
    """What a run is: ids, status, times in milliseconds since the epoch."""

    run_id: str
    run_name: str
    experiment_id: str
    status: str
    start_time: int
    end_time: int | None
    user_id: str
    lifecycle_stage: str
    artifact_uri: str

    @property
    def run_uuid(self) -> str:
        """The run's id, by its old name."""
        return self.run_id


@dataclass(frozen=True)
class RunData:
    """What a run logged: the last value of each metric, params as text, tags.

    `typed_params` are the params as they were logged; `summaries` tell the extremes of metrics.
    """

    metrics: Mapping[str, float] = field(default_factory=lambda: _EMPTY)
    params: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    tags: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    typed_params: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    summaries: Mapping[str, MetricSummary] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True)
class Run:
    """A run as MLflow's users know it; `record` is all that gitml knows of it."""

    info: RunInfo
    data: RunData
    inputs: RunInputs = field(default_factory=RunInputs)
    record: RunRecord | None = field(default=None, repr=False, compare=False)

    @property
    def code_drift(self) -> tuple[str, ...]:
        """The modules that changed, or were loaded, after the snapshot and differ from it."""
        return self.record.code.drift if self.record else ()

    def to_dictionary(self) -> dict[str, Any]:
        """The run as plain dictionaries."""
        data = self.data
        return {
            "info": dict(vars(self.info)),
            "data": {
                "metrics": dict(data.metrics),
                "params": dict(data.params),
                "tags": dict(data.tags),
            },
        }


@dataclass(frozen=True)
class Experiment:
    """An experiment; times in milliseconds since the epoch."""

    experiment_id: str
    name: str
    lifecycle_stage: str = "active"
    tags: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    creation_time: int | None = None
    last_update_time: int | None = None
    artifact_location: str = ""


def stage(deleted: bool) -> str:
    """MLflow's lifecycle stage."""
    return "deleted" if deleted else "active"


def run_of(record: RunRecord) -> Run:
    """The entity of a run record."""
    info = RunInfo(
        run_id=record.run_id,
        run_name=record.name,
        experiment_id=record.experiment_id,
        status=record.status,
        start_time=record.start_time,
        end_time=record.end_time,
        user_id=record.user,
        lifecycle_stage=stage(record.deleted),
        artifact_uri=f"runs:/{record.run_id}",
    )
    data = RunData(
        metrics={key: summary.last for key, summary in record.metrics.items()},
        params={key: str(value) for key, value in record.params.items()},
        tags={**system_tags(record), **record.live_tags},
        typed_params=dict(record.params),
        summaries=dict(record.metrics),
    )
    inputs = RunInputs([_input_of(item) for item in record.datasets])
    return Run(info, data, inputs, record)


def _input_of(item: DatasetRecord) -> DatasetInput:
    import json

    def text(value: Any) -> str:
        return json.dumps(dict(value) if isinstance(value, Mapping) else value)

    dataset = Dataset(
        name=item.name,
        digest=item.digest,
        source_type=item.source_type,
        source=text(item.source),
        schema=None if item.schema is None else text(item.schema),
        profile=None if item.profile is None else text(item.profile),
    )
    tags = dict(item.tags)
    if item.context is not None:
        tags["mlflow.data.context"] = item.context
    return DatasetInput(dataset, [InputTag(key, value) for key, value in tags.items()])
