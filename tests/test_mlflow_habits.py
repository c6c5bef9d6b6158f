"""Habits of MLflow's users; the expected answers are those that MLflow 3.17.2 gave."""

from __future__ import annotations

import copy
import datetime
import importlib
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest

import gitml as mlflow
from gitml.entities import (
    Dataset,
    DatasetInput,
    ExperimentTag,
    InputTag,
    LifecycleStage,
    Metric,
    Param,
    RunInfo,
    RunStatus,
    RunTag,
    SourceType,
    ViewType,
)
from gitml.exceptions import MlflowException
from gitml.tracking import MlflowClient
from tests.conftest import new_repository

pytestmark = pytest.mark.usefixtures("new_script")


def finished(**options: Any) -> str:
    """The id of a run that was started with `options` and ended."""
    with mlflow.start_run(**options) as run:
        return run.info.run_id


# -- entities ------------------------------------------------------------------------------


def test_entities_are_pairs_of_names_and_values() -> None:
    """`dict(run.info)` and `to_dictionary` give the fields, as JSON has them."""
    with mlflow.start_run(run_name="first", tags={"a": "b"}) as run:
        mlflow.log_param("lr", 0.1)
        mlflow.log_metric("loss", 0.5)
        mlflow.log_input(mlflow.data.from_url("https://example.org/x.csv"), context="train")
    found = mlflow.get_run(run.info.run_id)
    assert sorted(dict(found.info)) == [
        "artifact_uri", "end_time", "experiment_id", "lifecycle_stage", "run_id", "run_name",
        "start_time", "status", "user_id",
    ]  # fmt: skip
    assert sorted(dict(found.data)) == ["metrics", "params", "tags"]
    plain = found.to_dictionary()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["info"]["run_name"] == "first"
    assert plain["data"]["params"] == {"lr": "0.1"}
    [given] = plain["inputs"]["dataset_inputs"]
    assert given["tags"] == {"mlflow.data.context": "train"}
    assert given["dataset"]["source"] == '{"url": "https://example.org/x.csv"}'
    assert Metric("a", 1.0, 5, 2).to_dictionary()["step"] == 2
    assert dict(ExperimentTag("k", "v")) == {"key": "k", "value": "v"}


def test_runs_can_be_kept_in_sets_and_sent_to_processes() -> None:
    """A run is hashed, copied and pickled with all that it knows."""
    run = mlflow.get_run(finished(tags={"a": "b"}))
    assert len({run, mlflow.get_run(run.info.run_id)}) == 1
    for again in (copy.deepcopy(run), pickle.loads(pickle.dumps(run))):
        assert again == run
        assert again.record == run.record


def test_entities_are_made_of_what_they_came_to() -> None:
    """`from_dictionary` undoes `to_dictionary`; MLflow's required arguments are enough."""
    with mlflow.start_run(run_name="first", tags={"a": "b"}) as run:
        mlflow.log_param("lr", 0.1)
        mlflow.log_metric("loss", 0.5)
        mlflow.log_input(mlflow.data.from_url("https://example.org/x.csv"), context="train")
    found = mlflow.get_run(run.info.run_id)
    again = type(found).from_dictionary(json.loads(json.dumps(found.to_dictionary())))
    assert again.to_dictionary() == found.to_dictionary()
    assert (again.info, again.inputs) == (found.info, found.inputs)
    info = RunInfo("id", "0", "ada", "RUNNING", 1, None, "active")
    assert (info.run_id, info.status, info.run_name, info.artifact_uri) == (
        "id", "RUNNING", None, None,
    )  # fmt: skip
    assert Metric.from_dictionary({"key": "a", "value": 1.0, "timestamp": 1, "x": 2}).step == 0
    assert SourceType.to_string(SourceType.from_string("JOB")) == "JOB"


def test_settings_of_a_server_do_no_harm() -> None:
    """What names a registry, or makes logging asynchronous, is taken and has nothing to do."""
    mlflow.set_registry_uri("sqlite:///registry.db")
    assert mlflow.get_registry_uri() == mlflow.get_tracking_uri()
    config: Any = mlflow.config  # type: ignore[attr-defined]
    config.enable_async_logging(True)
    assert config.set_tracking_uri is mlflow.set_tracking_uri
    with mlflow.start_run() as run:
        mlflow.log_metric("a", 1)
        mlflow.log_text("x", "x.txt")
        mlflow.flush_artifact_async_logging()
    run_id = run.info.run_id
    path = mlflow.artifacts.download_artifacts(f"runs:/{run_id}/x.txt", registry_uri="x")
    assert Path(path).read_text(encoding="utf-8") == "x"
    with pytest.raises(AttributeError, match=r"gitml\.config.*nothing"):
        _ = config.nothing


