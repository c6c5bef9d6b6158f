"""The example projects run as they are, in this Python, on little data."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from gitml import validate
from tests import projects
from tests.conftest import Git, framework, new_repository

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the commands are bash's"),
]

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
LOCAL = ("--env-manager", "local")


@pytest.fixture
def examples(repo: Path, git: Git) -> Path:
    """The examples, committed in a repository."""
    for source in EXAMPLES.glob("*/MLproject"):
        shutil.copytree(
            source.parent, repo / source.parent.name, ignore=shutil.ignore_patterns("__pycache__")
        )
    git("add", ".")
    git("commit", "--quiet", "-m", "examples")
    return repo


def test_scikit_learn(examples: Path) -> None:
    """The script goes on with the run, and logs the same params as numbers."""
    projects.gitml("run", "sklearn", "-P", "alpha=2e-1", *LOCAL)
    (run,) = projects.runs(examples)
    assert run.params == {"alpha": 0.2, "l1_ratio": 0.5}
    assert run.param_conflicts == {}
    assert run.metrics.keys() >= {"rmse", "mae", "r2"}
    assert "model" in run.models
    assert run.source.name == "sklearn"


def test_xgboost(examples: Path) -> None:
    """Autologging writes to the project's run."""
    projects.gitml("run", "xgboost", "-P", "rounds=3", *LOCAL)
    (run,) = projects.runs(examples)
    assert run.metrics["accuracy"].last > 0.8
    assert run.metrics["train-mlogloss"].count == 3
    assert "model" in run.models


def test_a_workflow_of_several_steps(examples: Path) -> None:
    """Steps are runs below the workflow's; a step that was run before is not run again."""
    projects.gitml("run", "multistep", "-P", "rows=100", *LOCAL)
    outer, load, prepare, train = projects.runs(examples)
    assert {step.parent_run for step in (load, prepare, train)} == {outer.run_id}
    assert [step.name for step in (load, prepare, train)] == ["load", "prepare", "train"]
    assert prepare.params == {"raw": f"runs:/{load.run_id}/raw.csv"}
    assert outer.metrics["r2"].last == train.metrics["r2"].last
    assert outer.tags["model"] == f"runs:/{train.run_id}/model"
    done = projects.gitml("run", "multistep", "-P", "rows=100", "-P", "alpha=0.9", *LOCAL)
    assert f"prepare: as in run {prepare.run_id[-8:]}".encode() in done.stdout
    assert len(projects.runs(examples)) == 6
    again = projects.gitml("runs", "reproduce", outer.run_id)
    assert b"as in run" not in again.stdout  # it tells whether the same comes of all of it
    assert len(projects.runs(examples)) == 10


def test_a_search_for_parameters(examples: Path) -> None:
    """The trainings are runs below the search's, some at once."""
    projects.gitml("run", "hyperparam", "-P", "tries=3", *LOCAL)
    search, *trainings = projects.runs(examples)
    assert len(trainings) == 3
    assert {training.parent_run for training in trainings} == {search.run_id}
    best = max(trainings, key=lambda training: training.metrics["accuracy"].last)
    assert search.tags["best_run"] == best.run_id


def test_a_sweep_of_the_trainings_of_that_search(examples: Path) -> None:
    """The same entry point, without the program around it."""
    framework("optuna")
    space = ("-P", "gamma=1e-4,1e-3", "-P", "c=1..10")
    projects.gitml(
        *("sweep", "hyperparam", "-e", "train", *space, "--max-runs", "2"),
        *("--metric", "accuracy", "--goal", "maximize", *LOCAL),
    )
    sweep, *trainings = projects.runs(examples)
    assert [training.parent_run for training in trainings] == [sweep.run_id] * 2
    best = max(trainings, key=lambda training: training.metrics["accuracy"].last)
    assert sweep.tags["gitml.sweep.best"] == best.run_id


def test_an_example_from_its_repository(examples: Path, tmp_path: Path, git: Git) -> None:
    """A workflow works from a git URL too: its steps run in the same checkout."""
    mine = new_repository(tmp_path / "mine")
    url = f"{examples.as_uri()}#multistep"
    projects.gitml("run", url, "-P", "rows=100", "--yes", *LOCAL, cwd=mine)
    outer, *steps = projects.runs(mine)
    assert [step.parent_run for step in steps] == [outer.run_id] * 3
    assert {step.code.commit for step in steps} == {outer.code.commit}
    assert projects.runs(examples) == []


@pytest.mark.parametrize("path", EXAMPLES.glob("*/MLproject"), ids=lambda path: path.parent.name)
def test_the_files_of_an_example_are_valid(path: Path) -> None:
    """As `gitml validate` sees them."""
    assert validate.validate(path.parent) == []
