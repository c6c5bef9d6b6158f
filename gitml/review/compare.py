"""What two or more runs have differently. Pure: it compares plain records that are passed to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from gitml.review.better import best, better
from gitml.review.code import FileChange
from gitml.tracking.record import Artifact, Dataset, Json, RunRecord, number_to_json

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Difference:
    """One key and its value in each run, None where a run has none."""

    key: str
    values: tuple[Json, ...]

    @property
    def same(self) -> bool:
        """Whether every run has it, with one value."""
        return len({(value is None, str(value)) for value in self.values}) == 1


@dataclass(frozen=True, slots=True)
class DataDifference(Difference):
    """The digest of a dataset in each run, and the dataset."""

    datasets: tuple[Dataset | None, ...]


@dataclass(frozen=True, slots=True)
class ArtifactDifference(Difference):
    """The sha256 of an artifact in each run, and the artifact."""

    artifacts: tuple[Artifact | None, ...]


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """The last value of a metric in each run, None where a run has none.

    `deltas` are against the first run, None where that can't be told. `better` is `higher`,
    `lower` or None by the metric's name, `best` the position of the best run.
    """

    key: str
    values: tuple[float | None, ...]
    deltas: tuple[float | None, ...]
    better: str | None
    best: int | None

    @property
    def same(self) -> bool:
        """Whether every run has it, with one value."""
        return len(set(map(repr, self.values))) == 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two or more runs side by side; every key of any of them is there, in order.

    `code` holds the files that differ between the first run and each other one; None in place of
    what could not be compared.
    """

    runs: tuple[RunRecord, ...]
    params: tuple[Difference, ...]
    metrics: tuple[MetricDifference, ...]
    tags: tuple[Difference, ...]
    data: tuple[DataDifference, ...]
    artifacts: tuple[ArtifactDifference, ...]
    environment: tuple[Difference, ...]
    packages: tuple[Difference, ...]
    code: tuple[tuple[FileChange, ...] | None, ...]


def compare(
    runs: Sequence[RunRecord],
    packages: Sequence[Mapping[str, str]] = (),
    code: Sequence[Sequence[FileChange] | None] = (),
) -> Comparison:
    """Compare runs with the first of them.

    `packages` are those of each run, name to version; `code` the files that differ between the
    first run and each other one. Both may be left out.
    """
    return Comparison(
        runs=tuple(runs),
        params=_differences([_params(run) for run in runs]),
        metrics=tuple(_metric(key, runs) for key in _keys(run.metrics for run in runs)),
        tags=_differences([run.live_tags for run in runs]),
        data=_data_differences([_data(run) for run in runs]),
        artifacts=_artifact_differences([run.artifacts for run in runs]),
        environment=_differences([_environment(run) for run in runs], ordered=False),
        packages=_differences(packages),
        code=tuple(None if files is None else tuple(files) for files in code),
    )


def _params(run: RunRecord) -> dict[str, Json]:
    """Params, where None is a value: the text that MLflow makes of it."""
    return {key: "None" if value is None else value for key, value in run.params.items()}


def _data(run: RunRecord) -> dict[str, Dataset]:
    """The datasets, by name and context; several of one name are numbered."""
    found: dict[str, Dataset] = {}
    for item in run.datasets:
        name = f"{item.name} ({item.context})" if item.context else item.name
        count = 1
        while (key := name if count == 1 else f"{name} #{count}") in found:
            count += 1
        found[key] = item
    return found


def _data_differences(sides: Sequence[Mapping[str, Dataset]]) -> tuple[DataDifference, ...]:
    return tuple(
        DataDifference(key, tuple(None if item is None else item.digest for item in row), row)
        for key, row in _rows(sides)
    )


def _artifact_differences(
    sides: Sequence[Mapping[str, Artifact]],
) -> tuple[ArtifactDifference, ...]:
    return tuple(
        ArtifactDifference(key, tuple(None if item is None else item.sha256 for item in row), row)
        for key, row in _rows(sides)
    )


def _rows(sides: Sequence[Mapping[str, T]]) -> Iterator[tuple[str, tuple[T | None, ...]]]:
    """Every key in order, with what each side has of it."""
    for key in _keys(sides):
        yield key, tuple(side.get(key) for side in sides)


def source_kind(dataset: Dataset) -> str:
    """Where data is from; what differed from its DVC pointer is not to be had from there."""
    changed = dataset.source_type == "dvc" and dataset.source.get("changed") is True
    return "dvc, changed" if changed else dataset.source_type


def _environment(run: RunRecord) -> dict[str, Json]:
    machine, code = run.environment, run.code
    said: dict[str, Json] = {
        "python": machine.python,
        "platform": machine.platform,
        "host": machine.host,
        "cpus": machine.cpus,
        "gitml": machine.gitml,
        "source": run.source.name,
        "command": " ".join(run.source.command),
        "branch": code.branch,
        "commit": code.commit,
        "uncommitted changes": ("yes" if code.dirty else "no") if code.commit else None,
        "code drift": ", ".join(code.drift),
    }
    return {key: value for key, value in said.items() if value not in (None, "", 0)}


def _differences(
    sides: Sequence[Mapping[str, Json] | Mapping[str, str]], *, ordered: bool = True
) -> tuple[Difference, ...]:
    keys = _keys(sides) if ordered else list(dict.fromkeys(key for side in sides for key in side))
    return tuple(Difference(key, tuple(side.get(key) for side in sides)) for key in keys)


def _keys(sides: Iterable[Iterable[str]]) -> list[str]:
    return sorted({key for side in sides for key in side})


def _metric(key: str, runs: Sequence[RunRecord]) -> MetricDifference:
    values = tuple(run.metrics[key].last if key in run.metrics else None for run in runs)
    deltas = tuple(_delta(values[0], value) for value in values)
    return MetricDifference(key, values, deltas, better(key), best(key, values))


def _delta(old: float | None, new: float | None) -> float | None:
    if old is None or new is None:
        return None
    return new - old if math.isfinite(new - old) else None


# -- as a document ---------------------------------------------------------------------------


def to_document(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON; in every section the values stand in the order of `runs`."""
    return {
        "runs": [{"run_id": run.run_id, "name": run.name} for run in comparison.runs],
        "metrics": {item.key: _metric_document(item) for item in comparison.metrics},
        **{
            name: {item.key: _values(item) for item in getattr(comparison, name)}
            for name in ("params", "tags", "environment", "packages")
        },
        "data": {item.key: _data_document(item) for item in comparison.data},
        "artifacts": {item.key: _artifact_document(item) for item in comparison.artifacts},
        "code": [
            None if files is None else [asdict(file) for file in files] for files in comparison.code
        ],
    }


def _values(item: Difference) -> dict[str, Any]:
    return {"values": list(item.values), "same": item.same}


def _data_document(item: DataDifference) -> dict[str, Any]:
    return {**_values(item), "sources": [it and source_kind(it) for it in item.datasets]}


def _artifact_document(item: ArtifactDifference) -> dict[str, Any]:
    return {
        **_values(item),
        "sizes": [it and it.size for it in item.artifacts],
        "where": [it and it.where for it in item.artifacts],
    }


def _metric_document(item: MetricDifference) -> dict[str, Any]:
    return {
        "values": _each(number_to_json, item.values),
        "deltas": _each(number_to_json, item.deltas),
        "better": item.better,
        "best": item.best,
        "same": item.same,
    }


def _each(act: Callable[[float], Any], values: Iterable[float | None]) -> list[Any]:
    return [None if value is None else act(value) for value in values]
