"""Logged tables: MLflow's log_table and load_table over the artifacts of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from gitml.errors import UsageError, shown
from gitml.tracking import entities, names, store
from gitml.tracking.entities import Run
from gitml.tracking.fluent import logs, reads
from gitml.tracking.fluent.place import place, where
from gitml.tracking.fluent.runs import session_of
from gitml.tracking.names import ArtifactPath

_SUFFIXES = (".json", ".parquet")


def log_table(data: Any, artifact_file: ArtifactPath, run_id: str | None = None) -> None:
    """Log a table (dict of columns, or DataFrame) as .json or .parquet, after earlier rows."""
    from gitml.tracking import media, tables

    target = names.check_artifact_path(artifact_file)
    if PurePosixPath(target).suffix.lower() not in _SUFFIXES:
        raise UsageError(f"the table {shown(target)} must be called *.json or *.parquet")

    def log(image: Any, path: str) -> None:
        logs.log_bytes(media.image_bytes(image, path), path, run_id)

    save = tables.image_saver(target, log)
    with session_of(run_id) as session:
        before = store.logged_so_far(where(), session.run_id, target)
        content = tables.append_table(before, data, target, save)
        logs.log_bytes(content, target, run_id)


def load_table(
    artifact_file: ArtifactPath,
    run_ids: Sequence[str] | None = None,
    extra_columns: Sequence[str] | None = None,
) -> Any:
    """The rows of a logged table as a DataFrame: of these runs, else of the active experiment's.

    Runs without that table are left out. `extra_columns` are columns of `search_runs`.
    """
    return load_of(None, artifact_file, run_ids, extra_columns)


def load_of(
    experiments: Sequence[str] | None,
    artifact_file: ArtifactPath,
    run_ids: Sequence[str] | None,
    extra_columns: Sequence[str] | None,
) -> Any:
    """The same among the experiments of these ids, None for the active one."""
    from gitml.tracking import tables

    repo, path = place(), names.normal_path(artifact_file)
    if run_ids:
        records = [store.record(repo, run_id) for run_id in run_ids]
    else:
        ids = reads.experiment_ids_of(experiments, None, everything=False)
        records = store.search(repo, experiment_ids=ids)
    found = [record for record in records if path in record.artifacts]
    if not found:
        raise UsageError(f"no run has a table {shown(path)}")
    loaded = [
        (_columns(entities.run_of(record)), store.artifact(repo, record.run_id, path))
        for record in found
    ]
    return tables.load_table(loaded, extra_columns)


def _columns(run: Run) -> Mapping[str, Any]:
    """What `search_runs` has of a run, by the names of its columns; times are times."""
    import pandas

    times = {"start_time": run.info.start_time, "end_time": run.info.end_time}
    return {
        **dict(run.info),
        **dict(zip(times, pandas.to_datetime([*times.values()], unit="ms", utc=True), strict=True)),
        **{f"{kind}.{key}": value for kind, part in run.data for key, value in part.items()},
    }
