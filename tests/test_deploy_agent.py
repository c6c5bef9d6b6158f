"""`gitml agent`: a machine that pulls what it is to run from the remote, helped by nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitml import git
from gitml.cli.agent import seconds
from gitml.deploy import agent, choosing, probe, telling, wanted
from gitml.deploy.agent import Agent, Report
from gitml.deploy.probe import Address
from gitml.errors import UsageError
from gitml.tracking.place import Place
from tests.clones import Clone, team
from tests.conftest import run_git
from tests.deployments import decide, register, settings
from tests.ports import free_port
from tests.waiting import until


@pytest.fixture
def ann(tmp_path: Path, bare: Path) -> Clone:
    """Who trains and decides."""
    return team(tmp_path, bare, "ann", dvc=True)[0]


@pytest.fixture
def address(ann: Clone, bare: Path) -> Iterator[Address]:
    """Where a version is to be served, by an agent."""
    port = free_port()
    settings(ann, {"production": {"target": "local", "env_manager": "local", "port": port}})
    yield Address("127.0.0.1", port)
    place = agent.clone(str(bare))
    for one in wanted.wanted(place).deployments:
        choosing.target(place, one).remove()


class Running:
    """A process of `gitml agent`."""

    def __init__(self, bare: Path, folder: Path) -> None:
        args = ("agent", "--remote", str(bare), "--interval", "1s", "--port", "0")
        argv = (sys.executable, "-m", "gitml", *args)
        self.process = subprocess.Popen(
            argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip().removesuffix("/status")

    def get(self, path: str) -> str:
        """What it tells at a path."""
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            text: str = answer.read().decode()
            return text

    def status(self) -> dict[str, Any]:
        """What it tells of deployments."""
        found: dict[str, Any] = json.loads(self.get("/status"))
        return found

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit code after a signal."""
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        self.process.communicate(timeout=120)
        return self.process.returncode


@pytest.fixture
def start(bare: Path, tmp_path: Path) -> Iterator[Callable[[], Running]]:
    """Starts agents, in a folder that is no repository."""
    begun: list[Running] = []
    folder = tmp_path / "nowhere"
    folder.mkdir()

    def one() -> Running:
        begun.append(Running(bare, folder))
        return begun[-1]

    yield one
    for running in begun:
        running.end(signal.SIGKILL)


def test_an_agent_follows_the_main_branch(
    ann: Clone, address: Address, start: Callable[[], Running]
) -> None:
    """Killed in the middle it leaves what runs, and the next one goes on."""
    first, second = register(ann, 1), register(ann, 2)
    decide(ann, first)
    running = start()
    until(lambda: probe.look(address).version == "v1.0.0")
    until(lambda: [it["sync"] for it in running.status()["deployments"]] == ["Synced"])
    running.end(signal.SIGKILL)
    decide(ann, second)
    assert probe.look(address).version == "v1.0.0"
    another = start()
    until(lambda: probe.look(address).version == "v2.0.0")
    labels = 'stage="production",model="churn"'
    until(lambda: f"gitml_deployment_healthy{{{labels}}} 1" in another.get("/metrics"))
    info = f'gitml_deployment_info{{{labels},wanted="v2.0.0",live="v2.0.0"}} 1'
    until(lambda: info in another.get("/metrics"))
    assert another.end() == 0
    assert probe.look(address).version == "v2.0.0"


@pytest.mark.slow
def test_an_agent_may_be_killed_at_any_moment(
    ann: Clone, address: Address, start: Callable[[], Running]
) -> None:
    """In the middle of a deployment, too: what serves goes on, and the next agent ends the work."""
    versions = [register(ann, 1), register(ann, 2)]
    decide(ann, versions[0])
    first = start()
    until(lambda: probe.look(address).version == "v1.0.0")
    first.end(signal.SIGKILL)
    for pause in (0.1, 0.5, 1, 1.5, 2, 3, 4, 6):
        versions.reverse()
        decide(ann, versions[0])
        killed = start()
        time.sleep(pause)
        killed.end(signal.SIGKILL)
        assert probe.look(address).is_well
    start()
    until(lambda: probe.look(address).version == str(versions[0].version))


