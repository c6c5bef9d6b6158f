"""Logging to the active run: MLflow's functions over its session."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gitml.errors import UsageError, shown
from gitml.tracking import active, names, values
from gitml.tracking.fluent.place import place
from gitml.tracking.fluent.runs import checked_tags, logging_to, session_of
from gitml.tracking.record import Json
from gitml.tracking.session import checked_metric, dataset_document, now_ms


def log_param(key: str, value: Any, synchronous: bool | None = None) -> Any:
    """Log one param and return its value; a param can't be changed afterwards."""
    logging_to().params({names.check_param_key(key): values.check_param_value(key, value)})
    return value


def log_params(
    params: Mapping[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> None:
    """Log params, all of them or, when one is refused, none."""
    checked: dict[str, Json] = {
        names.check_param_key(key): values.check_param_value(key, value)
        for key, value in params.items()
    }
    with session_of(run_id) as session:
        session.params(checked)


def log_metric(
    key: str,
    value: float,
    step: int | None = None,
    synchronous: bool | None = None,
    timestamp: int | None = None,
    run_id: str | None = None,
) -> None:
    """Log one point of a metric; `step` is 0 and `timestamp`, in milliseconds, now by default."""
    point = (
        names.check_metric_key(key),
        values.check_metric_value(key, value),
        0 if step is None else values.check_step(step),
        now_ms() if timestamp is None else values.check_timestamp(timestamp),
    )
    run = active.current() if run_id is None else None
    if run is not None:  # the hot path
        run.session.metric(*point)
    else:
        with session_of(run_id) as session:
            session.metric(*point)


def log_metrics(
    metrics: Mapping[str, float],
    step: int | None = None,
    synchronous: bool | None = None,
    run_id: str | None = None,
    timestamp: int | None = None,
) -> None:
    """Log one point of each of several metrics, at the same step and time."""
    at = 0 if step is None else values.check_step(step)
    time = now_ms() if timestamp is None else values.check_timestamp(timestamp)
    points = [(key, at, time, checked_metric(key, value)) for key, value in metrics.items()]
    with session_of(run_id) as session:
        session.metrics(points)


def set_tag(key: str, value: Any, synchronous: bool | None = None) -> None:
    """Set a tag of the active run."""
    set_tags({key: value})


def set_tags(
    tags: Mapping[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> None:
    """Set tags of the active run."""
    checked = checked_tags(tags)
    special = {field: checked.pop(key) for key, field in _FIELD_TAGS.items() if key in checked}
    with session_of(run_id) as session:
        if special:
            session.set(**special)
        if checked:
            session.tags(checked)


_FIELD_TAGS = {"mlflow.runName": "name", "mlflow.note.content": "description"}


def delete_tag(key: str, run_id: str | None = None) -> None:
    """Delete a tag of the active run."""
    with session_of(run_id) as session:
        if key not in session.shared.tags:
            raise UsageError(f"the run has no tag {shown(key)}")
        session.tags({key: None})


# -- artifacts -------------------------------------------------------------------------------


def log_artifact(
    local_path: str | Path, artifact_path: str | None = None, run_id: str | None = None
) -> None:
    """Log a file, or a folder with its name, under the folder `artifact_path` of the artifacts."""
    source = Path(local_path)
    prefix = f"{artifact_path}/" if artifact_path else ""
    if source.is_dir():
        name = source.resolve().name
        log_artifacts(source, f"{prefix}{name}", run_id)
    else:
        _log_files([(source, f"{prefix}{source.name}")], run_id)


def log_artifacts(
    local_dir: str | Path, artifact_path: str | None = None, run_id: str | None = None
) -> None:
    """Log the files of a folder, all of them, under `artifact_path`; links may not lead out."""
    from gitml.tracking.walk import files_under

    prefix = f"{artifact_path}/" if artifact_path else ""
    found = files_under(Path(local_dir))
    _log_files([(path, f"{prefix}{name}") for path, name in found], run_id)


def _log_files(files: Sequence[tuple[Path, str]], run_id: str | None = None) -> None:
    with session_of(run_id) as session:
        session.artifacts(files)


def log_text(text: str, artifact_file: str, run_id: str | None = None) -> None:
    """Log a text as the artifact `artifact_file`."""
    log_bytes(text.encode("utf-8"), artifact_file, run_id)


def log_bytes(data: bytes, artifact_file: str, run_id: str | None = None) -> None:
    """Log bytes as the artifact `artifact_file`."""
    names.check_artifact_path(artifact_file)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "content"
        path.write_bytes(data)
        _log_files([(path, artifact_file)], run_id)


def log_dict(dictionary: Any, artifact_file: str, run_id: str | None = None) -> None:
    """Log a dictionary as JSON, or as YAML when the name ends so."""
    from gitml.tracking import media

    log_bytes(media.dict_bytes(dictionary, artifact_file), artifact_file, run_id)


def log_figure(
    figure: Any,
    artifact_file: str,
    *,
    save_kwargs: Mapping[str, Any] | None = None,
    run_id: str | None = None,
) -> None:
    """Log a matplotlib or plotly figure in the format that the name's suffix tells."""
    from gitml.tracking import media

    names.check_artifact_path(artifact_file)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(artifact_file).name
        media.write_figure(figure, path, save_kwargs)
        _log_files([(path, artifact_file)], run_id)


def log_image(
    image: Any,
    artifact_file: str | None = None,
    key: str | None = None,
    step: int | None = None,
    timestamp: int | None = None,
    synchronous: bool | None = None,
    run_id: str | None = None,
) -> None:
    """Log an image (array or PIL) under a name, or as one of a series by `key` and `step`."""
    from gitml.tracking import media

    if artifact_file is not None and key is not None:
        raise UsageError("log_image takes artifact_file or key, not both")
    path = artifact_file or media.series_path(key, step, timestamp)
    log_bytes(media.image_bytes(image, path), path, run_id)


def log_table(data: Any, artifact_file: str, run_id: str | None = None) -> None:
    """Log a table (dict of columns, or DataFrame) as JSON; rows logged before stay in it."""
    from gitml.tracking import store, tables

    def keep(image: Any, path: str) -> None:
        log_image(image, path, run_id=run_id)

    with session_of(run_id) as session:
        before = store.logged_so_far(place(), session.run_id, artifact_file)
        images = tables.image_saver(artifact_file, keep)
        log_bytes(tables.append_table(before, data, artifact_file, images), artifact_file, run_id)


def load_table(
    artifact_file: str,
    run_ids: Sequence[str] | None = None,
    extra_columns: Sequence[str] | None = None,
) -> Any:
    """The rows of a logged table of one or more runs, by default the active one, as a DataFrame."""
    from gitml.tracking import media, store

    wanted = list(run_ids) if run_ids else [logging_to().run_id]
    tables = [(run_id, store.artifact(place(), run_id, artifact_file)) for run_id in wanted]
    return media.load_table(tables, extra_columns)


def log_input(
    dataset: Any,
    context: str | None = None,
    tags: Mapping[str, str] | None = None,
    model: Any = None,
) -> None:
    """Log a dataset (from `gitml.data`, or a DataFrame, array or path) as an input of the run."""
    from gitml.tracking import datasets

    session = logging_to()
    described = datasets.describe(dataset, context=context, tags=tags, repo=place().repo)
    session.dataset(dataset_document(described))


def log_inputs(
    datasets: Iterable[Any],
    contexts: Iterable[str | None] | None = None,
    tags_list: Iterable[Mapping[str, str] | None] | None = None,
    models: Any = None,
) -> None:
    """Log several datasets at once."""
    items = list(datasets)
    named = list(contexts or [None] * len(items))
    tagged = list(tags_list or [None] * len(items))
    for dataset, context, tags in zip(items, named, tagged, strict=True):
        log_input(dataset, context, tags)


def get_artifact_uri(artifact_path: str | None = None) -> str:
    """The URI of the active run's artifacts, or of one of them: `runs:/<run id>/<path>`."""
    base = f"runs:/{logging_to().run_id}"
    return f"{base}/{artifact_path}" if artifact_path else base


def flush_async_logging() -> None:
    """Nothing to wait for: every call is in the journal when it returns."""
