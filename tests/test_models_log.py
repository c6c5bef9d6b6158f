"""Logging models to runs, and loading them from there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import gitml
import gitml.pyfunc
import gitml.sklearn
from gitml.errors import StorageError, UsageError
from gitml.models import infer_signature
from gitml.models.digest import digest_of_folder
from gitml.models.trust import UntrustedModelError
from tests.cli import Caller
from tests.conftest import Git, new_repository, run_git


@pytest.fixture
def iris() -> tuple[Any, Any, Any]:
    """Columns, targets and a model that was fitted to them."""
    inputs, targets = load_iris(return_X_y=True, as_frame=True)
    return inputs, targets, LogisticRegression(max_iter=500).fit(inputs, targets)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


def test_a_model_is_a_unit_of_the_run(repo: Path, iris: tuple[Any, Any, Any]) -> None:
    """Its files are artifacts, and the run's record says what it is."""
    inputs, _, model = iris
    with gitml.start_run() as run:
        info = gitml.sklearn.log_model(
            model, name="nets/model", signature=infer_signature(inputs, model.predict(inputs))
        )
    run_id = run.info.run_id
    assert info.model_uri == f"runs:/{run_id}/nets/model"
    assert (info.run_id, info.name, info.artifact_path) == (run_id, "nets/model", "nets/model")
    assert info.flavors.keys() == {"python_function", "sklearn"}
    record = gitml.get_run(run_id).record
    entry = record.models["nets/model"]
    assert entry["flavors"] == ["python_function", "sklearn"]
    assert entry["signature"]["inputs"][0]["name"] == "sepal length (cm)"
    assert entry["versions"].keys() >= {"python", "sklearn"}
    folder = gitml.artifacts.download_artifacts(info.model_uri)
    assert entry["digest"] == digest_of_folder(Path(folder))
    assert entry["size"] == sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file())


def test_a_large_model_goes_to_dvc(repo: Path, git: Git) -> None:
    """One pointer stands for it, and what it is can be read in git all the same."""
    inputs, targets = load_iris(return_X_y=True)
    with gitml.start_run() as run:
        gitml.sklearn.log_model(RandomForestClassifier(100).fit(inputs, targets), name="model")
    files = git("ls-tree", "-r", "--name-only", "gitml/runs").split()
    assert [Path(name).name for name in files if "artifacts" in name] == ["model.dvc"]
    assert gitml.get_run(run.info.run_id).record.models["model"]["digest"].startswith("sha256:")
    assert gitml.sklearn.load_model(f"runs:/{run.info.run_id}/model").n_estimators == 100


def test_a_run_of_this_repository_is_trusted(repo: Path, iris: tuple[Any, Any, Any]) -> None:
    """Its models are loaded without a word, live and recorded; a copy of the folder is not."""
    inputs, _, model = iris
    with gitml.start_run():
        info = gitml.sklearn.log_model(model, name="model")
        assert gitml.sklearn.load_model(info.model_uri) is not None
    loaded = gitml.pyfunc.load_model("runs:/latest/model")
    assert np.array_equal(loaded.predict(inputs), model.predict(inputs))
    assert loaded.source.run_id == info.run_id
    copy = repo.parent / "copy"
    shutil.copytree(gitml.artifacts.download_artifacts(info.model_uri), copy)
    with pytest.raises(UntrustedModelError):
        gitml.sklearn.load_model(copy)


@pytest.mark.parametrize("remote", ["origin", "fork"])
def test_a_run_of_a_fork_that_was_fetched_is_a_strangers(
    repo: Path, bare: Path, iris: tuple[Any, Any, Any], new_script: None, remote: str
) -> None:
    """What is in the repository's own remote is trusted; what somebody fetched to look at is not.

    It is seen and listed all the same.
    """
    with gitml.start_run():
        info = gitml.sklearn.log_model(iris[2], name="model")
    mine = new_repository(repo.parent / "mine")
    run_git(mine, "remote", "add", "origin", str(bare))
    run_git(
        mine, "remote", *(["add", remote] if remote == "fork" else ["set-url", remote]), str(repo)
    )
    run_git(mine, "fetch", "--quiet", remote)
    gitml.set_tracking_uri(mine)
    assert gitml.get_run(info.run_id).info.run_id == info.run_id
    if remote == "origin":
        assert gitml.sklearn.load_model(info.model_uri) is not None
        return
    for load in (gitml.sklearn.load_model, gitml.pyfunc.load_model):
        with pytest.raises(UntrustedModelError, match="can run code of whoever made it"):
            load(info.model_uri)
    assert gitml.sklearn.load_model(info.model_uri, allow_code=True) is not None
    with gitml.start_run():  # a ledger of its own makes no difference
        own = gitml.sklearn.log_model(iris[2], name="model")
    assert gitml.sklearn.load_model(own.model_uri) is not None
    with pytest.raises(UntrustedModelError):
        gitml.sklearn.load_model(info.model_uri)


