"""The fluent API: MLflow's functions over explicit objects, for scripts and notebooks.

Names, parameters and meaning are MLflow's. What it returns is in `entities`, what it writes
goes through `session`, what it reads through `store`.
"""

from __future__ import annotations

import atexit
import sys
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from gitml import config, git
from gitml.errors import GitmlError, UsageError, shown
from gitml.tracking import active, entities, names, starting, values
from gitml.tracking.active import Active
from gitml.tracking.entities import Run
from gitml.tracking.record import FAILED, FINISHED, Json
from gitml.tracking.recording import Place, place_of
from gitml.tracking.session import checked_metric, dataset_document, now_ms

_tracking_uri: str | None = None
_experiment: str | None = None
_run_id_is_used = False


class RecordingWarning(UserWarning):
    """A run could not be recorded now; its journal is kept."""


class ActiveRun(Run):
    """The run that `start_run` began; as a context manager it ends the run."""

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _end(_of_id(self.info.run_id), *_outcome(error))


def _outcome(error: BaseException | None) -> tuple[str, str | None]:
    """The status and reason that an exception, or none, gives a run."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return FINISHED, None
    from gitml.tracking.redact import redact_text

    words = " ".join(f"{type(error).__name__}: {error}".split())
    return FAILED, redact_text(words)[:500]


# -- where -----------------------------------------------------------------------------------


def set_tracking_uri(uri: str | Path) -> None:
    """Record in the repository at `uri`, a path or file:// URL, instead of the current folder's."""
    global _tracking_uri
    _tracking_uri = _folder_of(str(uri)) if str(uri) else None


def get_tracking_uri() -> str:
    """The folder of the repository in which runs are recorded."""
    repo = place().repo
    return str(repo.root or repo.git_dir)


def is_tracking_uri_set() -> bool:
    """Whether `set_tracking_uri` or GITML_REPO names a repository."""
    return bool(_tracking_uri or config.variables().repo)


def _folder_of(uri: str) -> str:
    scheme, found, rest = uri.partition("://")
    if not found or (len(scheme) == 1 and scheme.isalpha()):
        return uri
    if scheme == "file":
        from urllib.request import url2pathname

        return url2pathname(rest.partition("/")[1] + rest.partition("/")[2])
    raise UsageError(
        f"the tracking URI {shown(uri)} is not a folder: gitml records in a git repository and"
        " needs no server; pass the path of one, and share runs with `gitml push`"
    )


def place() -> Place:
    """The repository in which runs are recorded now, with its settings."""
    named = _tracking_uri or config.variables().repo
    start = Path(named) if named else None
    return place_of(git.find(start), start or Path.cwd())


# -- experiments -----------------------------------------------------------------------------


def set_experiment(
    experiment_name: str | None = None, experiment_id: str | None = None
) -> entities.Experiment:
    """Make an experiment the active one, by name (created when it is new) or by id."""
    global _experiment
    from gitml.tracking import store

    if (experiment_name is None) == (experiment_id is None):
        raise UsageError("set_experiment needs either experiment_name or experiment_id")
    where = place()
    if experiment_name is not None:
        found = store.ensure_experiment(where, names.check_experiment_name(experiment_name))
    else:
        found = store.experiment(where, str(experiment_id))
    _experiment = found.name
    return found


def _experiment_name(experiment_id: str | None, name: str | None, where: Place) -> str:
    if name is not None:
        return names.check_experiment_name(name)
    if experiment_id is not None:
        from gitml.tracking import store

        return store.experiment(where, experiment_id).name
    chosen = _experiment or config.variables().experiment_name or where.settings.experiment
    return names.check_experiment_name(chosen)


# -- runs ------------------------------------------------------------------------------------


def start_run(
    run_id: str | None = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,
    parent_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
    log_system_metrics: bool | None = None,
    *,
    experiment_name: str | None = None,
) -> ActiveRun:
    """Start a run, or with `run_id` continue one; it becomes the active run.

    Use it as a context manager: the run ends with the block, FAILED if an exception leaves it.
    Raises UsageError when a run is active already and `nested` is not set.
    """
    where = place()
    outer = active.current()
    _check_free(outer, nested, run_id)
    run_id = run_id or _run_id_from_environment()
    if run_id is not None:
        session, record = starting.resume(where, run_id)
    else:
        wish = starting.Wish(
            experiment=_experiment_name(experiment_id, experiment_name, where),
            name=run_name,
            parent=_parent(parent_run_id, outer if nested else None),
            tags=_checked_tags(tags or {}),
            description=description,
        )
        session, record = starting.start(where, wish)
    run = active.push(where, session, record)
    _watch_system(run, log_system_metrics)
    entity = entities.run_of(record)
    return ActiveRun(entity.info, entity.data, entity.inputs, record)