def test_what_a_metric_is_of_is_not_recorded_and_said_so() -> None:
    """A model or a dataset is taken as an argument; the point itself is recorded."""
    client = MlflowClient()
    with mlflow.start_run() as run:
        mlflow.log_metric("a", 1, model_id=None, dataset=None)
        for call in (
            lambda: mlflow.log_metric("b", 1, model_id="m-1"),
            lambda: mlflow.log_metrics({"c": 1}, dataset=object()),
            lambda: client.log_metric(run.info.run_id, "d", 1, dataset_name="train"),
        ):
            with pytest.warns(UserWarning, match="not with a model or a dataset"):
                call()
    metrics = mlflow.get_run(run.info.run_id).data.metrics
    assert metrics == {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}


def test_statuses_and_views_have_words() -> None:
    """Code that turns MLflow's numbers into words and back goes on working."""
    assert RunStatus.to_string(RunStatus.from_string("FAILED")) == "FAILED"
    assert sorted(map(RunStatus.to_string, RunStatus.all_status())) == [
        "FAILED", "FINISHED", "KILLED", "RUNNING", "SCHEDULED",
    ]  # fmt: skip
    assert ViewType.from_string("active_only") == ViewType.ACTIVE_ONLY
    assert ViewType.to_string(ViewType.ALL) == "all"
    for wrong in (
        lambda: RunStatus.from_string("DONE"),
        lambda: ViewType.from_string("some"),
        lambda: mlflow.search_runs(run_view_type=7),
    ):
        with pytest.raises(MlflowException):
            wrong()


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("artifacts", "download_artifacts list_artifacts load_dict load_image load_text"),
        ("client", "MlflowClient"),
        ("config", "enable_async_logging set_registry_uri enable_system_metrics_logging"),
        ("data.pandas_dataset", "PandasDataset from_pandas"),
        ("entities", "Experiment FileInfo Metric Param Run RunData RunInfo RunStatus ViewType"),
        ("entities", "SourceType"),
        ("entities.run_status", "RunStatus"),
        ("entities.view_type", "ViewType"),
        ("exceptions", "MlflowException RestException"),
        ("tracking", "MlflowClient get_tracking_uri set_tracking_uri client fluent"),
        ("tracking", "get_registry_uri set_registry_uri is_tracking_uri_set"),
        ("utils.mlflow_tags", "MLFLOW_PARENT_RUN_ID MLFLOW_RUN_NAME MLFLOW_RUN_NOTE MLFLOW_USER"),
        ("utils.validation", "MAX_TAG_VAL_LENGTH MAX_PARAM_VAL_LENGTH"),
        ("version", "VERSION"),
        ("tracking.client", "MlflowClient"),
        ("tracking.fluent", "ActiveRun active_run start_run"),
    ],
)
def test_imports_of_submodules_are_found(module: str, names: str) -> None:
    """`from mlflow.x import y` becomes `from gitml.x import y`; `mlflow.x.y` works too."""
    found = importlib.import_module(f"gitml.{module}")
    for name in names.split():
        assert hasattr(found, name)
    assert getattr(mlflow, module.split(".")[0])


# -- runs ----------------------------------------------------------------------------------


def test_tags_for_name_description_and_parent_are_fields() -> None:
    """MLflow's own tags name, describe and nest a run, whoever sets them and when."""
    parent = finished(run_name="parent")
    tags = {
        "mlflow.runName": "by tag",
        "mlflow.note.content": "about it",
        "mlflow.parentRunId": parent,
    }
    run = mlflow.get_run(finished(tags=tags))
    assert run.info.run_name == run.data.tags["mlflow.runName"] == "by tag"
    assert run.data.tags["mlflow.note.content"] == "about it"
    assert mlflow.get_parent_run(run.info.run_id).info.run_name == "parent"  # type: ignore[union-attr]
    both = mlflow.get_run(finished(run_name="given", tags={"mlflow.runName": "by tag"}))
    assert both.info.run_name == both.data.tags["mlflow.runName"] == "given"
    with pytest.raises(MlflowException, match="once"):
        mlflow.start_run(description="one", tags={"mlflow.note.content": "two"})
    assert mlflow.active_run() is None


def test_a_parent_can_be_set_later() -> None:
    """A run whose parent tag is set afterwards is a child."""
    parent, child = finished(run_name="parent"), finished()
    MlflowClient().set_tag(child, "mlflow.parentRunId", parent)
    assert mlflow.get_parent_run(child).info.run_id == parent  # type: ignore[union-attr]
    found = mlflow.search_runs(filter_string=f"tags.mlflow.parentRunId = '{parent}'")
    assert list(found.run_id) == [child]


def test_a_run_may_be_named_by_a_number() -> None:
    """Loops pass their counter."""
    assert mlflow.get_run(finished(run_name=5)).info.run_name == "5"  # type: ignore[arg-type]


