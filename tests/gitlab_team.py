"""A team at GitLab whose pipelines run, for tests: its project, a clone, and where it is served."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitml.ci import generated
from gitml.ci import settings as ci_settings
from gitml.registry.promoting import promote, rollback
from gitml.tracking.initialize import init
from tests.clones import Clone
from tests.conftest import run_git
from tests.deployments import publish, settings
from tests.forge_kinds import At, variables
from tests.forges import TOKEN, serving
from tests.gitlab_pipelines import Guarded, Project, program
from tests.ports import free_port

SYNC_TOKEN = "glpat-canarySYNC0123456789"
POLICY = """schema: 1
stages: [staging, production]
gates:
  production: ["attributes.run_name != 'run 5'"]
"""


@dataclass(frozen=True)
class Team:
    """A project whose pipelines run, the clone of Ada, and where production is served."""

    at: At
    project: Project
    port: int

    @property
    def ada(self) -> Clone:
        """Ada's clone."""
        return self.at.clone

    def propose(self, name: str, version: str | None = None) -> int:
        """Promote a version into production, or roll back without one; the merge request."""
        if version is None:
            rollback(self.ada.place, name, "production")
        else:
            promote(self.ada.place, name, "production", version)
        return len(self.at.forge.pulls)

    def notes(self, number: int) -> list[str]:
        """The notes on a merge request."""
        return [note.body for note in self.at.forge.pull(number).comments]

    def tags(self) -> list[str]:
        """The tags of stages at the forge."""
        return run_git(self.at.forge.bare, "tag", "--list", "*#*").split()

    def serves(self) -> tuple[str | None, object]:
        """The version that answers in production, and what it predicts."""
        asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        body = json.dumps({"inputs": {"a": [1]}})
        try:
            asked.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            answer = asked.getresponse()
            told = json.loads(answer.read())
        except ConnectionRefusedError:
            return None, None
        finally:
            asked.close()
        return answer.headers["gitml-version"], told["predictions"][0]


@contextmanager
def standing(folder: Path, monkeypatch: pytest.MonkeyPatch, policy: str = POLICY) -> Iterator[Team]:
    """A team, as long as the block runs."""
    program()
    forge = Guarded(folder / "forge")
    with serving(forge):
        at = At("gitlab", forge, folder / "clone")
        at.forge.users[SYNC_TOKEN] = at.forge.users[TOKEN]
        for name, value in variables("gitlab", at.forge.url).items():
            monkeypatch.setenv(name, value)
        there = at.forge.url.replace("://", f"://ada:{TOKEN}@") + "/ada/churn.git"
        at.clone.git("config", "remote.origin.pushurl", there)
        forge.pushers = {TOKEN, SYNC_TOKEN}
        yield _begun(at, folder, policy)


def _begun(at: At, folder: Path, policy: str) -> Team:
    port, ada = free_port(), at.clone
    init(ada.folder)
    (ada.folder / "registry.yaml").write_text(policy, "utf-8")
    settings(ada, {"production": {"target": "local", "port": port, "env_manager": "local"}})
    write_pipeline(ada)
    publish(ada, "The pipeline")
    report = {"GITML_REPORT_TOKEN": TOKEN}
    secrets = {"gitml-report": report, "production": report, "gitml": {"GITML_TOKEN": SYNC_TOKEN}}
    return Team(at, Project(at.forge, folder / "runner", secrets, {"GITML_TOKEN"}), port)


def write_pipeline(clone: Clone) -> None:
    """Write the files of the pipeline, as the settings are."""
    for file in generated.FORGES["gitlab"](ci_settings.read(clone.place)):
        generated.write(clone.folder, file)