def _watch_system(run: Active, wanted: bool | None) -> None:
    """Sample the machine beside the run, when this call, the process or gitml.yaml wants it."""
    from gitml.tracking import system_metrics

    wanted = system_metrics.enabled() if wanted is None else wanted
    if wanted if wanted is not None else run.place.settings.system_metrics:
        run.monitor = system_metrics.watch(run.session)


def _check_free(outer: Active | None, nested: bool, run_id: str | None) -> None:
    mine = active.own()
    if mine and not nested:
        raise UsageError(
            f"run {mine[-1].session.run_id} is active already; end it with end_run(), or call"
            " start_run(nested=True)"
        )
    if run_id is not None and outer is not None and outer.session.run_id == run_id:
        raise UsageError(f"run {run_id} is active already; log to it, do not start it again")


def _run_id_from_environment() -> str | None:
    """GITML_RUN_ID names the first run that a process starts, as a launcher's child does."""
    global _run_id_is_used
    if _run_id_is_used or active.current() is not None:
        return None
    _run_id_is_used = True
    return config.variables().run_id


def _parent(parent_run_id: str | None, outer: Active | None) -> str | None:
    if parent_run_id is not None:
        return names.check_run_id(parent_run_id)
    if outer is not None:
        return outer.session.run_id
    return config.variables().parent_run_id


def end_run(status: str = FINISHED) -> None:
    """End the active run; nothing happens when there is none."""
    run = active.current()
    if run is not None:
        _end(run, values.check_status(status), None)


def _of_id(run_id: str) -> Active | None:
    return next((run for run in reversed(active.known()) if run.session.run_id == run_id), None)


def _end(run: Active | None, status: str, reason: str | None) -> None:
    """End a run; what can't be recorded now is kept, and said, but never fails the training."""
    if run is None or not run.is_open:
        return
    if run.monitor is not None:
        run.monitor.finish()
    try:
        starting.finish(run.place, run.session, run.record, status, reason)
    except (GitmlError, OSError) as error:
        warnings.warn(
            f"run {run.session.run_id} is not recorded yet, its journal is kept: {error};"
            " then run: gitml recover",
            RecordingWarning,
            stacklevel=3,
        )
    finally:
        active.pop(run)


def active_run() -> ActiveRun | None:
    """The run that log calls write to, or None."""
    run = active.current()
    if run is None:
        return None
    entity = entities.run_of(run.record)
    return ActiveRun(entity.info, entity.data, entity.inputs, run.record)


def last_active_run() -> Run | None:
    """The run that was active last, as far as it is recorded or journalled; None before the first."""
    return get_run(active.last_run_id) if active.last_run_id else None


def _logging_to(run_id: str | None = None) -> Active:
    """The active run; one is started when there is none, as in MLflow."""
    run = active.current()
    if run_id is not None and (run is None or run.session.run_id != run_id):
        other = _of_id(run_id)
        if other is None:
            raise UsageError(f"run {shown(run_id)} is not active in this process; use MlflowClient")
        return other
    if run is None:
        start_run()
        run = active.current()
        assert run is not None
    return run


@atexit.register
def _end_all() -> None:
    """End what the script left open: FAILED when an exception ends the interpreter."""
    error = getattr(sys, "last_value", None)
    for run in active.everything():
        _end(run, *_outcome(error))


# -- logging ---------------------------------------------------------------------------------


def log_param(key: str, value: Any, synchronous: bool | None = None) -> Any:
    """Log one param and return its value; a param can't be changed afterwards."""
    _logging_to().session.params({names.check_param_key(key): values.check_param_value(key, value)})
    return value


def log_params(
    params: Mapping[str, Any], synchronous: bool | None = None, run_id: str | None = None
) -> None:
    """Log params, all of them or, when one is refused, none."""
    checked: dict[str, Json] = {
        names.check_param_key(key): values.check_param_value(key, value)
        for key, value in params.items()
    }
    _logging_to(run_id).session.params(checked)


