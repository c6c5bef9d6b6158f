"""GitHub's workflows of gitml, executed: what is live after each step, and which tags there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import released
from tests.conftest import run_git
from tests.released import Team


@pytest.fixture
def team(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A team with two versions, of which none is in a stage."""
    with released.standing(released.begun(tmp_path_factory), tmp_path / "team") as found:
        yield found


def test_a_release_from_a_pull_request_to_production(team: Team) -> None:
    """The check reports, merging makes the tag, and what the tag says is served; so it goes on."""
    number = team.promote("v1.0.0")
    (check,) = team.runner.settle()
    assert check.results == {"check": "success", "comment": "success"}, check.log
    assert "metrics.auc is 0.95, asked >= 0.9" in check.jobs["check"].summary
    (report,) = team.hub.pull(number).comments
    assert "`churn` `v1.0.0` in `production`" in report.body
    assert report.author.login == "github-actions[bot]"
    assert (team.tags(), team.served) == ([], None)
    (sync,) = team.merge(number)
    assert sync.result == "success", sync.log
    assert (team.tags(), team.served) == (["churn#production#1"], "v1.0.0")
    team.merge(team.promote("v2.0.0"))
    assert (team.tags()[-1], team.served) == ("churn#production#2", "v2.0.0")
    back = team.rollback()
    assert back != number
    team.merge(back)
    assert (team.tags()[-1], team.served) == ("churn#production#3", "v1.0.0")


def test_a_pull_request_without_a_model_is_let_through(team: Team) -> None:
    """The check passes, with nothing to report, to comment or to fetch beyond the checkout."""
    team.ada.git("switch", "--quiet", "--create", "notes")
    (team.ada.folder / "notes.md").write_text("Notes\n", "utf-8")
    team.ada.git("add", ".")
    team.ada.git("commit", "--quiet", "--message", "Notes")
    team.ada.git("push", "--quiet", "origin", "notes")
    team.hub.take()
    pull = team.hub.propose("notes", "Notes")
    (check,) = team.runner.settle()
    assert check.results == {"check": "success", "comment": "skipped"}, check.log
    assert (check.jobs["check"].summary, pull.comments) == ("", [])
    assert (team.tags(), team.served) == ([], None)


def test_a_version_that_is_not_good_enough_is_told_of(team: Team) -> None:
    """The check fails, and the comment tells why; a second push writes the same comment anew."""
    team.version(3, auc=0.5)
    number = team.promote("v3.0.0")
    (check,) = team.runner.settle()
    assert check.results == {"check": "failure", "comment": "success"}, check.log
    assert [kind for kind, _ in check.jobs["check"].annotations] == ["error"]
    (report,) = team.hub.pull(number).comments
    assert "metrics.auc is 0.5, asked >= 0.9" in report.body
    assert (team.tags(), team.served) == ([], None)


def test_a_change_that_is_taken_back_is_told_of(team: Team) -> None:
    """The comment does not go on to tell of a model that the request leaves alone by now."""
    number = team.promote("v1.0.0")
    team.runner.settle()
    team.ada.git("fetch", "--quiet", "origin")
    there = "origin/promote/churn/production/v1.0.0"
    back = ("commit-tree", "origin/main^{tree}", "-p", there, "-m", "Another time")
    team.ada.git("push", "--quiet", "origin", f"{team.ada.git(*back)}:refs/heads/{there[7:]}")
    (check,) = team.runner.settle()
    assert check.results == {"check": "success", "comment": "success"}, check.log
    (report,) = team.hub.pull(number).comments
    assert "No stage changes hands" in report.body


def test_a_version_that_does_not_serve_changes_nothing_that_is_live(team: Team) -> None:
    """It was promoted, its tag is there, and the one before goes on; the pull request says so."""
    team.decide("v1.0.0")
    team.runner.settle()
    team.version(3, code="raise ValueError('no luck')")
    team.decide("v3.0.0")
    (sync,) = team.runner.settle()
    assert sync.results["deploy / deploy (production)"] == "failure"
    assert "no luck" in sync.log
    assert "no luck" in team.hub.pulls[-1].comments[-1].body
    assert team.hub.statuses[-1]["state"] == "failure"
    assert (team.tags()[-1], team.served) == ("churn#production#2", "v1.0.0")
    team.merge(team.rollback())
    assert (team.tags()[-1], team.served) == ("churn#production#3", "v1.0.0")


def test_an_approval_lets_the_check_pass(team: Team) -> None:
    """Where the policy asks for one, the check is made again when somebody reviews."""
    policy = released.POLICY | {"gates": {"production": ["approved_by(1)"]}}
    team.commit("Ask for an approval", {"registry.yaml": yaml.safe_dump(policy)})
    team.hub.take()
    number = team.promote("v1.0.0")
    (check,) = team.runner.settle()
    assert check.results["check"] == "failure"
    team.hub.review(number, "cleo")
    (again,) = team.runner.settle()
    assert (again.event.name, again.result) == ("pull_request_review", "success"), again.log
    (report,) = team.hub.pull(number).comments
    assert "All gates are passed" in report.body
    (sync,) = team.merge(number)
    assert "Approved-By: cleo" in run_git(team.hub.bare, "cat-file", "tag", "churn#production#1")
    assert (sync.result, team.served) == ("success", "v1.0.0")


def test_the_merge_queue_is_checked(team: Team) -> None:
    """What would be merged is judged as it is in the queue, where nobody is to be told."""
    number = team.promote("v1.0.0")
    team.hub.take()
    team.hub.queue(number)
    (check,) = team.runner.settle()
    assert check.results == {"check": "success", "comment": "skipped"}, check.log
    assert "metrics.auc >= 0.9" in check.jobs["check"].summary
