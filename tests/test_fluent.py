"""The fluent API: what a script that was written for MLflow may rely on."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import gitml as mlflow
from gitml.errors import NoRepositoryError, UsageError
from gitml.tracking import changes, store
from gitml.tracking.fluent.place import place
from gitml.tracking.session import Session
from tests.conftest import Git

pytestmark = pytest.mark.usefixtures("new_script")


def test_a_run_is_recorded_when_its_block_ends() -> None:
    """What was logged in the block is there afterwards, with the status FINISHED."""
    with mlflow.start_run(run_name="first") as run:
        mlflow.log_param("depth", 3)
        mlflow.log_metric("loss", 0.5, step=1)
        mlflow.log_metric("loss", 0.25, step=2)
        mlflow.set_tag("team", "churn")
    found = mlflow.get_run(run.info.run_id)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "first"
    assert found.data.params == {"depth": "3"}
    assert found.data.typed_params == {"depth": 3}
    assert found.data.metrics == {"loss": 0.25}
    assert found.data.tags["team"] == "churn"
    assert found.data.tags["mlflow.runName"] == "first"


def test_an_exception_makes_the_run_failed() -> None:
    """The reason is kept, and the exception goes on."""
    with pytest.raises(ZeroDivisionError), mlflow.start_run() as run:
        1 / 0  # noqa: B018
    record = store.record(place(), run.info.run_id)
    assert (record.status, record.reason) == ("FAILED", "ZeroDivisionError: division by zero")


def test_a_param_can_not_be_changed() -> None:
    """The error names the old value and the new one; the same value again is fine."""
    with mlflow.start_run():
        mlflow.log_param("depth", 3)
        mlflow.log_param("depth", "3")
        with pytest.raises(UsageError, match=r"'depth'.*'3'.*'4'"):
            mlflow.log_params({"new": 1, "depth": 4})
        with mlflow.start_run(nested=True):
            mlflow.log_param("depth", 4)
    assert "new" not in mlflow.last_active_run().data.params  # type: ignore[union-attr]


def test_logging_outside_a_run_starts_one() -> None:
    """As in MLflow, the run stays active until it is ended."""
    mlflow.log_metric("auc", 0.9)
    run = mlflow.active_run()
    assert run is not None
    mlflow.end_run("FAILED")
    assert mlflow.active_run() is None
    assert mlflow.get_run(run.info.run_id).info.status == "FAILED"


def test_a_second_run_needs_nested() -> None:
    """Two runs at once in one thread are an error that names `nested=True`."""
    with mlflow.start_run() as outer:
        with pytest.raises(UsageError, match="nested=True"):
            mlflow.start_run()
        with mlflow.start_run(nested=True) as inner:
            assert mlflow.active_run().info.run_id == inner.info.run_id  # type: ignore[union-attr]
        assert mlflow.active_run().info.run_id == outer.info.run_id  # type: ignore[union-attr]
    parent = mlflow.get_parent_run(inner.info.run_id)
    assert parent is not None
    assert parent.info.run_id == outer.info.run_id
    tags = mlflow.get_run(inner.info.run_id).data.tags
    assert tags["mlflow.parentRunId"] == outer.info.run_id


def test_a_run_can_be_resumed() -> None:
    """Later calls are a session of their own; the history is the union of both."""
    with mlflow.start_run() as run:
        mlflow.log_metric("loss", 0.5, step=1)
        mlflow.log_text("one", "notes/one.txt")
    with mlflow.start_run(run_id=run.info.run_id) as again:
        assert again.info.run_id == run.info.run_id
        mlflow.log_metric("loss", 0.25, step=2)
        mlflow.log_text("two", "notes/two.txt")
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.25)]
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/notes/one.txt") == "one"
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/notes/two.txt") == "two"
    assert len(store.record(place(), run.info.run_id).sessions) == 2


def test_a_resumed_run_may_log_its_params_again() -> None:
    """Whatever they are: a dictionary keeps its order, live as recorded."""
    grid = {"kernel": ["rbf"], "C": [1, 10]}
    text = "{'kernel': ['rbf'], 'C': [1, 10]}"
    with mlflow.start_run() as run:
        mlflow.log_param("grid", grid)
        assert mlflow.get_run(run.info.run_id).data.params == {"grid": text}
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_param("grid", grid)
    assert mlflow.get_run(run.info.run_id).data.params == {"grid": text}
    (found,) = mlflow.search_runs(filter_string=f'params.grid = "{text}"', output_format="list")
    assert found.info.run_id == run.info.run_id


def test_threads_write_to_the_run_of_the_main_thread() -> None:
    """A worker thread without a run of its own logs where its process does."""
    with mlflow.start_run() as run:
        workers = [
            threading.Thread(target=mlflow.log_metric, args=(f"m{number}", number))
            for number in range(20)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    metrics = mlflow.get_run(run.info.run_id).data.metrics
    assert metrics == {f"m{number}": float(number) for number in range(20)}


def test_a_thread_can_have_a_run_of_its_own() -> None:
    """Runs that threads start are children of the run of the main thread when nested."""
    ids: list[str] = []

    def work() -> None:
        with mlflow.start_run(nested=True) as run:
            mlflow.log_metric("mine", 1)
            ids.append(run.info.run_id)

    with mlflow.start_run() as outer:
        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert len(set(ids)) == 4
    parents = {store.record(place(), run_id).parent_run for run_id in ids}
    assert parents == {outer.info.run_id}


def test_runs_are_searched_as_in_mlflow() -> None:
    """Filter, order and limits are MLflow's; the answer is a DataFrame or a list."""
    mlflow.set_experiment("churn")
    for depth, auc in ((1, 0.7), (2, 0.9), (3, 0.8)):
        with mlflow.start_run(run_name=f"d{depth}"):
            mlflow.log_param("depth", depth)
            mlflow.log_metric("auc", auc)
    found = mlflow.search_runs(
        filter_string="metrics.auc > 0.75", order_by=["metrics.auc DESC"], output_format="list"
    )
    assert [run.info.run_name for run in found] == ["d2", "d3"]
    frame = mlflow.search_runs(experiment_names=["churn"], order_by=["params.depth ASC"])
    assert list(frame["params.depth"]) == ["1", "2", "3"]
    assert list(frame["metrics.auc"]) == [0.7, 0.9, 0.8]
    assert mlflow.search_runs(experiment_names=["other"], output_format="list") == []