def log_metric(
    key: str,
    value: float,
    step: int | None = None,
    synchronous: bool | None = None,
    timestamp: int | None = None,
    run_id: str | None = None,
) -> None:
    """Log one point of a metric; `step` is 0 and `timestamp`, in milliseconds, now by default."""
    run = active.current() if run_id is None else None
    if run is None:
        run = _logging_to(run_id)
    run.session.metric(
        names.check_metric_key(key),
        values.check_metric_value(key, value),
        0 if step is None else values.check_step(step),
        now_ms() if timestamp is None else values.check_timestamp(timestamp),
    )


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
    _logging_to(run_id).session.metrics(points)


def set_tag(key: str, value: Any, synchronous: bool | None = None) -> None:
    """Set a tag of the active run."""
    set_tags({key: value})


def set_tags(tags: Mapping[str, Any], synchronous: bool | None = None) -> None:
    """Set tags of the active run."""
    checked = _checked_tags(tags)
    session = _logging_to().session
    special = {field: checked.pop(key) for key, field in _FIELD_TAGS.items() if key in checked}
    if special:
        session.set(**special)
    if checked:
        session.tags(checked)


_FIELD_TAGS = {"mlflow.runName": "name", "mlflow.note.content": "description"}


def delete_tag(key: str) -> None:
    """Delete a tag of the active run."""
    session = _logging_to().session
    if key not in session.shared.tags:
        raise UsageError(f"the run has no tag {shown(key)}")
    session.tags({key: None})


def _checked_tags(tags: Mapping[str, Any]) -> dict[str, str]:
    return {names.check_tag_key(key): values.check_tag_value(key, tags[key]) for key in tags}


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
    _logging_to(run_id).session.artifacts(files)


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
    figure: Any, artifact_file: str, *, save_kwargs: Mapping[str, Any] | None = None
) -> None:
    """Log a matplotlib or plotly figure in the format that the name's suffix tells."""
    from gitml.tracking import media

    names.check_artifact_path(artifact_file)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(artifact_file).name
        media.write_figure(figure, path, save_kwargs)
        _log_files([(path, artifact_file)])


def log_image(
    image: Any,
    artifact_file: str | None = None,
    key: str | None = None,
    step: int | None = None,
    timestamp: int | None = None,
    synchronous: bool | None = None,
) -> None:
    """Log an image (array or PIL) under a name, or as one of a series by `key` and `step`."""
    from gitml.tracking import media

    path = artifact_file or media.series_path(key, step, timestamp)
    log_bytes(media.image_bytes(image, path), path)


def log_table(data: Any, artifact_file: str, run_id: str | None = None) -> None:
    """Log a table (dict of columns, or DataFrame) as JSON; rows logged before stay in it."""
    from gitml.tracking import media, store

    run = _logging_to(run_id)
    before = store.live_artifact(run.session.run, artifact_file)
    log_bytes(media.append_table(before, data), artifact_file, run_id)


def load_table(
    artifact_file: str,
    run_ids: Sequence[str] | None = None,
    extra_columns: Sequence[str] | None = None,
) -> Any:
    """The rows of a logged table, of one or more runs (by default the active one), as a DataFrame."""
    from gitml.tracking import media, store

    wanted = list(run_ids) if run_ids else [_logging_to().session.run_id]
    where = place()
    tables = [(run_id, store.read_artifact(where, run_id, artifact_file)) for run_id in wanted]
    return media.load_table(tables, extra_columns)


def log_input(
    dataset: Any,
    context: str | None = None,
    tags: Mapping[str, str] | None = None,
    model: Any = None,
) -> None:
    """Log a dataset (from `gitml.data`, or a DataFrame, array or path) as an input of the run."""
    from gitml.tracking import datasets

    run = _logging_to()
    described = datasets.describe(dataset, context=context, tags=tags, repo=run.place.repo)
    run.session.dataset(dataset_document(described))


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
    base = f"runs:/{_logging_to().session.run_id}"
    return f"{base}/{artifact_path}" if artifact_path else base


# -- reading ---------------------------------------------------------------------------------


def get_run(run_id: str) -> Run:
    """The run with that id; UsageError when there is none."""
    from gitml.tracking import store

    return entities.run_of(store.run(place(), run_id))


def flush_async_logging() -> None:
    """Nothing to wait for: every call is in the journal when it returns."""
