"""What the fluent API and the client return: MLflow's entities, field for field, but frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from gitml.errors import UsageError, shown
from gitml.tracking.record import STATUSES, MetricSummary, RunRecord, from_document, to_document
from gitml.tracking.record import Dataset as DatasetRecord
from gitml.tracking.system_tags import all_tags
from gitml.tracking.values import check_status

if TYPE_CHECKING:
    from typing_extensions import Self

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class Entity:
    """What all entities have: as in MLflow, `dict(run.info)` and `to_dictionary()` give fields."""

    _ours: ClassVar[tuple[str, ...]] = ()  # fields that MLflow's entity does not have

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """The fields, each with its value."""
        return iter([item for item in vars(self).items() if item[0] not in self._ours])

    def to_dictionary(self) -> dict[str, Any]:
        """The fields by name."""
        return dict(self)

    @classmethod
    def from_dictionary(cls, plain: Mapping[str, Any]) -> Self:
        """The entity of which `to_dictionary` made this; what is no field of it is left out."""
        names: Mapping[str, Any] = cls.__dataclass_fields__  # type: ignore[attr-defined]
        return cls(**{name: value for name, value in plain.items() if name in names})


class RunStatus:
    """The statuses of a run, by MLflow's names; each is its own name here, not a number."""

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
    def from_string(status: str) -> str:
        """The status of that name; UsageError when there is none."""
        return check_status(status)

    @staticmethod
    def all_status() -> list[str]:
        """The statuses of MLflow."""
        return list(STATUSES)

    @staticmethod
    def is_terminated(status: str) -> bool:
        """Whether a run of this status has ended."""
        return status in (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED)


class SourceType:
    """What kind of code a run executed, by MLflow's names; each is its own name here."""

    NOTEBOOK = "NOTEBOOK"
    JOB = "JOB"
    PROJECT = "PROJECT"
    LOCAL = "LOCAL"
    UNKNOWN = "UNKNOWN"

    @staticmethod
    def to_string(kind: str) -> str:
        """The kind itself, which is a string here."""
        return kind

    @staticmethod
    def from_string(kind: str) -> str:
        """The kind of that name; UsageError when there is none."""
        if kind not in ("NOTEBOOK", "JOB", "PROJECT", "LOCAL", "UNKNOWN"):
            raise UsageError(f"{shown(kind)} is no type of a source; use LOCAL, for example")
        return kind


class ViewType:
    """Which runs or experiments a search looks at: those alive, those deleted, or all."""

    ACTIVE_ONLY = 1
    DELETED_ONLY = 2
    ALL = 3

    _WORDS: ClassVar[dict[int, str]] = {1: "active", 2: "deleted", 3: "all"}

    @staticmethod
    def name_of(view: int) -> str:
        """The word for a view type: active, deleted or all."""
        if view not in ViewType._WORDS:
            raise UsageError(f"{shown(view)} is no view; use ViewType.ACTIVE_ONLY, for example")
        return ViewType._WORDS[view]

    @staticmethod
    def from_string(view: str) -> int:
        """The view type of `active_only`, `deleted_only` or `all`, as in MLflow."""
        for number, word in ViewType._WORDS.items():
            if view in (word, f"{word}_only"):
                return number
        raise UsageError(f"{shown(view)} is none of active_only, deleted_only, all")

    @staticmethod
    def to_string(view: int) -> str:
        """MLflow's word for a view type: active_only, deleted_only or all."""
        word = ViewType.name_of(view)
        return word if word == "all" else f"{word}_only"


class LifecycleStage:
    """What `lifecycle_stage` of a run or an experiment may be."""

    ACTIVE = "active"
    DELETED = "deleted"


@dataclass(unsafe_hash=True)  # not frozen: a history has many, and each takes half the time
class Metric(Entity):
    """One point of a metric; the timestamp is in milliseconds since the epoch."""

    key: str
    value: float
    timestamp: int
    step: int = 0


@dataclass(frozen=True)
class Param(Entity):
    """A param of a run, its value as text."""

    key: str
    value: str


@dataclass(frozen=True)
class RunTag(Entity):
    """A tag of a run."""

    key: str
    value: str


@dataclass(frozen=True)
class ExperimentTag(Entity):
    """A tag of an experiment."""

    key: str
    value: str


@dataclass(frozen=True)
class FileInfo(Entity):
    """A file or folder among a run's artifacts; `file_size` in bytes, None of a folder."""

    path: str
    is_dir: bool
    file_size: int | None