def test_a_resumed_run_takes_what_its_start_says() -> None:
    """Name, description and tags of the second start are the run's; it is RUNNING meanwhile."""
    run_id = finished(run_name="old", tags={"a": "1"})
    again = mlflow.start_run(run_id, run_name="new", tags={"b": "2"}, description="more")
    assert (again.info.status, again.info.run_name) == ("RUNNING", "new")
    assert mlflow.get_run(run_id).info.status == "RUNNING"
    mlflow.end_run("FAILED")
    run = mlflow.get_run(run_id)
    assert (run.info.status, run.info.run_name) == ("FAILED", "new")
    assert (run.data.tags["a"], run.data.tags["b"]) == ("1", "2")
    assert run.data.tags["mlflow.note.content"] == "more"


def test_threads_can_resume_one_run() -> None:
    """Each thread ends its own session only; what all of them logged is there."""
    run_id = finished()

    def work(number: int) -> None:
        with mlflow.start_run(run_id=run_id):
            for step in range(3):
                mlflow.log_metric(f"m{number}", step, step=step)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    run = mlflow.get_run(run_id)
    assert run.data.metrics == {f"m{number}": 2.0 for number in range(4)}
    assert run.info.status == "FINISHED"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_can_start_a_run_of_its_own() -> None:
    """A pool's worker starts or resumes runs though its parent had one open."""
    with mlflow.start_run() as run:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with mlflow.start_run(run_id=run.info.run_id):
                    mlflow.log_metric("resumed", 1)
                with mlflow.start_run(run_name="own"):
                    mlflow.log_metric("own", 1)
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert mlflow.get_run(run.info.run_id).data.metrics == {"resumed": 1.0}
    own = mlflow.search_runs(filter_string="run_name = 'own'", output_format="list")
    assert [item.data.metrics for item in own] == [{"own": 1.0}]


def test_a_nested_run_may_end_before_or_after_its_block() -> None:
    """`end_run` ends the innermost run; a run that ended inside its block keeps its status."""
    with mlflow.start_run(run_name="outer") as outer:
        mlflow.start_run(run_name="inner", nested=True)
        mlflow.end_run()
        assert mlflow.active_run().info.run_name == "outer"  # type: ignore[union-attr]
        mlflow.end_run("KILLED")
    assert mlflow.get_run(outer.info.run_id).info.status == "KILLED"
    assert mlflow.active_run() is None
    assert mlflow.last_active_run().info.run_name == "outer"  # type: ignore[union-attr]


def test_the_last_active_run_is_the_active_one_else_the_one_that_ended_last() -> None:
    """After a search with nested runs that is the parent, which has the best parameters."""
    with mlflow.start_run(run_name="outer"):
        with mlflow.start_run(run_name="inner", nested=True):
            assert mlflow.last_active_run().info.run_name == "inner"  # type: ignore[union-attr]
        assert mlflow.last_active_run().info.run_name == "outer"  # type: ignore[union-attr]
    assert mlflow.last_active_run().info.run_name == "outer"  # type: ignore[union-attr]


def test_variables_of_mlflow_choose_run_and_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLFLOW_EXPERIMENT_NAME is the default; MLFLOW_RUN_ID is for one run, and used up then."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "from outside")
    run_id = finished()
    experiment = mlflow.get_run(run_id).info.experiment_id
    assert mlflow.get_experiment(experiment).name == "from outside"
    assert list(mlflow.search_runs().run_id) == [run_id]
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    with mlflow.start_run(run_name="renamed") as run:
        assert run.info.run_id == run_id
        assert "MLFLOW_RUN_ID" not in os.environ  # a child of this process is no part of the run
    assert mlflow.get_run(run_id).info.run_name == "renamed"
    with mlflow.start_run() as run:
        monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)  # for a child: it joins
        with mlflow.start_run(nested=True) as inner:  # MLflow would open the outer run once more
            assert inner.info.run_id != run.info.run_id
            assert os.environ["MLFLOW_RUN_ID"] == run.info.run_id
    assert "MLFLOW_RUN_ID" not in os.environ
    assert finished() not in (run_id, run.info.run_id)


