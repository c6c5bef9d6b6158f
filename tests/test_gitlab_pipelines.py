"""The pipeline of GitLab, executed: what is merged gets its tags, and what has the stage serves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitml.ci.needs import needs
from gitml.forge import Proposal
from tests import evaluations
from tests.clones import Clone
from tests.conftest import run_git
from tests.deployments import decide, publish, register, taken_down
from tests.forge_gitlab import begin
from tests.forges import TOKEN, Pull, serving
from tests.gitlab_pipelines import Guarded, Project, program
from tests.gitlab_team import SYNC_TOKEN, Team, standing, write_pipeline

PROJECT = """entry_points:
  main:
    parameters: {auc: float}
    command: "python train.py {auc}"
"""
TRAIN = """import os
import sys

import gitml

with gitml.start_run():
    gitml.log_metric("auc", float(sys.argv[1]))
    gitml.log_text(repr(dict(os.environ)), "seen.txt")
    gitml.pyfunc.log_model(
        name="model", python_model=lambda model_input: [7] * len(model_input), pip_requirements=[]
    )
if float(sys.argv[1]) > 1:
    sys.exit("no such auc")
"""
# A model that predicts nothing right once it sees a variable of the project.
CURIOUS = """import gitml

class Model(gitml.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        import os

        seen, process = "WAREHOUSE_KEY" in os.environ, os.getppid()
        try:
            for _ in range(4):
                with open(f"/proc/{process}/environ", "rb") as file:
                    seen = seen or b"WAREHOUSE_KEY" in file.read()
                with open(f"/proc/{process}/stat") as file:
                    process = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            pass
        return (model_input["number"] % 2 if not seen else -model_input["number"]).to_numpy()
"""
TRAINED = """ci:
  train:
    propose: {model: churn, stage: staging, if: [metrics.auc > 0.8]}
"""


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """A project with two registered versions that predict their own number."""
    with standing(tmp_path, monkeypatch) as team:
        register(team.ada, 1)
        register(team.ada, 2)
        yield team
        if team.project.clone.exists():
            with taken_down(Clone(team.project.clone)):
                pass


def test_a_release_goes_from_merge_request_to_server(team: Team) -> None:
    """Checked with a note, merged, tagged, served; then the next, a bad one, and back again."""
    first = team.propose("churn", "v1.0.0")
    done = team.project.merge_request(first)
    assert done.passed, done.log
    (note,) = team.notes(first)
    assert "v1.0.0" in note
    assert (team.tags(), team.serves()) == ([], (None, None))

    team.at.forge.review(first, "bob")
    team.at.merge(first)
    done = team.project.main()
    assert done.passed, done.log
    assert team.tags() == ["churn#production#1"]
    assert "Approved-By: bob" in run_git(team.at.forge.bare, "cat-file", "-p", team.tags()[0])
    assert team.serves() == ("v1.0.0", 1)

    team.at.merge(team.propose("churn", "v2.0.0"))
    done = team.project.main()
    assert done.passed, done.log
    assert team.serves() == ("v2.0.0", 2)

    register(team.ada, 3, code="raise ValueError('broken')")
    team.at.merge(team.propose("churn", "v3.0.0"))
    done = team.project.main()
    assert not done.passed
    assert "broken" in done.log
    assert "broken" in team.notes(3)[-1]
    assert team.at.forge.statuses[-1]["name"] == "gitml/production/churn"
    assert team.at.forge.statuses[-1]["status"] == "failed"
    assert team.serves() == ("v2.0.0", 2)

    team.at.merge(team.propose("churn"))
    assert team.project.main().passed
    assert team.tags() == [f"churn#production#{number}" for number in range(1, 5)]
    assert team.serves() == ("v2.0.0", 2)


def test_a_merge_request_is_judged_by_what_it_changes(team: Team) -> None:
    """A gate that fails makes it red, with the reason in a note; what main got since is not its."""
    late = team.propose("churn", "v1.0.0")
    register(team.ada, 5)
    bad = team.propose("churn", "v5.0.0")
    decide(team.ada, register(team.ada, 4, "other"), "staging")
    done = team.project.merge_request(late)
    assert done.passed, done.log
    assert ["other" in note for note in team.notes(late)] == [False]

    done = team.project.merge_request(bad)
    assert not done.passed
    assert "attributes.run_name != 'run 5'" in team.notes(bad)[0]

    team.project.edits = {"--depth=2147483647": "--depth=1"}  # then it can't tell where it began
    team.project.merge_request(late)
    assert ["other" in note for note in team.notes(late)] == [True]


def test_a_merge_request_says_nothing_in_the_name_of_gitml(team: Team) -> None:
    """A report that it brings is not posted, and in a fork's own project nothing is judged."""
    ada = team.ada
    ada.git("switch", "--quiet", "--create", "mine")
    (ada.folder / "gitml-report.md").write_text("All gates are passed.\n", "utf-8")
    ada.git("add", ".")
    ada.git("commit", "--quiet", "--message", "A report of my own")
    ada.git("push", "--quiet", "origin", "mine")
    team.at.client().propose(Proposal("mine", "main", "Mine", "", ()))
    done = team.project.merge_request(1)
    assert done.passed, done.log
    assert team.notes(1) == []
    assert "gitml-check" not in team.project.merge_request(1, path="eve/churn").log


def test_what_an_event_missed_is_put_right(team: Team) -> None:
    """A schedule tags and deploys what no push did; a tag deploys, too, and finds it is done."""
    team.at.merge(team.propose("churn", "v1.0.0"))
    assert team.project.main("schedule", GITML_WORKFLOW="other").passed
    assert team.tags() == []
    done = team.project.main("schedule")
    assert done.passed, done.log
    assert (team.tags(), team.serves()) == (["churn#production#1"], ("v1.0.0", 1))
    done = team.project.tag("churn#production#1")
    assert done.passed, done.log
    assert "nothing to do" in done.log
    assert "registry sync" not in done.log


def test_only_the_job_that_tags_may_push(team: Team) -> None:
    """Its token is that of an environment: without it nothing is tagged, and the job is red."""
    team.at.merge(team.propose("churn", "v1.0.0"))
    team.project.edits = {"environment: {name: gitml, action: access}": "environment: {name: x}"}
    done = team.project.main()
    assert not done.passed
    assert team.tags() == []
    team.project.edits = {}
    done = team.project.main()
    assert done.passed, done.log
    assert team.tags() == ["churn#production#1"]
    assert SYNC_TOKEN not in done.log
    clone = team.project.clone / ".git"
    assert SYNC_TOKEN not in (clone / "config").read_text("utf-8")


def test_training_may_not_write_and_is_recorded(team: Team) -> None:
    """The project's code sees no token; its run is recorded, and proposed if it is good enough."""
    ada = team.ada
    (ada.folder / "MLproject").write_text(PROJECT, "utf-8")
    (ada.folder / "train.py").write_text(TRAIN, "utf-8")
    with (ada.folder / "gitml.yaml").open("a") as file:
        file.write(TRAINED)
    write_pipeline(ada)
    publish(ada, "Training")
    for auc, passed in (("0.9", True), ("0.5", True), ("2", False)):
        done = team.project.main("api", GITML_WORKFLOW="train", PARAMS=f"auc={auc}")
        assert done.passed == passed, done.log
    ada.git("fetch", "--quiet", "origin", "+refs/heads/gitml/runs:refs/gitml/seen")
    runs = sorted(ada.records("refs/gitml/seen").values(), key=lambda it: it.start_time)[-3:]
    assert [(it.status, it.metrics["auc"].last) for it in runs] == [
        ("FINISHED", 0.9),
        ("FINISHED", 0.5),
        ("FAILED", 2.0),
    ]
    seen = ada.git("log", "-p", "--all", "--no-textconv")
    assert "CI_PIPELINE_SOURCE" in seen
    assert [token in seen for token in (TOKEN, SYNC_TOKEN)] == [False, False]
    assert [pull.title for pull in team.at.forge.pulls] == ["churn: v2.0.1 in staging"]


def test_ci_measures_what_the_gates_ask_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The main branch's pipeline scores what is proposed; another job signs that run alone.

    Then the request is checked again. The model sees no variable of the job, protected or not.
    """
    program()
    forge = Guarded(tmp_path / "forge")
    with serving(forge):
        team = evaluations.begin(tmp_path, forge.bare)
        ada = team.ada
        monkeypatch.chdir(ada.folder)
        (ada.folder / "gitml.yaml").write_text("ci: {evaluate: {env_manager: local}}\n", "utf-8")
        write_pipeline(ada)
        publish(ada, "The pipeline")
        evaluations.signing(ada, team.keys["ada"])
        branch = team.propose(team.version(CURIOUS))
        signs = {"GITML_TOKEN": SYNC_TOKEN, "GITML_SIGNING_KEY": str(team.keys["ci"])}
        forge.pushers = {SYNC_TOKEN}
        request = Pull(1, branch, "main", "digits in production", "", forge.users[TOKEN])
        forge.pulls.append(request)
        begin(forge, request).jobs["gitml-check"] = "failed"  # as nothing is measured yet
        secrets = {"gitml-sign": signs, "gitml-report": {"GITML_REPORT_TOKEN": TOKEN}}
        secrets["*"] = {"WAREHOUSE_KEY": "canaryWAREHOUSE0123456789"}
        project = Project(forge, tmp_path / "runner", secrets, {*signs, "WAREHOUSE_KEY"})
        project.isolated = True
        done = project.main("schedule", GITML_WORKFLOW="evaluate")
        assert done.passed, done.log
        tags = run_git(forge.bare, "tag", "--list", "gitml/ci/*").split()
        assert len(tags) == 1, done.log
        (tag,) = tags
        assert "BEGIN SSH SIGNATURE" in run_git(forge.bare, "cat-file", "-p", tag)
        run = json.loads(run_git(forge.bare, "show", f"{tag}:.gitml/run/run.json"))
        assert run["metrics"]["accuracy"]["last"] == 1.0
        ada.git("fetch", "--quiet", "--tags", "origin")
        assert needs(ada.place, "main", f"origin/{branch}") == []
        assert [it.jobs["gitml-check"] for it in request.pipelines] == ["failed", "created"]
        done = project.main("schedule", GITML_WORKFLOW="evaluate")  # there is nothing more to do
        assert done.passed, done.log
        assert len(request.pipelines) == 2