@dataclass(frozen=True)
class InputTag(Entity):
    """A tag of a dataset as an input."""

    key: str
    value: str


@dataclass(frozen=True)
class Dataset(Entity):
    """A dataset that a run used; `schema`, `source` and `profile` are JSON text, as in MLflow."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None


@dataclass(frozen=True)
class DatasetInput(Entity):
    """A dataset with the tags of this use, among them its context."""

    dataset: Dataset
    tags: list[InputTag] = field(default_factory=list)

    def to_dictionary(self) -> dict[str, Any]:
        """The dataset's fields, and the tags by key."""
        tags = {tag.key: tag.value for tag in self.tags}
        return {"dataset": self.dataset.to_dictionary(), "tags": tags}

    @classmethod
    def from_dictionary(cls, plain: Mapping[str, Any]) -> Self:
        """The input of which `to_dictionary` made this."""
        tags = [InputTag(key, value) for key, value in plain.get("tags", {}).items()]
        return cls(Dataset.from_dictionary(plain["dataset"]), tags)


@dataclass(frozen=True)
class RunInputs(Entity):
    """The inputs of a run."""

    dataset_inputs: list[DatasetInput] = field(default_factory=list)

    def to_dictionary(self) -> dict[str, Any]:
        """The inputs as plain dictionaries."""
        return {"dataset_inputs": [item.to_dictionary() for item in self.dataset_inputs]}

    @classmethod
    def from_dictionary(cls, plain: Mapping[str, Any]) -> Self:
        """The inputs of which `to_dictionary` made this."""
        return cls([DatasetInput.from_dictionary(it) for it in plain.get("dataset_inputs", ())])


@dataclass(frozen=True)
class RunInfo(Entity):
    """What a run is: ids, status, times in milliseconds since the epoch."""

    run_id: str
    experiment_id: str
    user_id: str
    status: str
    start_time: int
    end_time: int | None
    lifecycle_stage: str
    artifact_uri: str | None = None
    run_name: str | None = None

    @property
    def run_uuid(self) -> str:
        """The run's id, by its old name."""
        return self.run_id


@dataclass(frozen=True)
class RunData(Entity):
    """What a run logged: the last value of each metric, params as text, tags.

    `typed_params` are the params as they were logged; `summaries` tell the extremes of metrics.
    """

    _ours = ("typed_params", "summaries")

    metrics: Mapping[str, float] = field(default_factory=lambda: _EMPTY)
    params: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    tags: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    typed_params: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    summaries: Mapping[str, MetricSummary] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True)
class Run(Entity):
    """A run as MLflow's users know it; `record` is all that gitml knows of it."""

    _ours = ("record",)

    info: RunInfo
    data: RunData
    inputs: RunInputs = field(default_factory=RunInputs)
    record: RunRecord | None = field(default=None, repr=False, compare=False)

    def __hash__(self) -> int:
        return hash(self.info.run_id)

    def __getstate__(self) -> dict[str, Any]:
        """What pickle takes: the record as its document, so that a run can go elsewhere."""
        return {**vars(self), "record": to_document(self.record) if self.record else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        record = state["record"]
        vars(self).update(state, record=from_document(record) if record else None)

    @property
    def code_drift(self) -> tuple[str, ...]:
        """The modules that changed, or were loaded, after the snapshot and differ from it."""
        return self.record.code.drift if self.record else ()

    def to_dictionary(self) -> dict[str, Any]:
        """The run as plain dictionaries."""
        return {name: part.to_dictionary() for name, part in self}

    @classmethod
    def from_dictionary(cls, plain: Mapping[str, Any]) -> Self:
        """The run of which `to_dictionary` made this."""
        return cls(
            RunInfo.from_dictionary(plain["info"]),
            RunData.from_dictionary(plain["data"]),
            RunInputs.from_dictionary(plain.get("inputs", {})),
        )


@dataclass(frozen=True)
class Experiment(Entity):
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
        tags=all_tags(record),
        typed_params={key: _own(value) for key, value in record.params.items()},
        summaries=dict(record.metrics),
    )
    inputs = RunInputs([_input_of(item) for item in record.datasets])
    return Run(info, data, inputs, record)


def _own(value: Any) -> Any:
    """A value that its receiver may change: records are kept and shared."""
    return deepcopy(value) if isinstance(value, (dict, list)) else value


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
