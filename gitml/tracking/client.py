"""MlflowClient: MLflow's lower-level interface, for code that names the run in each call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from gitml.errors import UsageError, shown
from gitml.tracking import active, changes, entities, names, store, values
from gitml.tracking.entities import Experiment, FileInfo, Metric, Param, Run, RunTag, ViewType
from gitml.tracking.fluent import experiments, fetches, logs, reads, runs, tables
from gitml.tracking.fluent.place import at, folder_of, get_tracking_uri, place, where
from gitml.tracking.metrics import without_collection
from gitml.tracking.names import ArtifactPath
from gitml.tracking.record import FINISHED, Json

Made = TypeVar("Made", bound=type)

_TIME_AND_STEP = itemgetter(2, 1)  # of a Point; MLflow's order


class PagedList(list[Any]):
    """A page of results; `token` asks for the next one, None at the end."""

    def __init__(self, items: Sequence[Any], token: str | None = None) -> None:
        super().__init__(items)
        self.token = token

    def to_list(self) -> list[Any]:
        """The results as a plain list."""
        return list(self)


def in_its_repository(kind: Made) -> Made:
    """Every public method of the class works in the repository of its own tracking URI."""

    def wrapped(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(self: Any, *args: Any, **options: Any) -> Any:
            with at(self._folder):
                return method(self, *args, **options)

        return call

    for name, method in list(vars(kind).items()):
        if callable(method) and not name.startswith("_"):
            setattr(kind, name, wrapped(method))
    return kind


@in_its_repository
class MlflowClient:
    """MLflow's client for the classic tracking methods.

    It works in the repository that holds `tracking_uri`, by default in that of the fluent API. A
    run that `create_run` made is written by this process until `set_terminated`.
    """

    def __init__(self, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        self._folder = folder_of(tracking_uri) if tracking_uri else None

    @property
    def tracking_uri(self) -> str:
        """The folder of the repository."""
        with at(self._folder):
            return get_tracking_uri()

    # -- experiments -----------------------------------------------------------------------

    def create_experiment(
        self,
        name: str,
        artifact_location: str | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> str:
        """Create an experiment; its id."""
        return experiments.create_experiment(name, artifact_location, tags)

    def get_experiment(self, experiment_id: str) -> Experiment:
        """The experiment of that id; UsageError when there is none."""
        return experiments.get_experiment(experiment_id)

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        """The experiment of that name, or None."""
        return experiments.get_experiment_by_name(name)

    def search_experiments(
        self,
        view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int | None = 1000,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList:
        """The experiments that match, a page of them."""
        start = offset(page_token)
        found = experiments.search_experiments(view_type, None, filter_string, order_by)[start:]
        return page(found, start, max_results)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """Give an experiment another name."""
        experiments.rename_experiment(experiment_id, new_name)

    def delete_experiment(self, experiment_id: str) -> None:
        """Mark an experiment as deleted."""
        experiments.delete_experiment(experiment_id)

    def restore_experiment(self, experiment_id: str) -> None:
        """Take the mark of deletion from an experiment."""
        experiments.restore_experiment(experiment_id)

    def set_experiment_tag(self, experiment_id: str, key: str, value: Any) -> None:
        """Set a tag of an experiment."""
        experiments.change_tags(experiment_id, {key: value})

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Delete a tag of an experiment."""
        experiments.remove_tag(experiment_id, key)

    # -- runs ------------------------------------------------------------------------------

    def create_run(
        self,
        experiment_id: str,
        start_time: int | None = None,
        tags: Mapping[str, Any] | None = None,
        run_name: str | None = None,
    ) -> Run:
        """Create a run that this process writes; it is not the fluent API's active run.

        It starts now: `start_time` is there for MLflow's sake.
        """
        target = where()
        marks = runs.checked_marks(tags, run_name)
        wish = runs.wish_of(experiments.chosen(experiment_id, None, target), marks)
        session, record = runs.begin(target, wish)
        active.keep(target, session, record)
        return entities.run_of(record)

    def get_run(self, run_id: str) -> Run:
        """The run of that id; UsageError when there is none."""
        return reads.get_run(run_id)

    def get_parent_run(self, run_id: str) -> Run | None:
        """The run that a nested run belongs to, or None."""
        return reads.get_parent_run(run_id)

    def search_runs(
        self,
        experiment_ids: Sequence[str] | str,
        filter_string: str | None = "",
        run_view_type: int = ViewType.ACTIVE_ONLY,
        max_results: int = 1000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList:
        """The runs that match, a page of them."""
        start = offset(page_token)
        records = store.search(
            place(),
            filter_string or "",
            list(order_by or ()),
            reads.experiment_ids_of(experiment_ids, None, everything=False),
            ViewType.name_of(run_view_type),
            max_results + 1,
            start,
        )
        return page([entities.run_of(record) for record in records], start, max_results)

    def set_terminated(
        self, run_id: str, status: str | None = None, end_time: int | None = None
    ) -> None:
        """End a run that `create_run` made, or give a recorded one another final status."""
        wanted = values.check_status(status or FINISHED)
        end_time = None if end_time is None else values.check_timestamp(end_time)
        ended = runs.terminate(run_id, wanted)
        if not ended or end_time is not None:
            changes.terminate(place(), run_id, wanted, end_time)

    def update_run(self, run_id: str, status: str | None = None, name: str | None = None) -> None:
        """Change the name or the status of a run."""
        if name is not None:
            changes.rename(place(), run_id, name)
        if status is not None:
            self.set_terminated(run_id, status)

    def delete_run(self, run_id: str) -> None:
        """Mark a run as deleted."""
        reads.delete_run(run_id)

    def restore_run(self, run_id: str) -> None:
        """Take the mark of deletion from a run."""
        reads.restore_run(run_id)

    # -- logging ---------------------------------------------------------------------------

    def log_param(self, run_id: str, key: str, value: Any, synchronous: bool | None = None) -> Any:
        """Log a param of a run."""
        return logs.log_params({key: value}, synchronous, run_id) or value

    def log_metric(
        self,
        run_id: str,
        key: str,
        value: float,
        timestamp: int | None = None,
        step: int | None = None,
        synchronous: bool | None = None,
        dataset_name: str | None = None,
        dataset_digest: str | None = None,
        model_id: str | None = None,
    ) -> logs.RunOperations | None:
        """Log one point of a metric of a run; of what model or dataset it is, is not recorded."""
        return logs.log_metric(
            key, value, step, synchronous, timestamp, run_id, model_id, dataset_name
        )

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        synchronous: bool | None = None,
    ) -> logs.RunOperations | None:
        """Log metrics, params and tags in one go."""
        points = [
            (
                names.check_metric_key(metric.key),
                values.check_step(metric.step),
                values.check_timestamp(metric.timestamp),
                values.check_metric_value(metric.key, metric.value),
            )
            for metric in metrics
        ]
        wanted = _params(params)
        labels = runs.checked_tags({tag.key: tag.value for tag in tags})
        with runs.session_of(run_id) as session:
            session.params(wanted)
            session.metrics(points)
            session.mark(labels)
        return logs.answer(synchronous)

    def set_tag(
        self, run_id: str, key: str, value: Any, synchronous: bool | None = None
    ) -> logs.RunOperations | None:
        """Set a tag of a run."""
        return logs.set_tags({key: value}, synchronous, run_id)

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag of a run."""
        logs.delete_tag(key, run_id=run_id)

    def log_inputs(self, run_id: str, datasets: Sequence[Any] | None = None) -> None:
        """Log datasets as inputs of a run."""
        with runs.session_of(run_id) as session:
            for dataset in datasets or ():
                session.dataset(logs.described(dataset))

    def log_artifact(
        self, run_id: str, local_path: str | Path, artifact_path: ArtifactPath | None = None
    ) -> None:
        """Log a file of a run."""
        logs.log_artifact(local_path, artifact_path, run_id)

    def log_artifacts(
        self, run_id: str, local_dir: str | Path, artifact_path: ArtifactPath | None = None
    ) -> None:
        """Log the files of a folder."""
        logs.log_artifacts(local_dir, artifact_path, run_id)

    def log_text(self, run_id: str, text: str, artifact_file: ArtifactPath) -> None:
        """Log a text as an artifact of a run."""
        logs.log_text(text, artifact_file, run_id)

    def log_stream(self, run_id: str, stream: BinaryIO, artifact_file: ArtifactPath) -> None:
        """Log what is left to read of a binary stream as an artifact of a run."""
        logs.log_stream(stream, artifact_file, run_id)

    def log_dict(self, run_id: str, dictionary: Any, artifact_file: ArtifactPath) -> None:
        """Log a dictionary as an artifact of a run."""
        logs.log_dict(dictionary, artifact_file, run_id)

    def log_figure(
        self,
        run_id: str,
        figure: Any,
        artifact_file: ArtifactPath,
        *,
        save_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Log a figure as an artifact of a run."""
        logs.log_figure(figure, artifact_file, save_kwargs=save_kwargs, run_id=run_id)

    def log_image(
        self,
        run_id: str,
        image: Any,
        artifact_file: ArtifactPath | None = None,
        key: str | None = None,
        step: int | None = None,
        timestamp: int | None = None,
        synchronous: bool | None = None,
    ) -> None:
        """Log an image as an artifact of a run."""
        logs.log_image(image, artifact_file, key, step, timestamp, synchronous, run_id)

    def log_table(self, run_id: str, data: Any, artifact_file: ArtifactPath) -> None:
        """Log a table as an artifact of a run."""
        tables.log_table(data, artifact_file, run_id)

    def load_table(
        self,
        experiment_id: str,
        artifact_file: ArtifactPath,
        run_ids: Sequence[str] | None = None,
        extra_columns: Sequence[str] | None = None,
    ) -> Any:
        """The rows of a logged table of an experiment's runs, as a DataFrame."""
        return tables.load_of([experiment_id], artifact_file, run_ids, extra_columns)

    # -- reading ---------------------------------------------------------------------------

    def get_metric_history(self, run_id: str, key: str) -> PagedList:
        """All points of a metric, as `Metric`, on one page: by time, then step, then call."""
        with without_collection():
            points = sorted(store.history(place(), run_id, key), key=_TIME_AND_STEP)
            return PagedList([Metric(key, value, at, step) for key, step, at, value in points])

    def list_artifacts(self, run_id: str, path: ArtifactPath | None = None) -> list[FileInfo]:
        """What lies directly in a folder of the run's artifacts."""
        return fetches.list_artifacts(run_id=run_id, artifact_path=path)

    def download_artifacts(
        self, run_id: str, path: ArtifactPath, dst_path: str | Path | None = None
    ) -> str:
        """Write an artifact below `dst_path`, by default a new temporary folder; its place."""
        return fetches.download_artifacts(run_id=run_id, artifact_path=path, dst_path=dst_path)


def _params(params: Sequence[Param]) -> dict[str, Json]:
    """The params of a batch; UsageError when it has one of them twice with two values."""
    given = ((names.check_param_key(param.key), param) for param in params)
    checked = ((key, values.check_param_value(key, param.value)) for key, param in given)
    return values.unambiguous("param", checked)


def offset(token: str | None) -> int:
    """How many results the pages before had; UsageError for what is no token."""
    if token and not (token.isascii() and token.isdigit()):
        raise UsageError(f"{shown(token)} is no page token; use the `token` of the page before")
    return int(token or 0)


def page(items: Sequence[Any], start: int, size: int | None) -> PagedList:
    """The first `size` of the results from number `start` on."""
    if size is None or len(items) <= size:
        return PagedList(items)
    if size < 1:
        raise UsageError("max_results must be at least 1")
    return PagedList(items[:size], str(start + size))