def test_an_agent_that_can_not_reach_the_remote_says_so(
    ann: Clone, address: Address, bare: Path, tmp_path: Path
) -> None:
    """What runs goes on; once the remote is back all is well again."""
    decide(ann, register(ann, 1))
    said: list[str] = []
    one = Agent(lambda: agent.clone(str(bare)), 1.0, said.append)
    one.look()
    assert one.report.error == ""
    away = bare.rename(tmp_path / "away.git")
    one.look()
    one.look()
    assert one.report.errors == 2
    assert "does not appear to be a git repository" in one.report.error
    assert said.count(one.report.error) == 1
    assert probe.look(address).version == "v1.0.0"
    away.rename(bare)
    one.look()
    assert (one.report.error, one.report.rounds) == ("", 4)


def test_an_agent_outlives_a_fault() -> None:
    """Also one that nobody has foreseen."""
    said: list[str] = []

    def find() -> Place:
        raise RecursionError("too \n deep")

    one = Agent(find, 1.0, said.append)
    one.look()
    one.look()
    assert said == ["RecursionError: 'too \\n deep'"]
    assert (one.report.error, one.report.errors) == (said[0], 2)


def test_an_agent_does_not_deploy_what_is_forged(ann: Clone, address: Address, bare: Path) -> None:
    """It says what is wrong, and serves what it did."""
    first = register(ann, 1)
    decide(ann, first)
    one = Agent(lambda: agent.clone(str(bare)), 1.0, lambda _: None)
    one.look()
    second, third = register(ann, 2), register(ann, 3)
    ann.git("tag", "--force", "--annotate", "churn@v2.0.0", third.commit, "--message", "moved")
    ann.git("push", "--quiet", "--force", "origin", "refs/tags/churn@v2.0.0")
    decide(ann, second)
    one.look()
    (state,) = one.report.states
    assert (state.sync, state.live.version) == ("Unknown", "v1.0.0")
    assert "churn@v2.0.0" in state.note


def test_an_agents_clone_has_little(ann: Clone, address: Address, bare: Path) -> None:
    """No files but those that it deploys, no work tree; credentials never reach its settings."""
    run_git(bare, "config", "uploadpack.allowFilter", "true")
    decide(ann, register(ann, 1))
    (ann.folder / "large.txt").write_text("x" * 100_000)
    settings(ann, {"production": {"target": "local", "env_manager": "local", "port": address.port}})
    one = Agent(lambda: agent.clone(str(bare)), 1.0, lambda _: None)
    one.look()
    assert (one.report.error, probe.look(address).version) == ("", "v1.0.0")
    place = agent.clone(str(bare))
    argv = ("rev-list", "--objects", "--missing=print", "refs/remotes/origin/main")
    listed = git.text(place.repo, *argv)
    assert f"?{ann.git('rev-parse', 'HEAD:large.txt')}" in listed.splitlines()
    assert place.repo.root is not None
    files = {path.name for path in place.repo.root.rglob("*") if ".git" not in path.parts}
    assert files == {".dvc", "config", "gitml.yaml"}


@pytest.mark.parametrize("user", ["ann:secret", "ghp_0123456789abcdefghijABCDEFGHIJ0123"])
def test_an_agent_keeps_no_password(user: str) -> None:
    """It would stand in its clone's settings; a token may stand where the user does."""
    with pytest.raises(UsageError, match="holds a password"):
        agent.clone(f"https://{user}@example.org/models.git")


@pytest.mark.parametrize("text", ["30", "30s", "0.5m", "1h"])
def test_lengths_of_time(text: str) -> None:
    """Seconds, minutes and hours."""
    assert seconds(text) in (30.0, 3600.0)


@pytest.mark.parametrize("text", ["", "0", "-1s", "1d", "25h", "1e9", "٣s"])
def test_no_lengths_of_time(text: str) -> None:
    """What is none is said to be none."""
    with pytest.raises(UsageError, match="is no time from 1s to 24h"):
        seconds(text)


def test_what_is_told_without_a_round() -> None:
    """Nothing is made up, and it is not well."""
    told = telling.document(Report())
    assert (told["looked"], told["commit"], told["deployments"]) == (None, None, [])
    server = telling.serve("127.0.0.1", 0, Report, late=60)
    try:
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"http://127.0.0.1:{server.server_address[1]}/ping", timeout=30)
    finally:
        server.shutdown()
        server.server_close()


def test_metrics_have_a_type_and_their_labels_are_escaped() -> None:
    """As Prometheus reads them."""
    report = replace(Report(), results=Counter({'de"ployed': 2}))
    lines = telling.metrics(report).splitlines()
    assert r'gitml_agent_results_total{result="de\"ployed"} 2' in lines
    assert "# TYPE gitml_agent_results_total counter" in lines
    assert len(lines) == len(set(lines))
