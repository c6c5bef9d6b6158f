"""GitHub's workflows of gitml with a GitHub App, where a ruleset keeps tags from everybody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import released
from tests.actions.hub import App
from tests.conftest import run_git
from tests.released import Team

KEY = "canary-of-the-apps-key"


@pytest.fixture
def team(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A team whose workflows have an App, which alone may make tags."""
    with released.standing(released.begun(tmp_path_factory), tmp_path / "team") as found:
        found.configure({"app": True})
        rights = {"contents": "write", "workflows": "write", "pull-requests": "write"}
        found.hub.app = App("Iv1.churn", KEY, rights)
        found.runner.variables["GITML_APP_CLIENT_ID"] = "Iv1.churn"
        found.runner.secrets["GITML_APP_KEY"] = KEY
        found.hub.protect_tags()
        yield found


def test_the_app_makes_the_tag_and_both_roads_lead_to_one_deployment(team: Team) -> None:
    """Its tag is an event, so that the version is deployed by that and by the call: once in all."""
    team.decide("v1.0.0")
    runs = team.runner.settle()
    assert [(run.workflow.name, run.event.name, run.result) for run in runs] == [
        ("gitml sync", "push", "success"),
        ("gitml deploy", "push", "success"),
    ], "\n".join(run.log for run in runs)
    assert runs[1].event.ref == "refs/tags/churn#production#1"
    assert runs[1].event.actor == "gitml-app[bot]"
    assert (team.tags(), team.served) == (["churn#production#1"], "v1.0.0")
    assert sum(run.log.count("v1.0.0 deployed") for run in runs) == 1
    assert KEY not in "".join(run.log for run in runs)


def test_the_tag_alone_leads_to_the_deployment(team: Team) -> None:
    """An App's push starts workflows, which that of a workflow's own token does not."""
    path = ".github/workflows/gitml-sync.yml"
    text = (team.ada.folder / path).read_text("utf-8")
    nothing = "runs-on: ubuntu-latest\n    steps: [{run: echo deployed}]"
    text = text.replace("uses: ./.github/workflows/gitml-deploy.yml", nothing)
    team.commit("No call", {path: text})
    team.hub.take()
    team.decide("v1.0.0")
    _, deploy = team.runner.settle()
    assert (deploy.event.name, deploy.event.actor) == ("push", "gitml-app[bot]")
    assert (deploy.result, team.served) == ("success", "v1.0.0"), deploy.log
    by_token = text.replace("${{ steps.app.outputs.token }}", "${{ github.token }}")
    run_git(team.hub.bare, "config", "hub.ruleset", "false")
    text = by_token.replace("permissions: {contents: read", "permissions: {contents: write")
    assert text.count("contents: write") > 1
    team.commit("By its own token", {path: text})
    team.hub.take()
    team.decide("v2.0.0")
    (sync,) = team.runner.settle()
    assert sync.result == "success", sync.log
    assert (team.tags()[-1], team.served) == ("churn#production#2", "v1.0.0")


def test_nobody_else_can_make_such_a_tag(team: Team) -> None:
    """The ruleset refuses the push of a person who may write; without the App there is no tag."""
    team.ada.git("tag", "--annotate", "--message", "forged", "churn#production#1", "main")
    with pytest.raises(AssertionError, match="GH013"):
        team.ada.git("push", "--quiet", "origin", "churn#production#1")
    team.hub.app = None
    team.decide("v1.0.0")
    (sync,) = team.runner.settle()
    assert sync.results["sync"] == "failure"
    assert team.tags() == []
