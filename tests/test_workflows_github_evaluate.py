"""GitHub's workflow that measures, executed: what CI has scored decides, not what is claimed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gitml.registry import promoting
from tests import released
from tests.actions.hub import App
from tests.actions.runner import Environment
from tests.conftest import run_git
from tests.evaluations import pointer
from tests.released import Team
from tests.signing import key_of, signing

GATE = {"entry_point": "score", "dataset": "holdout.csv", "metrics": ["metrics.hits >= 0.9"]}
POLICY = {
    "schema": 1,
    "ci": {"signers": ["ci@example.org"]},
    "gates": {"production": ["metrics.auc >= 0.9", {"evaluate": GATE}]},
}
PROJECT = """\
name: churn
entry_points:
  score:
    parameters: {model: {type: string}, dataset: {type: path}}
    command: python score.py {model} {dataset}
"""
SCORE = """\
import sys

import gitml
import pandas

data = pandas.read_csv(sys.argv[2])
found = gitml.pyfunc.load_model(sys.argv[1]).predict(data[["a"]])
gitml.log_metric("hits", float((found == data["label"]).mean()))
"""
HOLDOUT = "a,label\n1,1\n2,1\n3,1\n"  # as version 1 says of every row, and version 2 does not


@pytest.fixture
def team(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A team whose policy asks for an evaluation, with environments that have the keys for it."""
    with released.standing(released.begun(tmp_path_factory), tmp_path / "team") as found:
        secret = tmp_path / "secret"
        (key, line), (adas, other) = key_of(tmp_path, "ci"), key_of(tmp_path, "ada")
        (found.ada.folder / "registry.yaml").write_text(yaml.safe_dump(POLICY), "utf-8")
        file = found.ada.folder / "gitml.yaml"
        told = yaml.safe_load(file.read_bytes())
        told["ci"]["evaluate"] = {"env_manager": "local"}
        file.write_text(yaml.safe_dump(told), "utf-8")
        released.write_workflows(found.ada)
        (found.ada.folder / "registry").mkdir(exist_ok=True)
        (found.ada.folder / ".dvc").mkdir(exist_ok=True)
        with (found.ada.folder / ".dvc" / "config").open("a") as config:
            config.write(f"['remote \"secret\"']\n    url = {secret}\n")
        files = {"MLproject": PROJECT, "score.py": SCORE, "registry/allowed_signers": line + other}
        files |= {"holdout.csv.dvc": pointer(secret, HOLDOUT, "holdout.csv")}
        found.commit("Measure by CI", files)
        sign_versions(found, adas)
        found.hub.take()
        main = ("main",)
        found.runner.environments["gitml-evaluate"] = Environment(branches=main)
        found.runner.environments["gitml-sign"] = Environment(
            branches=main, secrets={"GITML_SIGNING_KEY": key.read_text()}
        )
        yield found


def sign_versions(team: Team, key: Path) -> None:
    """Have ada's versions as if she had signed them when she registered them."""
    signing(team.ada, key)
    for tag in team.tags("*@v*"):
        text = team.ada.git("for-each-ref", "--format=%(contents)", f"refs/tags/{tag}") + "\n"
        commit = team.ada.git("rev-parse", f"{tag}^{{commit}}")
        team.ada.git("tag", "--force", "--sign", "--cleanup=verbatim", "-m", text, tag, commit)
        run_git(team.hub.bare, "fetch", "--quiet", str(team.ada.folder),
                f"+refs/tags/{tag}:refs/tags/{tag}")  # fmt: skip


def test_what_ci_has_measured_decides(team: Team) -> None:
    """The check asks for it and fails; once it is measured and signed it is made again.

    Of two versions of which the same is claimed, the one passes that CI has found to be so.
    """
    for version, passed, told in (
        ("v1.0.0", "success", "metrics.hits is 1, asked >= 0.9"),
        ("v2.0.0", "failure", "metrics.hits is 0, asked >= 0.9"),
    ):
        team.promote(version)
        check, measured, *more = team.runner.settle()
        assert len(more) == 1, measured.log
        (again,) = more
        assert (check.results["check"], check.results["ask"]) == ("failure", "success"), check.log
        assert "CI has recorded no such run" in check.jobs["check"].summary
        done = {"plan", "evaluate", "confirm", "again"}
        assert {name.split(" ")[0]: it for name, it in measured.results.items()} == {
            **dict.fromkeys(done, "success"), "reproduce": "skipped",
            "confirm_reproduction": "skipped",
        }, measured.log  # fmt: skip
        assert (again.results["check"], again.results["ask"]) == (passed, "skipped"), again.log
        assert told in again.jobs["check"].summary
    assert len(team.tags("gitml/ci/*")) == 2