@pytest.mark.parametrize("name", ["GITML_RUN_ID", "MLFLOW_RUN_ID"])
def test_what_a_driver_starts_has_runs_of_its_own(
    repo: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in MLflow: who goes on with the run of the variable does not hand it to its children."""
    script = "import gitml; print(gitml.start_run().info.run_id)"
    run_id = finished()
    monkeypatch.setenv(name, run_id)
    with mlflow.start_run() as run:
        started = subprocess.run(
            [sys.executable, "-c", script], cwd=repo, check=True, capture_output=True, text=True
        )
    assert run.info.run_id == run_id
    child = mlflow.get_run(started.stdout.strip())
    assert child.info.run_id != run_id
    assert "mlflow.parentRunId" not in child.data.tags


# -- what is logged ------------------------------------------------------------------------


def test_an_asynchronous_call_can_be_waited_for() -> None:
    """`synchronous=False` returns a handle, otherwise a call returns what MLflow's does."""
    client = MlflowClient()
    with mlflow.start_run() as run:
        run_id = run.info.run_id
        for handle in (
            mlflow.log_metric("a", 1, synchronous=False),
            mlflow.log_metrics({"b": 1}, synchronous=False),
            mlflow.log_param("p", 1, synchronous=False),
            mlflow.log_params({"q": 1}, synchronous=False),
            mlflow.set_tag("t", 1, synchronous=False),
            mlflow.set_tags({"u": 1}, synchronous=False),
            client.log_metric(run_id, "c", 1, synchronous=False),
            client.log_param(run_id, "r", 1, synchronous=False),
            client.log_batch(run_id, synchronous=False),
        ):
            handle.wait()
        mlflow.flush_async_logging()
        assert mlflow.log_param("lr", 0.1) == 0.1
        assert mlflow.log_metric("d", 1) is None
    assert mlflow.get_run(run_id).data.metrics == {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}


def test_values_read_as_in_mlflow() -> None:
    """A param is what `str` makes of it, a metric what `float` makes of it."""
    numpy = pytest.importorskip("numpy")
    params = {
        "float32": (numpy.float32(0.1), "0.1"),
        "int64": (numpy.int64(3), "3"),
        "bool": (numpy.bool_(True), "True"),
        "array": (numpy.array([1, 2]), "[1 2]"),
        "none": (None, "None"),
        "long": (10**30, str(10**30)),
        "list": ([1, "a"], "[1, 'a']"),
        "tuple": ((1, 2), "(1, 2)"),
        "path": (Path("data"), "data"),
        "date": (datetime.date(2026, 1, 2), "2026-01-02"),
        "text": (" a\tb ", " a\tb "),
        "float": (1e-7, "1e-07"),
    }
    metrics = {"text": "0.5", "bool": True, "float32": numpy.float32(0.5), "one": numpy.ones(1)}
    with mlflow.start_run() as run:
        mlflow.log_params({key: value for key, (value, _) in params.items()})
        mlflow.log_metrics(metrics)
        mlflow.set_tags({"none": None, "number": 1.5})
    data = mlflow.get_run(run.info.run_id).data
    assert data.params == {key: text for key, (_, text) in params.items()}
    assert data.metrics == {"text": 0.5, "bool": 1.0, "float32": 0.5, "one": 1.0}
    assert (data.tags["none"], data.tags["number"]) == ("None", "1.5")


def test_whatever_has_items_is_logged() -> None:
    """A Series, the row of a DataFrame or an object of a configuration, as in MLflow."""
    pandas = pytest.importorskip("pandas")

    class Settings:
        def items(self) -> list[tuple[str, Any]]:
            return [("lr", 0.1)]

    settings: Any = Settings()
    with mlflow.start_run(tags=pandas.Series({"team": "a"})) as run:
        mlflow.log_metrics(pandas.Series({"auc": 0.5, "f1": 1.0}))
        mlflow.log_params(settings)
        mlflow.log_params(pandas.DataFrame({"depth": [3], "kind": ["tree"]}).iloc[0])
        mlflow.set_tags(settings)
    data = mlflow.get_run(run.info.run_id).data
    assert data.metrics == {"auc": 0.5, "f1": 1.0}
    assert data.params == {"lr": "0.1", "depth": "3", "kind": "tree"}
    assert (data.tags["team"], data.tags["lr"]) == ("a", "0.1")


@pytest.mark.parametrize("function", [mlflow.log_params, mlflow.log_metrics, mlflow.set_tags])
def test_what_is_no_dictionary_is_refused(function: Callable[[Any], Any]) -> None:
    """The error names what came instead."""
    with mlflow.start_run(), pytest.raises(MlflowException, match="dictionary, not list"):
        function([("a", 1)])


def test_a_batch_is_logged_whole_or_not_at_all() -> None:
    """One param with two values spoils a batch; tags for name and description are fields."""
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    client.log_batch(
        run_id,
        metrics=[Metric("m", number, 1000 + number, number) for number in range(3)],
        params=[Param("p", "1"), Param("q", 2)],  # type: ignore[arg-type]
        tags=[RunTag("t", "v"), RunTag("mlflow.runName", "renamed")],
    )
    for wrong in ([Param("p", "2")], [Param("u", "1"), Param("u", "2")]):
        with pytest.raises(MlflowException):
            client.log_batch(run_id, params=wrong, metrics=[Metric("late", 1, 1, 1)])
    client.set_terminated(run_id)
    run = client.get_run(run_id)
    assert run.data.params == {"p": "1", "q": "2"}
    assert run.data.metrics == {"m": 2.0}
    assert (run.info.run_name, run.data.tags["t"]) == ("renamed", "v")
    history = [(point.step, point.value, point.timestamp) for point in
               client.get_metric_history(run_id, "m")]  # fmt: skip
    assert history == [(0, 0.0, 1000), (1, 1.0, 1001), (2, 2.0, 1002)]


def test_a_note_can_be_deleted_and_the_record_can_not() -> None:
    """The description goes with its tag; what gitml itself says of the run stays."""
    with mlflow.start_run(description="about it") as run:
        mlflow.delete_tag("mlflow.note.content")
        with pytest.raises(MlflowException, match="record"):
            mlflow.delete_tag("mlflow.source.git.commit")
        with pytest.raises(MlflowException, match="no tag 'nothing'"):
            mlflow.delete_tag("nothing")
    assert "mlflow.note.content" not in mlflow.get_run(run.info.run_id).data.tags


def test_a_deleted_run_takes_nothing_more() -> None:
    """Logging, tagging and resuming are refused until it is restored."""
    run_id, client = finished(), MlflowClient()
    client.delete_run(run_id)
    for call in (
        lambda: client.log_metric(run_id, "a", 1),
        lambda: client.set_tag(run_id, "a", 1),
        lambda: mlflow.start_run(run_id=run_id),
    ):
        with pytest.raises(MlflowException, match="deleted"):
            call()
    assert mlflow.get_run(run_id).info.lifecycle_stage == LifecycleStage.DELETED
    client.restore_run(run_id)
    client.set_tag(run_id, "a", 1)
    assert client.get_run(run_id).data.tags["a"] == "1"


def test_the_client_ends_runs_at_the_time_that_it_is_told() -> None:
    """`set_terminated` takes a status and an end time, of live runs and of recorded ones."""
    client = MlflowClient()
    run_id = client.create_run("0", tags={"mlflow.runName": "by tag"}).info.run_id
    client.set_terminated(run_id, "FAILED", end_time=4_000_000_000_000)
    info = client.get_run(run_id).info
    assert (info.run_name, info.status, info.end_time) == ("by tag", "FAILED", 4_000_000_000_000)
    client.update_run(run_id, status="FINISHED", name="other")
    assert (client.get_run(run_id).info.status, client.get_run(run_id).info.run_name) == (
        "FINISHED",
        "other",
    )


@pytest.mark.parametrize("end_time", [-62_135_596_800_000, 2**60, 253_402_300_800_000, "x"])
def test_an_end_time_that_is_none_is_refused(end_time: Any) -> None:
    """The run goes on: nothing is written that nobody could read."""
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    with pytest.raises(MlflowException, match="timestamp"):
        client.set_terminated(run_id, end_time=end_time)
    assert client.get_run(run_id).info.status == "RUNNING"
    client.set_terminated(run_id, end_time=1.5)  # type: ignore[arg-type]
    assert client.get_run(run_id).info.end_time == 1


def test_a_text_that_is_none_is_logged_or_refused() -> None:
    """Half a surrogate pair becomes an escape; what holds itself is told in one line."""
    cycle: list[Any] = []
    cycle.append(cycle)
    with mlflow.start_run() as run:
        mlflow.log_text("\ud800", "a.txt")
        for name in ("a.json", "a.yaml"):
            with pytest.raises(MlflowException, match="can't be written"):
                mlflow.log_dict({"a": cycle}, name)
    uri = f"runs:/{run.info.run_id}/a.txt"
    assert mlflow.artifacts.load_text(uri) == "\\ud800"


def test_datasets_of_the_client_are_entities() -> None:
    """`log_inputs` of the client takes what `run.inputs` holds."""
    client, run_id = MlflowClient(), finished()
    dataset = Dataset("train", "12ab", "local", '{"uri": "train.csv"}', profile='{"num_rows": 3}')
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "test")])])
    [given] = client.get_run(run_id).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("train", "12ab")
    assert given.dataset.profile == '{"num_rows": 3}'
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "test")]
    found = mlflow.search_runs(
        filter_string="datasets.name = 'train' AND dataset.context = 'test'", output_format="list"
    )
    assert [run.info.run_id for run in found] == [run_id]