def test_a_model_is_replaced_whole(repo: Path, iris: tuple[Any, Any, Any]) -> None:
    """Logged again at its path, it has the files of the last time only; after a resume too."""
    with gitml.start_run() as run:
        gitml.sklearn.log_model(iris[2], name="model")
        gitml.sklearn.log_model(iris[2], name="model", serialization_format="skops")
    uri = f"runs:/{run.info.run_id}/model"
    names = [item.path for item in gitml.artifacts.list_artifacts(uri)]
    assert "model/model.skops" in names
    assert "model/model.pkl" not in names
    with gitml.start_run(run_id=run.info.run_id):
        gitml.sklearn.log_model(iris[2], name="model")
    names = [item.path for item in gitml.artifacts.list_artifacts(uri)]
    assert "model/model.skops" not in names
    assert gitml.sklearn.load_model(uri) is not None


def test_nothing_is_added_to_a_model(repo: Path, iris: tuple[Any, Any, Any]) -> None:
    """Its digest would not hold any more."""
    with gitml.start_run():
        gitml.sklearn.log_model(iris[2], name="model")
        with pytest.raises(UsageError, match="'model' is a logged model"):
            gitml.log_text("x", "model/notes.txt")
        gitml.log_text("x", "models/notes.txt")


def test_bytes_that_changed_are_not_loaded(
    repo: Path, iris: tuple[Any, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every load compares the digest, whatever the way that the bytes came."""
    with gitml.start_run():
        info = gitml.sklearn.log_model(iris[2], name="model")
    from gitml.tracking.fluent import fetches

    fetch = fetches.download_artifacts

    def tampered(*args: Any, **kwargs: Any) -> str:
        folder = fetch(*args, **kwargs)
        with (Path(folder) / "model.pkl").open("ab") as file:
            file.write(b".")
        return folder

    monkeypatch.setattr(fetches, "download_artifacts", tampered)
    with pytest.raises(StorageError, match="have the digest"):
        gitml.sklearn.load_model(info.model_uri)


def test_logging_starts_a_run(repo: Path, iris: tuple[Any, Any, Any]) -> None:
    """As every log call does; params go to the run, and old names are understood."""
    info = gitml.sklearn.log_model(iris[2], "model", params={"c": 1}, tags={"kind": "linear"})
    run = gitml.active_run()
    assert run is not None
    assert run.info.run_id == info.run_id
    gitml.end_run()
    recorded = gitml.get_run(info.run_id)
    assert recorded.data.params == {"c": "1"}
    assert recorded.record.models["model"]["tags"] == {"kind": "linear"}


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("runs:/latest/other", "logged no model at 'other'; it has: 'model'"),
        ("runs:/latest", "is not runs:/RUN/PATH"),
        ("runs:/nothing/model", "no run is called 'nothing'"),
        ("s3://bucket/model", "is no model URI"),
        ("models:/churn/1", "no model is registered as 'churn'"),
    ],
)
def test_uris_that_name_no_model(
    repo: Path, iris: tuple[Any, Any, Any], uri: str, message: str
) -> None:
    """Are refused in one line."""
    with gitml.start_run():
        gitml.sklearn.log_model(iris[2], name="model")
    with pytest.raises(UsageError) as refused:
        gitml.pyfunc.load_model(uri)
    assert message in str(refused.value)


def test_a_model_is_inspected(repo: Path, iris: tuple[Any, Any, Any], call: Caller) -> None:
    """What it is and what loading it would run, without loading it."""
    inputs, _, model = iris
    with gitml.start_run() as run:
        gitml.sklearn.log_model(model, name="model", input_example=inputs[:2])
    seen = call("models", "inspect", "runs:/latest/model", "--format", "json").json
    assert seen["run_id"] == run.info.run_id
    assert seen["trusted"] is seen["executes_code"] is True
    assert "sklearn.linear_model._logistic.LogisticRegression" in seen["imports"]
    assert [line.partition("==")[0] for line in seen["requirements"]][:2] == [
        "cloudpickle",
        "numpy",
    ]
    page = call("models", "inspect", "runs:/latest/model").out
    for text in ("model.pkl", "LogisticRegression", "sepal length (cm)", seen["digest"]):
        assert text in page