APP = App("Iv1", "canary-of-the-app", dict.fromkeys(("contents", "workflows"), "write"))
LOGIN = "name: Log in\nruns:\n  using: composite\n  steps: [{shell: bash, run: 'true'}]\n"


@pytest.mark.parametrize("form", ["app", "oidc"])
def test_however_ci_shows_itself_it_records_and_signs(team: Team, form: str) -> None:
    """The job that signs pushes as the app, or logs in first; by what it made the check passes."""
    team.hub.app = APP
    team.runner.variables["GITML_APP_CLIENT_ID"] = APP.client_id
    team.runner.secrets["GITML_APP_KEY"] = APP.key
    team.configure({form: True}, {".github/actions/gitml-login/action.yml": LOGIN})
    team.promote("v1.0.0")
    _, measured, again = team.runner.settle()
    assert measured.result == "success", measured.log
    assert again.results["check"] == "success", again.log
    assert len(team.tags("gitml/ci/*")) == 1


def test_for_a_fork_nothing_is_measured(team: Team, tmp_path: Path) -> None:
    """Its check says that CI has measured nothing, starts no workflow, and so does not pass."""
    mallory = team.hub.clone(tmp_path / "mallory")
    mallory.git("fetch", "--quiet", "origin", "refs/tags/*:refs/tags/*")
    promoting.promote(mallory.place, "churn", "production", "v1.0.0")
    mallory.git("fetch", "--quiet", "origin")
    mallory.git("checkout", "--quiet", "origin/promote/churn/production/v1.0.0")
    team.hub.take()
    team.hub.propose_from_fork(mallory, "A better model")
    (check,) = team.runner.settle()
    assert check.results == {"check": "failure", "comment": "skipped", "ask": "skipped"}, check.log
    assert "CI has recorded no such run" in check.jobs["check"].summary
    assert team.tags("gitml/ci/*") == []


def test_a_review_takes_no_measurement_away(team: Team) -> None:
    """Anybody's review takes the place of the check that runs; what that would have asked is asked.

    Once: where CI has measured, a later review starts nothing.
    """
    number = team.promote("v1.0.0")
    team.hub.review(number, "stranger", "COMMENTED")
    runs = team.runner.settle()
    assert [(run.event.name, run.result) for run in runs] == [
        ("pull_request", "cancelled"),
        ("pull_request_review", "failure"),
        ("workflow_dispatch", "success"),
        ("pull_request_review", "success"),
    ], runs[1].log
    assert len(team.tags("gitml/ci/*")) == 1
    team.hub.review(number, "stranger", "COMMENTED")
    (check,) = team.runner.settle()
    assert check.results["check"] == "success", check.log


def test_no_pull_request_has_the_keys(team: Team) -> None:
    """One that edits the workflows starts jobs of its own, and gets neither key nor holdout."""
    number = team.promote("v2.0.0")
    team.runner.settle()
    branch = team.hub.pull(number).branch
    team.ada.git("fetch", "--quiet", "origin")
    team.ada.git("switch", "--quiet", branch)
    path = team.ada.folder / ".github/workflows/gitml-check.yml"
    told = yaml.safe_load(path.read_text("utf-8"))
    told["jobs"] = {
        name: {
            "runs-on": "ubuntu-latest", "timeout-minutes": 5, "environment": name,
            "steps": [{"env": {"KEY": "${{ secrets.GITML_SIGNING_KEY }}"},
                       "run": 'echo "stolen: $KEY" | base64'}],
        }
        for name in ("gitml-sign", "gitml-evaluate")
    }  # fmt: skip
    path.write_text(yaml.safe_dump({"on" if key is True else key: it for key, it in told.items()}))
    team.ada.git("commit", "--quiet", "--all", "--message", "Steal")
    team.ada.git("push", "--quiet", "origin", f"HEAD:{branch}")
    (stolen, *_) = team.runner.settle()
    assert set(stolen.results.values()) == {"failure"}
    assert "was not approved" in stolen.log