def test_contexts_are_as_many_as_datasets() -> None:
    """A list that is too long is an error, not a dataset without a context."""
    data = mlflow.data.from_url("https://example.org/x.csv")
    with mlflow.start_run(), pytest.raises(MlflowException, match="as many"):
        mlflow.log_inputs([data], ["train", "test"], [None])


def test_a_history_is_in_the_order_of_time() -> None:
    """By time, then step, over several sessions too, in any order of the calls; on one page."""
    client = MlflowClient()
    given = [(3000, 0, 1), (1000, 2, 2), (2000, 1, 3), (1000, 1, 9), (1000, 2, 1), (2000, 1, 4)]
    with mlflow.start_run() as run:
        for time, step, value in given:
            mlflow.log_metric("m", value, step=step, timestamp=time)
        for step in (5, 1, 3):
            mlflow.log_metric("steps", step, step=step, timestamp=10 - step)
        batch = [Metric("b", 1, 20, 1), Metric("b", 2, 10, 3), Metric("b", 3, 10, 2)]
        client.log_batch(run.info.run_id, batch)
        live = client.get_metric_history(run.info.run_id, "m")
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_metric("m", 0, step=0, timestamp=1500)
    client.log_metric(run.info.run_id, "m", 2, timestamp=500, step=7)

    def points(key: str) -> list[tuple[int, int, float]]:
        history = client.get_metric_history(run.info.run_id, key)
        return [(point.timestamp, point.step, point.value) for point in history]

    mlflows = [(1000, 1, 9), (1000, 2, 2), (1000, 2, 1), (2000, 1, 3), (2000, 1, 4), (3000, 0, 1)]
    assert [(point.timestamp, point.step, point.value) for point in live] == mlflows
    resumed = [(500, 7, 2), *mlflows[:3], (1500, 0, 0), *mlflows[3:]]
    assert points("m") == resumed
    assert points("steps") == [(5, 5, 5), (7, 3, 3), (9, 1, 1)]
    assert points("b") == [(10, 2, 3), (10, 3, 2), (20, 1, 1)]
    history = client.get_metric_history(run.info.run_id, "m")
    assert (history.token, type(history.to_list())) == (None, list)
    assert client.get_metric_history(run.info.run_id, "nothing") == []


