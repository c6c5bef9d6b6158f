"""Experiments that are renamed, deleted or named in other ways; the answers are MLflow 3.17.2's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gitml as mlflow
from gitml.exceptions import MlflowException
from gitml.tracking import MlflowClient, changes, names, store
from gitml.tracking.fluent import experiments
from gitml.tracking.fluent.place import place
from gitml.tracking.record import RunRecord

pytestmark = pytest.mark.usefixtures("new_script")


def finished(**options: str) -> str:
    """The id of a run that was started with `options` and ended."""
    with mlflow.start_run(**options) as run:  # type: ignore[arg-type]
        return run.info.run_id


def record_of(run_id: str) -> RunRecord:
    """The record of a run."""
    return store.record(place(), run_id)


# -- names -----------------------------------------------------------------------------------


def test_the_name_of_a_renamed_experiment_is_free() -> None:
    """The renamed one keeps its id and its runs; the name makes another experiment."""
    client = MlflowClient()
    old = mlflow.set_experiment("s").experiment_id
    first = finished()
    client.rename_experiment(old, "s2")
    new = mlflow.set_experiment("s").experiment_id
    second = finished()
    assert new != old
    assert [mlflow.get_experiment(id).name for id in (old, new)] == ["s2", "s"]
    assert [record_of(run_id).experiment for run_id in (first, second)] == ["s2", "s"]
    assert list(mlflow.search_runs(experiment_names=["s"]).run_id) == [second]
    assert list(mlflow.search_runs(experiment_names=["s2"]).run_id) == [first]
    assert mlflow.set_experiment("s2").experiment_id == old
    with pytest.raises(MlflowException, match="another experiment"):
        client.rename_experiment(old, "s")
    client.rename_experiment(new, "s3")
    third = client.create_experiment("s")
    assert len({old, new, third}) == 3


def test_every_clone_makes_the_same_id_of_a_name() -> None:
    """Which id comes when the first one is taken follows from the name alone."""
    ids = [names.experiment_id("s", number) for number in range(4)]
    assert ids[0] == "s"
    assert len(set(ids)) == 4
    assert ids[1] == "s-c232da6a"  # printf "s\n1" | sha256sum
    for id in ids:
        assert names.check_component(id) == id


def test_another_process_finds_a_renamed_experiment(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the settings name it as it is called now, or it was set before it was renamed."""
    old = mlflow.set_experiment("before").experiment_id
    code = (
        "import gitml; gitml.MlflowClient().rename_experiment('before', 'after')\n"
        "with gitml.start_run(): pass"
    )
    monkeypatch.setenv("GITML_EXPERIMENT_NAME", "after")
    subprocess.run((sys.executable, "-c", code), cwd=repo, check=True)
    store._identified.clear()  # some seconds have gone by
    finished()
    found = mlflow.search_runs(experiment_names=["after"], output_format="list")
    assert [run.info.experiment_id for run in found] == [old, old]
    assert experiments.current(place()).name == "after"


def test_a_text_is_one_experiment() -> None:
    """`search_runs(experiment.experiment_id)` forgets the list, as scripts do."""
    client = MlflowClient()
    experiment = mlflow.set_experiment("one of them")
    run_id = finished()
    for found in (
        mlflow.search_runs(experiment.experiment_id, output_format="list"),
        mlflow.search_runs(experiment_ids=experiment.experiment_id, output_format="list"),
        mlflow.search_runs(experiment_names="one of them", output_format="list"),
        client.search_runs(experiment.experiment_id),
        client.search_runs(experiment_ids=experiment.experiment_id),
    ):
        assert [run.info.run_id for run in found] == [run_id]
    assert client.search_runs("0") == []


# -- deletion --------------------------------------------------------------------------------


def test_a_deleted_experiment_takes_no_runs() -> None:
    """However it is chosen; once it is restored it does again."""
    gone = mlflow.set_experiment("gone").experiment_id
    finished()
    mlflow.delete_experiment(gone)
    for options in ({}, {"experiment_id": gone}, {"experiment_name": "gone"}):
        with pytest.raises(MlflowException, match="'gone' is deleted"):
            finished(**options)
    with pytest.raises(MlflowException, match="deleted"):
        MlflowClient().create_run(gone)
    assert mlflow.active_run() is None
    MlflowClient().restore_experiment(gone)
    assert record_of(finished()).experiment_id == gone


def test_the_runs_of_a_deleted_experiment_count_as_deleted() -> None:
    """They are not listed, say so themselves, and take nothing, until it is restored."""
    gone, client = mlflow.set_experiment("gone").experiment_id, MlflowClient()
    run_id = finished()
    mlflow.delete_experiment(gone)
    assert mlflow.get_run(run_id).info.lifecycle_stage == "deleted"
    assert client.search_runs([gone]) == []
    [listed] = client.search_runs([gone], run_view_type=2)
    assert listed.info.lifecycle_stage == "deleted"
    for call in (
        lambda: client.log_metric(run_id, "a", 1),
        lambda: mlflow.start_run(run_id=run_id),
    ):
        with pytest.raises(MlflowException, match=r"experiment 'gone' of run .* is deleted"):
            call()
    client.restore_experiment(gone)
    assert mlflow.get_run(run_id).info.lifecycle_stage == "active"
    client.log_metric(run_id, "a", 1)
    changes.delete(place(), [run_id])
    assert mlflow.get_run(run_id).info.lifecycle_stage == "deleted"
    with pytest.raises(MlflowException, match="gitml runs restore"):
        client.log_metric(run_id, "a", 2)


def test_a_training_starts_though_the_ledger_can_not_be_read(repo: Path) -> None:
    """What the experiment is called today is not worth a training."""
    finished()
    head = repo / ".git" / "refs" / "heads" / "gitml" / "runs"
    head.write_text("1" * 40 + "\n", encoding="ascii")
    store._identified.clear()
    found = store.identify(place(), "default")
    assert (found.id, found.deleted) == ("default", False)


# -- the environment -------------------------------------------------------------------------


def test_variables_that_do_nothing_are_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set for MLflow and not read is said at the first run, with what to use instead."""
    values = {
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
        "MLFLOW_EXPERIMENT_ID": "3",
        "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true",
        "MLFLOW_RUN_CONTEXT": '{"a": "b"}',
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.warns(UserWarning, match="does not read") as warned:
        finished()
    [text] = [str(item.message) for item in warned]
    assert all(name in text for name in values)
    assert all(word in text for word in ("GITML_REPO", "GITML_EXPERIMENT_NAME", "gitml.yaml"))
    finished()  # without a warning, which would be an error


def test_variables_that_change_nothing_are_not_worth_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A folder as the tracking URI, and system metrics that are off, are as MLflow has them."""
    for uri in ("./mlruns", "file:///tmp/mlruns", "", "mlruns"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
        finished()
