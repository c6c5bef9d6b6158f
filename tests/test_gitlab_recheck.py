"""The pipeline of GitLab's main branch has requests checked again that would be judged otherwise.

Nothing else does: GitLab starts no pipeline for an approval, or for what CI has measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gitml.ci.rechecking import Rechecked, recheck
from gitml.errors import ForgeError, UsageError
from gitml.forge import Proposal
from tests.conftest import run_git
from tests.deployments import register
from tests.forges import READ_TOKEN
from tests.gitlab_team import Team, standing

POLICY = """schema: 1
stages: [staging, production]
gates:
  production: [approved_by(1)]
"""


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """A project whose policy asks for an approval, with a registered version."""
    with standing(tmp_path, monkeypatch, POLICY) as team:
        register(team.ada, 1)
        yield team


def checks(team: Team, number: int) -> list[str]:
    """How the check of a request stands in each of its pipelines."""
    return [it.jobs["gitml-check"] for it in team.at.forge.pull(number).pipelines]


def again(team: Team) -> list[Rechecked]:
    """What the job's command does, without the job."""
    team.ada.git("fetch", "--quiet", "origin")
    return list(recheck(team.ada.place, "origin/main", "main"))


def test_an_approval_counts_by_the_next_pipeline_of_the_schedule(team: Team) -> None:
    """Once: a check that would say the same is not made again. It is so when it is taken back."""
    number = team.propose("churn", "v1.0.0")
    assert not team.project.merge_request(number).passed
    team.at.forge.review(number, "bob")
    assert checks(team, number) == ["failed"]

    done = team.project.main("schedule")
    assert f"!{number} passes by now: its check is made again" in done.log
    assert checks(team, number) == ["failed", "created"]
    assert again(team) == []  # it goes on
    done = team.project.merge_request(number)
    assert done.passed, done.log
    assert checks(team, number) == ["failed", "success"]

    assert again(team) == []
    team.at.forge.pull(number).reviews.clear()
    assert again(team) == [Rechecked(number, False)]
    assert checks(team, number) == ["failed", "success", "created"]


def test_without_the_token_nothing_is_asked(team: Team) -> None:
    """The job says which variable is missing, and asks nobody."""
    del team.project.secrets["gitml-report"]
    team.propose("churn", "v1.0.0")
    done = team.project.main("schedule")
    assert "GITML_REPORT_TOKEN is not set for the environment gitml-report" in done.log
    assert checks(team, 1) == []


def test_every_branch_counts_and_no_fork(team: Team) -> None:
    """A request that touches files of the registry is looked at, whatever its branch is called."""
    number = team.propose("churn", "v1.0.0")
    branch = team.at.forge.pull(number).branch
    team.at.forge.pull(number).state = "closed"
    team.ada.git("fetch", "--quiet", "origin")
    team.ada.git("push", "--quiet", "origin", f"origin/{branch}:refs/heads/mine")
    team.at.push("docs")
    client = team.at.client()
    mine = client.propose(Proposal("mine", "main", "By hand", "", ())).number
    docs = client.propose(Proposal("docs", "main", "No model", "", ())).number
    assert again(team) == [Rechecked(mine or 0, False)]
    assert checks(team, docs or 0) == []
    fork = team.at.forge.pull(docs or 0)
    fork.branch, fork.fork = "mine", True
    assert again(team) == []


def test_a_request_whose_pipeline_is_of_an_older_commit_is_checked(team: Team) -> None:
    """What a job's own token pushes starts no pipeline, so that it would never be."""
    number = team.propose("churn", "v1.0.0")
    assert again(team) == [Rechecked(number, False)]
    pull = team.at.forge.pull(number)
    pull.pipelines[0].jobs["gitml-check"] = "failed"
    assert again(team) == []
    pull.pipelines[0].sha = run_git(team.at.forge.bare, "rev-parse", "main")
    assert again(team) == [Rechecked(number, False)]
    pull.pipelines[-1].jobs["gitml-check"] = "failed"
    pull.pipelines[-1].ref = f"refs/merge-requests/{number}/merge"
    pull.pipelines[-1].sha = "0" * 40  # of a merge that GitLab makes for the pipeline alone
    assert again(team) == []


def test_who_may_not_is_told(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that may only read, and a repository that is at no GitLab."""
    team.propose("churn", "v1.0.0")
    monkeypatch.setenv("GITLAB_TOKEN", READ_TOKEN)
    with pytest.raises(ForgeError):
        again(team)
    monkeypatch.delenv("GITLAB_TOKEN")
    with pytest.raises(UsageError, match="only GitLab"):
        again(team)