def test_points_of_one_moment_stay_in_the_order_of_the_calls() -> None:
    """Of one time and step the later call comes later; MLflow orders them by value."""
    with mlflow.start_run() as run:
        for value in (3, 1, 2, 1):
            mlflow.log_metric("same", value, step=0, timestamp=1000)
    history = MlflowClient().get_metric_history(run.info.run_id, "same")
    assert [point.value for point in history] == [3, 1, 2, 1]


# -- searches ------------------------------------------------------------------------------


def test_a_frame_has_mlflows_columns() -> None:
    """Info columns first; missing values are missing, times are UTC."""
    mlflow.set_experiment("frames")
    with mlflow.start_run(run_name="one"):
        mlflow.log_param("lr", 0.1)
    with mlflow.start_run(run_name="two"):
        mlflow.log_metric("auc", 0.9)
    frame = mlflow.search_runs(order_by=["attributes.run_name ASC"])
    assert list(frame.columns[:6]) == [
        "run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time",
    ]  # fmt: skip
    assert list(frame["tags.mlflow.runName"]) == ["one", "two"]
    assert frame["params.lr"].isna().tolist() == [False, True]
    assert frame["metrics.auc"].isna().tolist() == [True, False]
    assert str(frame.start_time.dt.tz) == "UTC"
    empty = mlflow.search_runs(filter_string="metrics.auc > 1")
    assert list(empty.columns) == list(frame.columns[:6])


def test_experiments_are_chosen_as_in_mlflow() -> None:
    """Names and ids go before `search_all_experiments`; a filter may be None."""
    first = mlflow.set_experiment("first").experiment_id
    one = finished(run_name="one")
    mlflow.set_experiment("second")
    two = finished(run_name="two")

    def ids(**options: Any) -> list[str]:
        runs = mlflow.search_runs(output_format="list", **options)
        return [run.info.run_id for run in runs]

    assert ids(filter_string=None) == [two]
    assert ids(search_all_experiments=True) == [two, one]
    assert ids(experiment_names=["first"], search_all_experiments=True) == [one]
    assert ids(experiment_ids=[first], search_all_experiments=True) == [one]
    assert ids(experiment_names=[], search_all_experiments=True) == [two, one]
    assert ids(experiment_names=["unknown"]) == []


def test_pages_follow_one_another() -> None:
    """The token of a page asks for the next one; a token from elsewhere is refused."""
    experiment, client = mlflow.set_experiment("pages").experiment_id, MlflowClient()
    for number in range(5):
        finished(run_name=f"r{number}")
    pages, token = [], None
    while token is not None or not pages:
        page = client.search_runs(
            [experiment], max_results=2, order_by=["run_name"], page_token=token
        )
        pages.append([run.info.run_name for run in page])
        token = page.token
    assert pages == [["r0", "r1"], ["r2", "r3"], ["r4"]]
    for search in (lambda: client.search_runs([experiment], page_token="zz"),
                   lambda: client.search_experiments(page_token="-1")):  # fmt: skip
        with pytest.raises(MlflowException, match="page token"):
            search()


# -- experiments ---------------------------------------------------------------------------


def test_experiments_are_searched_by_time_too() -> None:
    """`creation_time` filters and orders; a tag or a text of that name is left alone."""
    for name in ("b", "a"):
        mlflow.create_experiment(name, tags={"creation_time": name, "team": "x"})

    def names(filter_string: str, *order_by: str) -> list[str]:
        found = mlflow.search_experiments(filter_string=filter_string, order_by=order_by)
        return [item.name for item in found]

    assert names("creation_time > 0", "name ASC") == ["a", "b"]
    assert names("attribute.creation_time < 10 AND tags.team = 'x'") == []
    assert names("tags.creation_time = 'a'") == ["a"]
    assert names("name LIKE '%' AND last_update_time > 0", "creation_time ASC", "name") != []
    with pytest.raises(MlflowException, match="column 26"):
        names("creation_time > 0 AND    unknown_key = 1")
    with pytest.raises(MlflowException, match="negative"):
        mlflow.search_experiments(max_results=-1)


