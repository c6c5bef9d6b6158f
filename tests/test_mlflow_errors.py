"""Errors as MLflow's users handle them; the codes are those of MLflow 3.17.2."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gitml as mlflow
from gitml.errors import FormatError, GitError, MissingFileError, StorageError
from gitml.exceptions import MlflowException, RestException
from gitml.tracking import MlflowClient

pytestmark = pytest.mark.usefixtures("new_script")

NOBODY = "0192f0a1b2c37d4e8f9a0b1c2d3e4f50"


def fail(call: Callable[[], Any]) -> MlflowException:
    """The error that a call ends with."""
    with pytest.raises(MlflowException) as raised:
        call()
    return raised.value


def test_an_error_has_mlflows_code() -> None:
    """What there is not, what there is already, and what is wrong can be told apart."""
    client = MlflowClient()
    taken = client.create_experiment("taken")
    with mlflow.start_run() as run:
        mlflow.log_param("a", 1)
    run_id = run.info.run_id
    cases: dict[str, list[Callable[[], Any]]] = {
        "RESOURCE_DOES_NOT_EXIST": [
            lambda: mlflow.get_run(NOBODY),
            lambda: mlflow.get_run("no run id"),
            lambda: mlflow.start_run(run_id=NOBODY),
            lambda: mlflow.get_experiment("nothing"),
            lambda: client.delete_experiment("nothing"),
            lambda: client.set_tag(NOBODY, "a", 1),
            lambda: client.delete_run(NOBODY),
            lambda: client.delete_tag(run_id, "nothing"),
            lambda: client.delete_experiment_tag(taken, "nothing"),
            lambda: client.download_artifacts(run_id, "nothing"),
            lambda: mlflow.artifacts.load_text(f"runs:/{run_id}/nothing"),
        ],
        "RESOURCE_ALREADY_EXISTS": [
            lambda: mlflow.create_experiment("taken"),
            lambda: client.rename_experiment(client.create_experiment("other"), "taken"),
        ],
        "INVALID_PARAMETER_VALUE": [
            lambda: client.log_param(run_id, "a", 2),
            lambda: client.log_metric(run_id, "a", "half"),  # type: ignore[arg-type]
            lambda: client.search_runs([taken], "metrics.loss ="),
            lambda: client.set_terminated(run_id, "DONE"),
        ],
    }
    status = {"RESOURCE_DOES_NOT_EXIST": 404}
    for code, calls in cases.items():
        for call in calls:
            error = fail(call)
            assert (error.error_code, error.message) == (code, str(error))
            assert error.get_http_status_code() == status.get(code, 400)
            found = json.loads(error.serialize_as_json())
            assert found == {"error_code": code, "message": error.message}


def test_an_error_of_the_repository_is_internal() -> None:
    """What is no fault of the caller's is what a server would call an internal error."""
    for error in (GitError("git failed", stderr="x"), StorageError("full"), FormatError("damaged")):
        assert error.error_code == "INTERNAL_ERROR"
        assert error.get_http_status_code() == 500


def test_a_script_may_raise_errors_of_its_own() -> None:
    """The constructor takes MLflow's arguments; an error survives its way between processes."""
    made = MlflowException("gone", error_code="RESOURCE_DOES_NOT_EXIST", run="a")
    wrong = MlflowException.invalid_parameter_value("no", key="b")
    assert (wrong.error_code, json.loads(wrong.serialize_as_json())["key"]) == (
        "INVALID_PARAMETER_VALUE",
        "b",
    )
    assert MlflowException(ValueError("inside")).message == "inside"
    assert MlflowException("plain", 5).error_code == "INTERNAL_ERROR"
    for error in (made, GitError("git", returncode=3, stderr="x"), MissingFileError("no file")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert vars(again) == vars(error)
        assert again.serialize_as_json() == error.serialize_as_json()
    with pytest.raises(RestException, match="gone"):
        raise made


def test_a_missing_file_is_caught_as_one(tmp_path: Path) -> None:
    """`except FileNotFoundError` and `except MlflowException` both see it."""
    with mlflow.start_run():
        for kind in (FileNotFoundError, OSError, MlflowException):
            with pytest.raises(kind, match="there is no file"):
                mlflow.log_artifact(tmp_path / "nothing.txt")