def test_live_runs_are_found() -> None:
    """A run that is going on is RUNNING in every search."""
    with mlflow.start_run() as run:
        mlflow.log_metric("auc", 0.5)
        found = mlflow.search_runs(filter_string="metrics.auc = 0.5", output_format="list")
        assert [(item.info.run_id, item.info.status) for item in found] == [
            (run.info.run_id, "RUNNING")
        ]


def test_deleted_runs_can_be_restored() -> None:
    """Deletion is a mark: searches leave the run out until it is restored."""
    with mlflow.start_run() as run:
        pass
    run_id = run.info.run_id
    mlflow.delete_run(run_id)
    assert mlflow.get_run(run_id).info.lifecycle_stage == "deleted"
    assert mlflow.search_runs(output_format="list") == []
    mlflow.restore_run(run_id)
    assert [run.info.run_id for run in mlflow.search_runs(output_format="list")] == [run_id]


def test_experiments_have_names_tags_and_ids() -> None:
    """An experiment that is set is created; it is found by name and by id."""
    made = mlflow.set_experiment("Churn 2026")
    assert mlflow.get_experiment_by_name("Churn 2026") == made
    assert mlflow.get_experiment(made.experiment_id).name == "Churn 2026"
    mlflow.set_experiment_tag("team", "crm")
    assert mlflow.get_experiment(made.experiment_id).tags == {"team": "crm"}
    assert [item.name for item in mlflow.search_experiments(filter_string="tags.team = 'crm'")] == [
        "Churn 2026"
    ]
    with pytest.raises(UsageError, match="exists"):
        mlflow.create_experiment("Churn 2026")
    assert mlflow.get_experiment_by_name("nothing") is None