def test_an_existing_experiment_is_caught_as_in_mlflow() -> None:
    """The usual way to get or create one: catch MlflowException."""
    made = mlflow.create_experiment("churn")
    try:
        mlflow.create_experiment("churn")
    except MlflowException:
        found = mlflow.get_experiment_by_name("churn")
    assert found is not None
    assert found.experiment_id == made
    assert mlflow.get_experiment(0).name == "default"  # type: ignore[arg-type]


def test_tags_of_experiments_can_be_deleted() -> None:
    """By the fluent API for the active one, by the client for any."""
    experiment, client = mlflow.set_experiment("tagged"), MlflowClient()
    mlflow.set_experiment_tags({"a": 1, "b": 2, "c": 3})
    mlflow.delete_experiment_tag("a")
    client.delete_experiment_tag(experiment.experiment_id, "b")
    assert mlflow.get_experiment(experiment.experiment_id).tags == {"c": "3"}
    with pytest.raises(MlflowException, match="no tag 'a'"):
        mlflow.delete_experiment_tag("a")


def test_names_of_experiments_stay_unique() -> None:
    """A rename to a name that is taken is refused, and a deleted experiment takes no runs."""
    client = MlflowClient()
    one, other = client.create_experiment("one"), client.create_experiment("other")
    with pytest.raises(MlflowException, match="another experiment"):
        client.rename_experiment(one, "other")
    client.rename_experiment(one, "first")
    assert mlflow.get_experiment_by_name("one") is None
    assert mlflow.get_experiment_by_name("first").experiment_id == one  # type: ignore[union-attr]
    client.delete_experiment(other)
    with pytest.raises(MlflowException, match="deleted"):
        mlflow.start_run(experiment_id=other)
    assert mlflow.get_experiment_by_name("other").lifecycle_stage == "deleted"  # type: ignore[union-attr]


def test_an_artifact_location_is_not_silently_ignored() -> None:
    """The warning says where artifacts go instead."""
    with pytest.warns(UserWarning, match="DVC remote"):
        mlflow.create_experiment("elsewhere", artifact_location="s3://bucket/prefix")


# -- artifacts -----------------------------------------------------------------------------


def test_artifacts_of_a_live_run_can_be_downloaded(tmp_path: Path) -> None:
    """What was logged a moment ago, and what a resumed run had before."""
    with mlflow.start_run() as run:
        mlflow.log_text("one", "a/one.txt")
        mlflow.log_text("x" * 200_000, "large.txt")
        uri = mlflow.get_artifact_uri("a/one.txt")
        assert Path(mlflow.artifacts.download_artifacts(uri)).read_text() == "one"
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_text("two", "a/two.txt")
        mlflow.log_text("new", "a/one.txt")
        whole = mlflow.artifacts.download_artifacts(
            run_id=run.info.run_id, dst_path=tmp_path / "whole"
        )
        names = sorted(path.name for path in Path(whole).rglob("*.txt"))
        assert names == ["large.txt", "one.txt", "two.txt"]
        assert Path(whole, "a", "one.txt").read_text() == "new"
        with pytest.raises(MlflowException, match="no artifact 'b'"):
            mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="b")
    assert Path(whole, "large.txt").stat().st_size == 200_000


