"""GitHub's workflow that trains, executed: from a start by hand to what is served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import released
from tests.clones import records
from tests.released import Team

TRAIN = """\
import sys

import pandas as pd

import gitml

number = int(sys.argv[1])


def predict(model_input):
    return [int(number)] * len(model_input)


with gitml.start_run(run_name=f"train-{number}"):
    gitml.log_metric("auc", number / 100)
    gitml.pyfunc.log_model(
        name="model", python_model=predict, pip_requirements=[],
        input_example=pd.DataFrame({"a": [1]}),
    )
"""
PROJECT = """\
name: churn
entry_points:
  main:
    parameters: {number: {type: int, default: 97}}
    command: python train.py {number}
"""


@pytest.fixture
def team(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A team with a project that CI trains, and proposes for production where it is good."""
    with released.standing(released.begun(tmp_path_factory), tmp_path / "team") as found:
        propose = {"model": "churn", "stage": "production", "if": ["metrics.auc >= 0.9"]}
        files = {"train.py": TRAIN, "MLproject": PROJECT}
        found.configure({"train": {"propose": propose}, "attest": True}, files)
        found.hub.lets_workflows_propose = True
        yield found


def test_what_ci_trains_is_recorded_proposed_and_served(team: Team) -> None:
    """The run is pushed by a job that runs no code of the project; people approve what follows."""
    team.hub.dispatch("gitml-train.yml")
    (train,) = team.runner.settle()
    assert train.results == dict.fromkeys(("train", "record", "propose"), "success"), train.log
    assert "train-97" in records(team.hub.bare)
    (tag,) = set(team.tags("churn@*")) - {"churn@v1.0.0", "churn@v2.0.0"}
    (pull,) = team.hub.pulls
    assert pull.author.login == "github-actions[bot]"
    assert team.hub.take() == []  # a workflow's request starts nothing until somebody says so
    team.hub.approve_runs()
    (check,) = team.runner.settle()
    assert check.results == {"check": "success", "comment": "success"}, check.log
    (sync,) = team.merge(pull.number)
    assert sync.result == "success", sync.log
    assert (team.tags(), team.served) == (["churn#production#1"], tag.partition("@")[2])


def test_the_clock_and_other_programs_train(team: Team) -> None:
    """By the timetable with the parameters of the project; by the API with those that it names."""
    team.configure({"train": {"schedule": "17 3 * * 1"}})
    trained = [it for it in team.runner.scheduled() if it.workflow.name == "gitml train"]
    assert [it.event.name for it in trained] == ["schedule"], trained
    assert "train-97" in records(team.hub.bare)
    team.hub.ask_from_outside("gitml-train", params="number=41")
    (asked,) = team.runner.settle()
    assert asked.results == {"train": "success", "record": "success"}, asked.log
    assert "train-41" in records(team.hub.bare)
    team.hub.ask_from_outside("something-else", params="number=42")
    assert team.runner.settle() == []


def test_what_a_person_has_trained_is_not_deployed_where_ci_attests(team: Team) -> None:
    """Nobody has attested it, so that the job ends before anything is deployed."""
    team.decide("v1.0.0")
    (sync,) = team.runner.settle()
    assert sync.results["deploy / deploy (production)"] == "failure"
    assert "no attestations found" in sync.log
    assert (team.tags(), team.served) == (["churn#production#1"], None)


def test_what_is_not_good_enough_is_recorded_only(team: Team) -> None:
    """The run is there for all to see; no version and no pull request comes of it."""
    team.hub.dispatch("gitml-train.yml", params="number=50")
    (train,) = team.runner.settle()
    assert train.results == dict.fromkeys(("train", "record", "propose"), "success"), train.log
    assert "train-50" in records(team.hub.bare)
    assert team.tags("churn@*") == ["churn@v1.0.0", "churn@v2.0.0"]
    assert team.hub.pulls == []


def test_a_training_can_not_write(team: Team) -> None:
    """The project's code has no token, whatever it tries; that it failed is recorded."""
    evil = "import subprocess\nfor ref in ('evil', 'HEAD:refs/heads/evil'):\n"
    evil += "    subprocess.run(['git', 'tag', '-f', 'evil'], check=True)\n"
    evil += "    subprocess.run(['git', 'push', 'origin', ref], check=True)\n"
    team.commit("Evil", {"train.py": evil})
    team.hub.take()
    before = team.hub.refs()
    team.hub.dispatch("gitml-train.yml")
    (train,) = team.runner.settle()
    assert train.results["train"] == "failure"
    changed = {ref for ref, commit in team.hub.refs().items() if before.get(ref) != commit}
    assert changed <= {"refs/heads/gitml/runs"}
    assert "could not read Username" in train.log or "403" in train.log