def test_mlflows_default_experiment_is_known() -> None:
    """Scripts name it `Default` or `0`."""
    with mlflow.start_run():
        pass
    assert mlflow.get_experiment("0").name == "default"
    assert len(mlflow.search_runs(experiment_ids=["0"], output_format="list")) == 1


def test_artifacts_are_listed_and_read_back(tmp_path: Path) -> None:
    """Files and folders come back as they were logged, small ones and large ones."""
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "sub" / "b.bin").write_bytes(bytes(200_000))
    with mlflow.start_run() as run:
        mlflow.log_artifacts(folder, "set")
        mlflow.log_dict({"a": [1, 2]}, "config.json")
        mlflow.log_text("hello", "hello.txt")
    client = mlflow.MlflowClient()
    names = [(item.path, item.is_dir) for item in client.list_artifacts(run.info.run_id)]
    assert names == [("config.json", False), ("hello.txt", False), ("set", True)]
    place_of_set = client.download_artifacts(run.info.run_id, "set", str(tmp_path / "out"))
    assert Path(place_of_set, "sub", "b.bin").read_bytes() == bytes(200_000)
    assert mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/config.json") == {"a": [1, 2]}


def test_a_file_can_not_be_a_folder_too() -> None:
    """The error names both paths."""
    with mlflow.start_run():
        mlflow.log_text("x", "out/a.txt")
        with pytest.raises(UsageError, match="'out'"):
            mlflow.log_text("x", "out")
        with pytest.raises(UsageError, match=r"'out/a.txt/b'.*'out/a.txt'"):
            mlflow.log_text("x", "out/a.txt/b")