def test_a_download_comes_by_its_last_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in MLflow 3, a nested path lands directly in the folder; the answer is absolute."""
    with mlflow.start_run() as run:
        mlflow.log_text("one", "a/b/one.txt")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(tmp_path / "repo")
    client, run_id = MlflowClient(), run.info.run_id
    assert client.download_artifacts(run_id, "a/b", "out") == str(tmp_path / "out" / "b")
    assert (tmp_path / "out" / "b" / "one.txt").read_text() == "one"
    file = mlflow.artifacts.download_artifacts(f"runs:/{run_id}/a/b/one.txt", dst_path="out")
    assert file == str(tmp_path / "out" / "one.txt")
    for top in (None, "", ".", "/"):
        assert [item.path for item in client.list_artifacts(run_id, top)] == ["a"]
    assert client.list_artifacts(run_id, "nothing") == []


def test_a_stream_is_logged_to_its_end() -> None:
    """`log_stream` reads bytes; text goes through `log_text`, which takes nothing else."""
    with mlflow.start_run() as run:
        mlflow.log_stream(BytesIO(b"\0\1"), "data.bin")
        with pytest.raises(MlflowException, match="bytes"):
            mlflow.log_stream(StringIO("text"), "data.txt")  # type: ignore[arg-type]
        with pytest.raises(MlflowException, match="not bytes"):
            mlflow.log_text(b"text", "data.txt")  # type: ignore[arg-type]
    place = mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/data.bin")
    assert Path(place).read_bytes() == b"\0\1"
    with pytest.raises(MlflowException, match="not an image"):
        mlflow.artifacts.load_image(f"runs:/{run.info.run_id}/data.bin")


def test_tables_are_loaded_across_the_runs_of_an_experiment() -> None:
    """Without runs, those of the active experiment that have the table; no run is started."""
    experiment = mlflow.set_experiment("tables").experiment_id
    ids = []
    for number in range(2):
        with mlflow.start_run(tags={"number": number}) as run:
            mlflow.log_table({"a": [number], "b": ["x"]}, "t.json")
            mlflow.log_table({"a": number + 10, "c": None}, "t.json")
            ids.append(run.info.run_id)
    other = finished()
    table = mlflow.load_table("t.json", extra_columns=["run_id", "status", "tags.number"])
    assert sorted(table["a"]) == [0, 1, 10, 11]
    assert set(table.run_id) == set(ids)
    assert list(table[table.run_id == ids[1]]["tags.number"]) == ["1", "1"]
    assert set(table.status) == {"FINISHED"}
    assert len(mlflow.load_table("t.json", run_ids=[ids[0], other])) == 2
    assert len(MlflowClient().load_table(experiment, "t.json")) == 4
    assert mlflow.active_run() is None
    with pytest.raises(MlflowException, match="no run has a table"):
        mlflow.load_table("u.json")


def test_a_table_holds_images_and_is_json_or_parquet() -> None:
    """An image in a cell is stored beside the table; a table is called by what it is."""
    numpy = pytest.importorskip("numpy")
    pytest.importorskip("PIL")
    picture = mlflow.Image(numpy.zeros((4, 6, 3), dtype="uint8"))
    with mlflow.start_run() as run:
        mlflow.log_table({"question": ["a"], "picture": [picture]}, "shown.json")
        with pytest.raises(MlflowException, match=r"\.parquet"):
            mlflow.log_table({"a": [1]}, "table.csv")
    cell = mlflow.load_table("shown.json", run_ids=[run.info.run_id]).picture[0]
    assert cell["type"] == "image"
    image = mlflow.artifacts.load_image(f"runs:/{run.info.run_id}/{cell['filepath']}")
    assert image.size == (6, 4)


# -- where it is recorded ------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}", "file://localhost{}", "{}/mlruns"])
def test_a_path_stands_for_the_repository_around_it(form: str, tmp_path: Path) -> None:
    """Paths and file: URLs, also of a folder that is not there yet, as scripts have them."""
    other = new_repository(tmp_path / "other")
    mlflow.set_tracking_uri(form.format(other.as_posix() if os.name != "nt" else f"/{other}"))
    assert Path(mlflow.get_tracking_uri()).resolve() == other.resolve()
    assert mlflow.is_tracking_uri_set()


def test_a_relative_path_is_of_the_folder_where_it_was_set(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`./mlruns` goes on meaning the same when the script changes its folder."""
    mlflow.set_tracking_uri("file:./mlruns")
    monkeypatch.chdir(tmp_path)
    assert Path(mlflow.get_tracking_uri()).resolve() == repo.resolve()


@pytest.mark.parametrize(
    "uri", ["databricks", "databricks-uc", "sqlite:///mlflow.db", "https://example.org", "uc:x"]
)
def test_other_schemes_say_what_to_do(uri: str) -> None:
    """There is no server and no database to name."""
    with pytest.raises(MlflowException, match="gitml push"):
        mlflow.set_tracking_uri(uri)
    with pytest.raises(MlflowException, match="gitml push"):
        MlflowClient(tracking_uri=uri)


def test_a_client_has_a_repository_of_its_own(repo: Path, tmp_path: Path) -> None:
    """Two clients copy runs from one repository to another; the fluent API stays where it is."""
    other = new_repository(tmp_path / "other")
    source, target = MlflowClient(), MlflowClient(tracking_uri=str(other))
    run_id = finished(run_name="here")
    copied = target.create_run("0", run_name=source.get_run(run_id).info.run_name)
    target.log_metric(copied.info.run_id, "a", 1)
    target.set_terminated(copied.info.run_id)
    assert target.get_run(copied.info.run_id).data.metrics == {"a": 1.0}
    with pytest.raises(MlflowException, match="not found"):
        source.get_run(copied.info.run_id)
    assert Path(target.tracking_uri).resolve() == other.resolve()
    assert Path(mlflow.get_tracking_uri()).resolve() == repo.resolve()
    listed = mlflow.artifacts.list_artifacts(run_id=copied.info.run_id, tracking_uri=str(other))
    assert listed == []
