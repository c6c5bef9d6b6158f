"""Logging to the active run: MLflow's functions over its session."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from gitml.errors import NOT_FOUND, MissingFileError, UsageError, shown
from gitml.files import shown_path
from gitml.tracking import active, names, system_tags, values
from gitml.tracking.fluent.place import where
from gitml.tracking.fluent.runs import checked_tags, logging_to, pairs, session_of
from gitml.tracking.names import ArtifactPath
from gitml.tracking.place import Place
from gitml.tracking.session import dataset_document, now_ms
from gitml.tracking.staging import Source


class ArtifactWarning(UserWarning):
    """Something that was to be logged is not among the run's artifacts."""


class NotRecordedWarning(UserWarning):
    """A call said something of which the record of a run holds nothing."""


class RunOperations:
    """What a log call returns for `synchronous=False`; it is done already, as every call is."""

    def wait(self) -> None:
        """Nothing to wait for."""


_DONE = RunOperations()


def answer(synchronous: bool | None) -> RunOperations | None:
    """What a log call returns: MLflow's handle when it was to be asynchronous, else None."""
    return _DONE if synchronous is False else None


def log_param(key: str, value: Any, synchronous: bool | None = None) -> Any:
    """Log one param and return its value; a param can't be changed afterwards."""
    logging_to().params({names.check_param_key(key): values.check_param_value(key, value)})
    return value if synchronous is not False else _DONE