def test_the_client_writes_runs_of_its_own() -> None:
    """A run of `create_run` is not the active run, and ends with `set_terminated`."""
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("by-client")
    run = client.create_run(experiment, run_name="mine", tags={"a": "b"})
    assert mlflow.active_run() is None
    client.log_metric(run.info.run_id, "auc", 0.5, step=3)
    client.log_param(run.info.run_id, "depth", 4)
    client.set_terminated(run.info.run_id)
    found = client.get_run(run.info.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.metrics == {"auc": 0.5}
    client.log_metric(run.info.run_id, "auc", 0.6, step=4)
    client.set_tag(run.info.run_id, "late", "yes")
    found = client.get_run(run.info.run_id)
    assert found.data.metrics == {"auc": 0.6}
    assert found.data.tags["late"] == "yes"


def test_the_log_says_what_was_added_later_and_by_whom(git: Git) -> None:
    """A later change has its own words and the name of who made it."""
    with mlflow.start_run(run_name="mine") as run:
        pass
    client = mlflow.MlflowClient()
    client.set_tag(run.info.run_id, "mlflow.note.content", "a note")
    client.log_metric(run.info.run_id, "auc", 0.5)
    newest, former = git("log", "-2", "--first-parent", "--format=%an: %s", "gitml/runs").split(
        "\n"
    )
    assert former == "Ada Example: default: mine (description)"
    assert newest.startswith("Ada Example: default: mine (metrics)")


def test_outside_a_repository_the_error_names_git_init(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing to record in, and the message says what to do."""
    outside = tmp_path / "outside"
    outside.mkdir()
    monkeypatch.chdir(outside)
    with pytest.raises(NoRepositoryError, match="git init"):
        mlflow.start_run()


def test_a_server_uri_is_refused_with_a_hint() -> None:
    """gitml records in a repository; the error says what to pass instead."""
    with pytest.raises(UsageError, match="git repository"):
        mlflow.set_tracking_uri("http://127.0.0.1:5000")


def test_another_repository_can_be_the_tracking_uri(
    tmp_path: Path, git: Callable[..., str]
) -> None:
    """`set_tracking_uri` takes the path of a repository, whatever the current folder."""
    other = tmp_path / "other"
    git("init", "--quiet", str(other))
    mlflow.set_tracking_uri(other)
    try:
        with mlflow.start_run() as run:
            mlflow.log_metric("x", 1)
        assert Path(mlflow.get_tracking_uri()) == other.resolve()
        assert mlflow.get_run(run.info.run_id).data.metrics == {"x": 1.0}
    finally:
        mlflow.set_tracking_uri("")


def test_a_run_is_found_by_a_tag_on_its_commit(git: Callable[..., str]) -> None:
    """A version tag such as churn@v1.0.0 names the run that it stands on."""
    with mlflow.start_run() as run:
        mlflow.log_metric("auc", 0.9)
    git("tag", "churn@v1.0.0", "gitml/runs^2")
    assert store.resolve(place(), "churn@v1.0.0") == run.info.run_id


def test_writers_may_disagree_on_what_is_a_folder() -> None:
    """Where one logs a file and another a folder of its name, both are kept and read back."""
    large = "x" * 300_000
    with mlflow.start_run() as run:
        mlflow.log_text("file", "out")
        mlflow.log_text(large, "model/m")
    client = mlflow.MlflowClient()
    run_id = run.info.run_id
    with changes.joined(place(), run_id) as session:
        session.shared.paths.clear()  # as a process that started before would know it
        mlflow_text(session, "inside", "out/a.txt")
        mlflow_text(session, large + "y", "model/m/n")
    target = Path(client.download_artifacts(run_id, "."))
    files = [path for path in target.rglob("*") if path.is_file()]
    assert sorted(path.read_text() for path in files) == sorted(
        ["file", "inside", large, large + "y"]
    )


def mlflow_text(session: Session, text: str, path: str) -> None:
    """Log a text through a session."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "text"
        file.write_text(text)
        session.artifacts([(file, path)])


def test_a_run_id_from_outside_is_never_a_path(tmp_path: Path) -> None:
    """What is no run id is refused before anything is written."""
    before = set(tmp_path.rglob("*"))
    for text in ("../../../victim", "", "/etc", "x\nRun-Id: 1"):
        with pytest.raises(UsageError):
            mlflow.MlflowClient().log_metric(text, "m", 1.0)
    with pytest.raises(UsageError):
        mlflow.start_run(parent_run_id="x\nRun-Id: 1")
    assert set(tmp_path.rglob("*")) == before


def test_before_the_first_commit_the_script_is_recorded(tmp_path: Path) -> None:
    """A new repository has no commit to stand on; the run holds the code all the same."""
    new = tmp_path / "new"
    subprocess.run(("git", "init", "--quiet", str(new)), check=True)
    (new / "helper.py").write_text("x = 1\n")
    script = "import gitml, helper\nwith gitml.start_run():\n    gitml.log_metric('m', 1)\n"
    (new / "train.py").write_text(script)
    subprocess.run((sys.executable, "train.py"), cwd=new, check=True)
    shown = subprocess.run(
        ("git", "show", "gitml/runs^2:train.py"), cwd=new, check=True, capture_output=True
    )
    assert shown.stdout.decode() == script


def test_runs_of_a_renamed_experiment_stay_together() -> None:
    """A run that is started by the id, or after the rename, has the experiment's first id."""
    made = mlflow.set_experiment("before").experiment_id
    with mlflow.start_run():
        pass
    mlflow.MlflowClient().rename_experiment(made, "after")
    with mlflow.start_run():
        pass
    with mlflow.start_run(experiment_id=made):
        pass
    found = mlflow.search_runs(experiment_names=["after"], output_format="list")
    assert {run.info.experiment_id for run in found} == {made}
    assert len(found) == 3
