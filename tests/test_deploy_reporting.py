"""A deployment that fails is told of where people look: at the commit and request that decided."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitml.deploy.agent import Agent
from gitml.forge.access import without_tokens
from gitml.registry.promoting import promote
from tests.cli import Caller
from tests.clones import Clone
from tests.conftest import run_git
from tests.deployments import register, settings, taken_down
from tests.forge_kinds import At, standing, variables
from tests.forges import NAME, OWNER, TOKEN
from tests.ports import free_port

BAD = "raise ValueError('no such feature: @all')"


both = pytest.mark.parametrize("machine", ["github", "gitlab"], indirect=True)


@dataclass
class Machine:
    """A clone that deploys in a job of CI, and the forge that it is of."""

    at: At
    clone: Clone
    call: Caller

    def decide(self, number: int, code: str = "pass") -> str:
        """Register a version and have its promotion merged; the commit that decides."""
        item = register(self.at.clone, number, code=code)
        promote(self.at.clone.place, "churn", "production", str(item.version))
        return self.at.merge(len(self.at.forge.pulls))

    def said(self, commit: str) -> tuple[str, str]:
        """What the last status of a commit says: its state, in GitHub's words, and why."""
        (*_, last) = [it for it in self.at.forge.statuses if it["sha"] == commit]
        assert last.get("context", last.get("name")) == "gitml/production/churn"
        state = str(last.get("state", last.get("status")))
        return {"failed": "failure"}.get(state, state), last["description"]

    def comments(self) -> list[str]:
        """The comments on the last pull request."""
        return [it.body for it in self.at.forge.pulls[-1].comments]

    def writes(self) -> list[str]:
        """What the forge was asked to write of deployments, since it was asked last."""
        found = [it for it in self.at.wrote() if re.search("comments|notes|statuses", it)]
        self.at.forge.requests.clear()
        return found


@pytest.fixture
def machine(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Machine]:
    """A machine of CI, with a token of the forge."""
    with standing(getattr(request, "param", "github"), tmp_path) as at:
        for name, value in variables(at.kind, at.forge.url).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CI", "true")
        local = {"target": "local", "env_manager": "local", "port": free_port()}
        settings(at.clone, {"production": local})
        run_git(tmp_path, "clone", "--quiet", f"{at.forge.url}/{OWNER}/{NAME}.git", "machine")
        clone = Clone(tmp_path / "machine")
        monkeypatch.chdir(clone.folder)
        with taken_down(clone):
            yield Machine(at, clone, Caller(capsys))


@both
def test_what_fails_is_told_once_and_again_when_it_is_well(
    machine: Machine, tmp_path: Path
) -> None:
    """A status and one comment say why, with the log's end; both say so when it is deployed."""
    flag = tmp_path / "flag"
    commit = machine.decide(1, f"open({str(flag)!r})")
    machine.call("deploy", code=1)
    state, why = machine.said(commit)
    assert (state, "v1.0.0 failed: " in why) == ("failure", True)
    (comment,) = machine.comments()
    assert "`churn v1.0.0` in `production` could not be deployed. Nothing serves." in comment
    assert "FileNotFoundError" in comment
    assert len(machine.writes()) == 2

    machine.call("deploy", code=1)
    assert machine.writes() == []

    flag.touch()
    machine.call("deploy")
    assert machine.said(commit) == ("success", "v1.0.0 is deployed")
    (comment,) = machine.comments()
    assert "`churn v1.0.0` in `production` is deployed now; before, it could not be." in comment
    machine.writes()
    machine.call("deploy")
    assert machine.writes() == []


@both
def test_what_goes_well_gets_no_comment(machine: Machine) -> None:
    """A version that is deployed at once has a status; one that fails then says what goes on."""
    first = machine.decide(1)
    machine.call("deploy")
    assert machine.said(first) == ("success", "v1.0.0 is deployed")
    assert machine.comments() == []
    machine.decide(2, BAD)
    machine.call("deploy", code=1)
    assert "`v1.0.0` goes on serving." in machine.comments()[0]
    assert machine.said(first) == ("success", "v1.0.0 is deployed")


def test_the_log_does_nothing_in_the_comment(machine: Machine) -> None:
    """What a model prints is code there, without secrets, and its end only."""
    noise = "print('@all ![x](http://evil.example/) </details>\\n```\\npassword=hunter2hunter2'"
    machine.decide(1, f"{noise}, *range(99999)); raise ValueError('![x](http://evil.example/)')")
    machine.call("deploy", code=1)
    (comment,) = machine.comments()
    assert len(comment) < 20_000
    assert "hunter2" not in comment
    outside = re.sub(r"(?ms)^(`{3,})$.*?^\1$|`[^`\n]+`", "", comment)
    assert "evil" not in outside
    assert "@all" not in outside


@pytest.mark.parametrize("reply", [{"status": 500}, {"drop": True}, {"status": 403}])
def test_a_forge_that_does_not_answer_is_no_fault(
    reply: dict[str, object], machine: Machine
) -> None:
    """What is deployed is deployed, and the command says that nobody was told."""
    commit = machine.decide(1)
    machine.at.forge.fail("/statuses/", count=9, **reply)
    done = machine.call("deploy")
    assert "churn in production: v1.0.0 deployed" in done.out
    assert "the forge was not told" in done.err
    assert TOKEN not in done.err
    assert [it for it in machine.at.forge.statuses if it["sha"] == commit] == []


def test_nobody_is_told_by_hand_or_without_a_token(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside of CI it takes --report, and without a token nothing happens."""
    machine.decide(1, BAD)
    machine.writes()
    monkeypatch.delenv("CI")
    machine.call("deploy", code=1)
    assert machine.writes() == []
    monkeypatch.setenv("CI", "true")
    for name in ("GITHUB_TOKEN", "GITLAB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    machine.call("deploy", code=1)
    assert machine.at.forge.requests == []


def test_an_agent_tells_it_once(machine: Machine) -> None:
    """Rounds after a failure wait, and tell nothing more."""
    commit = machine.decide(1, BAD)
    worker = Agent(lambda: machine.clone.place, 1.0, lambda _: None)
    machine.writes()
    for _ in range(3):
        worker.look()
    assert len(machine.writes()) == 2
    assert machine.said(commit)[0] == "failure"
    assert [it.failures for it in worker.report.failures] == [1]
    assert worker.report.results == {"failed": 1, "waiting": 2}


def test_a_model_has_no_token(machine: Machine) -> None:
    """The code of a model can't act at the forge in the name of who deploys it."""
    names = "('GITHUB_TOKEN', 'GITLAB_TOKEN')"
    machine.decide(1, f"import os; assert not [it for it in {names} if it in os.environ]")
    assert "deployed" in machine.call("deploy").out


def test_the_tokens_of_jobs_are_known() -> None:
    """Those of forges, of CI and of its registries go; what the project needs stays."""
    gone = (
        "GH_TOKEN", "GITHUB_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN", "GITML_TOKEN",
        "GITML_REPORT_TOKEN", "CI_REGISTRY_PASSWORD", "CI_REPOSITORY_URL",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    )  # fmt: skip
    kept = ("PATH", "AWS_SESSION_TOKEN", "CI_COMMIT_SHA", "GITHUB_SHA")
    assert list(without_tokens(dict.fromkeys((*gone, *kept), "x"))) == [*kept]