def log_params(
    params: Mapping[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> RunOperations | None:
    """Log params, all of them or, when one is refused, none."""
    given = pairs("params", params)
    pairs_checked = ((names.check_param_key(k), values.check_param_value(k, v)) for k, v in given)
    checked = values.unambiguous("param", pairs_checked)
    with session_of(run_id) as session:
        session.params(checked)
    return answer(synchronous)


def log_metric(
    key: str,
    value: float,
    step: int | None = None,
    synchronous: bool | None = None,
    timestamp: int | None = None,
    run_id: str | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> RunOperations | None:
    """Log one point of a metric; `step` is 0 and `timestamp`, in milliseconds, now by default.

    That it is of a model or a dataset is not recorded; a warning says so.
    """
    if model_id is not None or dataset is not None:
        _warn_of_links()
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
    return answer(synchronous)


def log_metrics(
    metrics: Mapping[str, float],
    step: int | None = None,
    synchronous: bool | None = None,
    run_id: str | None = None,
    timestamp: int | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> RunOperations | None:
    """Log one point of each of several metrics, at the same step and time.

    That they are of a model or a dataset is not recorded; a warning says so.
    """
    if model_id is not None or dataset is not None:
        _warn_of_links()
    given = pairs("metrics", metrics)
    at = 0 if step is None else values.check_step(step)
    time = now_ms() if timestamp is None else values.check_timestamp(timestamp)
    points = [
        (names.check_metric_key(key), at, time, values.check_metric_value(key, value))
        for key, value in given
    ]
    with session_of(run_id) as session:
        session.metrics(points)
    return answer(synchronous)


def _warn_of_links() -> None:
    warnings.warn(
        "a metric is recorded with its run, not with a model or a dataset; log the dataset with"
        " log_input, and name it in the metric's key",
        NotRecordedWarning,
        stacklevel=3,
    )


def set_tag(key: str, value: Any, synchronous: bool | None = None) -> RunOperations | None:
    """Set a tag of the active run."""
    return set_tags({key: value}, synchronous)


def set_tags(
    tags: Mapping[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> RunOperations | None:
    """Set tags of the active run; `mlflow.runName` and `mlflow.note.content` are its fields."""
    checked = checked_tags(tags)
    with session_of(run_id) as session:
        session.mark(checked)
    return answer(synchronous)


def delete_tag(key: str, run_id: str | None = None) -> None:
    """Delete a tag of the active run; what gitml itself says of a run can't be deleted."""
    key = names.normal(key)
    with session_of(run_id) as session:
        if key == system_tags.NOTE:
            session.set(description=None)
        elif key in session.shared.tags:
            session.tags({key: None})
        elif key in system_tags.NAMES:
            raise UsageError(f"the tag {shown(key)} is a part of the run's record; it stays")
        else:
            raise UsageError(f"the run has no tag {shown(key)}", NOT_FOUND)


# -- artifacts -------------------------------------------------------------------------------


def log_artifact(
    local_path: str | Path, artifact_path: ArtifactPath | None = None, run_id: str | None = None
) -> None:
    """Log a file, or a folder with its name, under the folder `artifact_path` of the artifacts."""
    source, prefix = Path(local_path), _prefix(artifact_path)
    if source.is_dir():
        log_artifacts(source, f"{prefix}{source.resolve().name}", run_id)
    elif source.exists():
        _log_files([(source, f"{prefix}{source.name}")], run_id)
    else:
        raise MissingFileError(f"there is no file {shown_path(source)}")


def log_artifacts(
    local_dir: str | Path, artifact_path: ArtifactPath | None = None, run_id: str | None = None
) -> None:
    """Log the files of a folder under `artifact_path`; links may not lead out.

    A warning names those that are left out, because git or a file system could not hold them by
    their names; another says that there is no such folder, and then nothing is logged.
    """
    from gitml.tracking.walk import files_under

    folder, prefix = Path(local_dir), _prefix(artifact_path)
    if not folder.is_dir():
        _warn(f"there is no folder {shown_path(folder)}; nothing is logged")
        return
    files: dict[str, Path] = {}
    left_out: dict[str, UsageError] = {}
    for path, name in sorted(files_under(folder), key=lambda it: it[1] != names.normal(it[1])):
        try:
            target = names.check_artifact_path(f"{prefix}{name}")
            if target in files:
                other, this = ascii(files[target].name), ascii(path.name)
                raise UsageError(f"{this} is {other} in another Unicode form; rename it")
            files[target] = path
        except UsageError as error:
            left_out[name] = error
    _log_files([(path, target) for target, path in files.items()], run_id)
    if left_out:
        some = ", ".join(shown(name) for name in list(left_out)[:5])
        more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
        reason = next(iter(left_out.values()))
        _warn(f"not logged of the folder {shown_path(folder)}: {some}{more} ({reason})")


def _warn(text: str) -> None:
    warnings.warn(text, ArtifactWarning, stacklevel=3)


def _prefix(artifact_path: ArtifactPath | None) -> str:
    folder = names.normal_path(artifact_path)
    return f"{names.check_artifact_path(folder)}/" if folder else ""


def _log_files(files: Sequence[tuple[Source, str]], run_id: str | None = None) -> None:
    with session_of(run_id) as session:
        session.artifacts(files)


def log_text(text: str, artifact_file: ArtifactPath, run_id: str | None = None) -> None:
    """Log a text as the artifact `artifact_file`; half a surrogate pair becomes an escape."""
    if not isinstance(text, str):
        raise UsageError(f"log_text logs text, not {values.kind_of(text)}; use log_stream")
    log_bytes(text.encode("utf-8", "backslashreplace"), artifact_file, run_id)


def log_bytes(data: bytes, artifact_file: ArtifactPath, run_id: str | None = None) -> None:
    """Log bytes as the artifact `artifact_file`."""
    log_stream(BytesIO(data), artifact_file, run_id)


def log_stream(stream: BinaryIO, artifact_file: ArtifactPath, run_id: str | None = None) -> None:
    """Log what is left to read of a binary stream as the artifact `artifact_file`."""
    _log_files([(stream, names.check_artifact_path(artifact_file))], run_id)


def log_dict(dictionary: Any, artifact_file: ArtifactPath, run_id: str | None = None) -> None:
    """Log a dictionary as JSON, or as YAML when the name ends so."""
    from gitml.tracking import media

    target = names.check_artifact_path(artifact_file)
    log_bytes(media.dict_bytes(dictionary, target), target, run_id)


def log_figure(
    figure: Any,
    artifact_file: ArtifactPath,
    *,
    save_kwargs: Mapping[str, Any] | None = None,
    run_id: str | None = None,
) -> None:
    """Log a matplotlib or plotly figure in the format that the name's suffix tells."""
    from gitml.tracking import media

    target = names.check_artifact_path(artifact_file)
    log_bytes(media.figure_bytes(figure, target, save_kwargs), target, run_id)


def log_image(
    image: Any,
    artifact_file: ArtifactPath | None = None,
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
    path = names.check_artifact_path(artifact_file or media.series_path(key, step, timestamp))
    log_bytes(media.image_bytes(image, path), path, run_id)


def log_input(
    dataset: Any = None,
    context: str | None = None,
    tags: Mapping[str, str] | None = None,
    model: Any = None,
) -> None:
    """Log a dataset (from `gitml.data`, or a DataFrame, array or path) as an input of the run."""
    if dataset is None or model is not None:
        raise UsageError("log_input logs a dataset; models as inputs are not recorded")
    session = logging_to()
    session.dataset(described(dataset, context, tags))


def described(
    dataset: Any, context: str | None = None, tags: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What the journal says of a dataset, with what git and DVC know of its files."""
    from gitml.tracking import datasets

    target = where()
    repo = target.code if isinstance(target, Place) else None
    return dataset_document(datasets.describe(dataset, context=context, tags=tags, repo=repo))


def log_inputs(
    datasets: Iterable[Any] | None = None,
    contexts: Iterable[str | None] | None = None,
    tags_list: Iterable[Mapping[str, str] | None] | None = None,
    models: Any = None,
) -> None:
    """Log several datasets at once; contexts and tags are as many as datasets, or left out."""
    items = list(datasets or ())
    named = list(contexts or [None] * len(items))
    tagged = list(tags_list or [None] * len(items))
    if models is not None or not len(items) == len(named) == len(tagged):
        raise UsageError("log_inputs needs as many contexts and tags as datasets, and no models")
    for dataset, context, tags in zip(items, named, tagged, strict=True):
        log_input(dataset, context, tags)


def get_artifact_uri(artifact_path: ArtifactPath | None = None) -> str:
    """The URI of the active run's artifacts, or of one of them: `runs:/<run id>/<path>`."""
    base, path = f"runs:/{logging_to().run_id}", names.normal_path(artifact_path)
    return f"{base}/{path}" if path else base


def flush_async_logging() -> None:
    """Nothing to wait for: every call is in the journal when it returns."""


def flush_artifact_async_logging() -> None:
    """Nothing to wait for: every artifact is kept when its call returns."""
