"""What docs/coming-from-mlflow.md says is different or missing is so."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gitml as mlflow
from gitml.exceptions import MlflowException
from gitml.tracking import MlflowClient

PAGE = (Path(__file__).parent.parent / "docs" / "coming-from-mlflow.md").read_text("utf-8")
pytestmark = pytest.mark.usefixtures("new_script")


def finished(**options: Any) -> str:
    """The id of a run that was started with `options` and ended."""
    with mlflow.start_run(**options) as run:
        return run.info.run_id


MISSING = """
    initialize_logged_model create_external_model search_logged_models set_active_model
    last_logged_model import_checkpoints log_outputs evaluate models.evaluate models.set_signature
    models.get_model_info models.predict models.build_docker
    data.from_huggingface data.from_spark data.from_tensorflow data.load_delta login
""".split()


@pytest.mark.parametrize("name", MISSING)
def test_what_the_page_calls_missing_is(name: str) -> None:
    """It is named in the section, and is an error for a script at once."""
    section = PAGE.partition("## What gitml does not have")[2]
    assert re.search(rf"`{re.escape(name)}`", section)
    module, _, function = name.rpartition(".")
    place: Any = importlib.import_module(f"gitml.{module}") if module else mlflow
    with pytest.raises(AttributeError):
        getattr(place, function)


def test_runs() -> None:
    """URIs, statuses, tags and times of runs."""
    run_id = finished()
    client, run = MlflowClient(), mlflow.get_run(run_id)
    assert run.info.artifact_uri == f"runs:/{run_id}"
    assert mlflow.entities.RunStatus.FAILED == "FAILED"
    client.set_tag(run_id, "mlflow.user", "me")
    again = mlflow.get_run(run_id)
    assert (again.data.tags["mlflow.user"], again.info.user_id) == ("me", run.info.user_id)
    with pytest.raises(MlflowException, match="part of the run's record"):
        client.delete_tag(run_id, "mlflow.source.git.branch")
    assert mlflow.search_runs(experiment_ids=[], output_format="list") == []
    mlflow.delete_run(run_id)
    mlflow.delete_run(run_id)
    with pytest.raises(AttributeError):
        run.info.status = "FAILED"  # type: ignore[misc]


def test_live_runs() -> None:
    """A live run is not deleted; a wrong status ends it as FAILED; a given one stays."""
    run = mlflow.start_run()
    with pytest.raises(MlflowException, match="still running"):
        mlflow.delete_run(run.info.run_id)
    with pytest.raises(MlflowException):
        mlflow.end_run("BOGUS")
    assert mlflow.get_run(run.info.run_id).info.status == "FAILED"
    with mlflow.start_run() as run:
        MlflowClient().set_terminated(run.info.run_id, "KILLED")
        mlflow.log_param("later", 1)
    ended = mlflow.get_run(run.info.run_id)
    assert (ended.info.status, ended.data.params) == ("KILLED", {"later": "1"})


def test_experiments() -> None:
    """Their ids, their default, their times."""
    assert mlflow.search_experiments() == []
    assert mlflow.get_experiment("0").name == "default"
    made = mlflow.get_experiment(mlflow.create_experiment("churn"))
    assert made.experiment_id == "churn"
    mlflow.set_experiment("churn")
    mlflow.set_experiment_tag("a", "b")
    assert mlflow.get_experiment("churn").last_update_time == made.creation_time
    one = finished()
    mlflow.set_experiment("other")
    with mlflow.start_run(run_id=one) as resumed:
        assert resumed.info.experiment_id == "churn"


def test_artifacts(tmp_path: Path) -> None:
    """Empty folders go; names that a system can't hold are refused; only runs are read."""
    (tmp_path / "data" / "empty").mkdir(parents=True)
    (tmp_path / "data" / "a.txt").write_text("a")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(tmp_path / "data")
        for name in (".git/x", "aux.json", "a:b/../c:", "name."):
            with pytest.raises(MlflowException):
                mlflow.log_text("x", name)
    assert [it.path for it in mlflow.artifacts.list_artifacts(run_id=run.info.run_id)] == ["a.txt"]
    with pytest.raises(MlflowException):
        mlflow.artifacts.load_text(str(tmp_path / "data" / "a.txt"))


def test_datasets() -> None:
    """One dataset in two contexts is two inputs; digests are of all the data."""
    data = mlflow.data.from_numpy(np.arange(6.0))
    with mlflow.start_run() as run:
        mlflow.log_input(data, context="train")
        mlflow.log_input(data, context="eval")
    inputs = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    assert len(inputs) == 2
    assert len(data.digest) == 32
    assert isinstance(data.schema, dict)
