"""A team that releases models at a GitHub for tests, whose workflows really run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from gitml.deploy import choosing, wanted
from gitml.registry import promoting
from gitml.registry.catalog import Registered
from tests.actions.hub import Hub, authorization
from tests.actions.runner import Runner
from tests.actions.runs import Run
from tests.clones import Clone
from tests.conftest import run_git
from tests.deployments import register
from tests.forge_kinds import variables
from tests.forges import NAME, OWNER, TOKEN, serving
from tests.ports import free_port

OWN_MACHINE = "models"  # the label of the machine that serves them
POLICY = {
    "schema": 1,
    "stages": ["staging", "production"],
    "gates": {"production": ["metrics.auc >= 0.9"]},
}


@dataclass(frozen=True)
class Team:
    """Ada's clone, the hub that it pushes to, and the runner of the hub's workflows."""

    hub: Hub
    ada: Clone
    runner: Runner
    port: int

    def version(self, number: int, auc: float = 0.95, code: str = "pass") -> Registered:
        """Train a model that predicts a number, and register it."""
        with self._token():
            return register(self.ada, number, code=code, auc=auc)

    def promote(self, version: str, stage: str = "production") -> int:
        """Propose that a version takes a stage; the number of the pull request."""
        with self._token():
            promoting.promote(self.ada.place, "churn", stage, version)
        return self.hub.pulls[-1].number

    def rollback(self, stage: str = "production") -> int:
        """Propose that the version before takes a stage again."""
        self.ada.git("fetch", "--quiet", "origin")
        with self._token():
            promoting.rollback(self.ada.place, "churn", stage)
        return self.hub.pulls[-1].number

    def merge(self, number: int) -> list[Run]:
        """Merge a pull request, and let the workflows do what comes of it."""
        self.hub.merge(number)
        return self.runner.settle()

    def decide(self, version: str, stage: str = "production") -> str:
        """Merge such a pull request, of which nobody has asked what the check says; the commit."""
        held = len(self.hub.events)
        number = self.promote(version, stage)
        del self.hub.events[held:]
        return self.hub.merge(number)

    def commit(self, message: str, files: Mapping[str, str]) -> str:
        """Put files on the main branch; the commit."""
        return commit(self.ada, message, files)

    def configure(self, ci: Mapping[str, Any], files: Mapping[str, str] | None = None) -> None:
        """Set keys of `ci` in gitml.yaml, and commit that, its workflows and files; no event."""
        path = self.ada.folder / "gitml.yaml"
        told = yaml.safe_load(path.read_bytes())
        told["ci"] |= ci
        path.write_text(yaml.safe_dump(told), "utf-8")
        write_workflows(self.ada)
        self.commit("Other workflows", files or {})
        self.hub.take()

    @property
    def served(self) -> str | None:
        """The version that is served in production, as it says itself; None where nothing is."""
        try:
            told = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/version", timeout=30)
        except (urllib.error.URLError, ConnectionError):
            return None
        found: str = json.loads(told.read())["version"]
        return found

    def held(self, tag: str) -> str:
        """The version that a stage's tag tells of."""
        message = run_git(self.hub.bare, "cat-file", "tag", tag)
        return message.partition("Version: ")[2].split()[0]

    def tags(self, pattern: str = "*#*") -> list[str]:
        """The tags at the hub."""
        return run_git(self.hub.bare, "tag", "--list", pattern).split()

    @contextlib.contextmanager
    def _token(self) -> Iterator[None]:
        with patch.dict(os.environ, variables("github", self.hub.url)):
            yield


_begun: list[Path] = []  # what all tests begin with is made once, and copied


def begun(factory: pytest.TempPathFactory) -> Path:
    """What `begin` makes, made at its first use."""
    if not _begun:
        folder = factory.mktemp("begun")
        begin(folder)
        _begun.append(folder)
    return _begun[0]


def begin(folder: Path) -> None:
    """A policy, deployments, gitml's workflows and two versions, in `hub` and `ada`."""
    with serving(Hub(folder / "hub")) as hub:
        assert isinstance(hub, Hub)
        ada = hub.clone(folder / "ada")
        production = {"target": "local", "env_manager": "local", "port": free_port()}
        told = {
            "schema": 1,
            "deployments": {"production": production},
            "ci": {"runners": {"deploy": OWN_MACHINE}},
        }
        for name, document in (("gitml.yaml", told), ("registry.yaml", POLICY)):
            (ada.folder / name).write_text(yaml.safe_dump(document), "utf-8")
        write_workflows(ada)
        commit(ada, "Set up gitml", {})
        for number in (1, 2):
            register(ada, number, auc=0.95)


@contextlib.contextmanager
def standing(source: Path, folder: Path) -> Iterator[Team]:
    """A team with a copy of what `begin` has made; its servers end with the block."""
    shutil.copytree(source, folder, symlinks=True)
    with serving(Hub(folder / "hub")) as hub:
        assert isinstance(hub, Hub)
        ada = Clone(folder / "ada")
        ada.git("remote", "set-url", "origin", f"{hub.url}/{OWNER}/{NAME}.git")
        ada.git("config", f"http.{hub.url}/.extraheader", authorization(TOKEN))
        runner = Runner(hub, folder / "runner")
        runner.own_machines.add(OWN_MACHINE)
        told = yaml.safe_load((ada.folder / "gitml.yaml").read_bytes())
        port = told["deployments"]["production"]["port"]
        team = Team(hub, ada, runner, port)
        try:
            yield team
        finally:
            _take_down(folder / "runner" / "machines" / OWN_MACHINE / "work")


def _take_down(workspace: Path) -> None:
    """End what the machine serves, which is what its checkout names."""
    if (workspace / "gitml.yaml").is_file():
        place = Clone(workspace).place
        for one in wanted.wanted(place, offline=True).deployments:
            choosing.target(place, one).remove()


def write_workflows(clone: Clone) -> None:
    """`gitml ci init`."""
    command = (sys.executable, "-m", "gitml", "ci", "init", "--forge", "github", "--force")
    subprocess.run(command, cwd=clone.folder, check=True, capture_output=True)


def commit(clone: Clone, message: str, files: Mapping[str, str]) -> str:
    """Commit to the main branch what is new, with these files, and push it; the commit."""
    clone.git("pull", "--quiet", "--ff-only", "origin", "main")
    for name, text in files.items():
        path = clone.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    clone.git("add", "--all", ".")
    clone.git("commit", "--quiet", "--message", message)
    clone.git("push", "--quiet", "origin", "HEAD:main")
    return clone.git("rev-parse", "HEAD")
