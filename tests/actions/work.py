"""A job at work: where it runs, and what its steps have told so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.actions.cloud import Cloud
from tests.actions.events import Event
from tests.actions.hub import Hub
from tests.actions.workflow import Job


@dataclass(frozen=True, slots=True)
class Machine:
    """Where jobs run: a fresh one for each job, or one's own, which keeps what is there."""

    folder: Path
    name: str
    is_fresh: bool

    @property
    def workspace(self) -> Path:
        """Where the repository is checked out."""
        return self.folder / "work"

    @property
    def home(self) -> Path:
        """The home of who runs the jobs."""
        return self.folder / "home"

    @property
    def temp(self) -> Path:
        """What is taken away after a job."""
        return self.folder / "temp"


@dataclass
class Work:
    """What a job has, and what becomes of it."""

    hub: Hub
    machine: Machine
    event: Event
    workflow: str  # by its path
    job: Job
    token: str
    contexts: dict[str, Any]
    workflow_env: Mapping[str, Any]
    artifacts: Path
    tools: Path  # where programs that actions install are
    identity: Mapping[str, str] = field(default_factory=dict)  # by which it asks for a token
    cloud: Cloud | None = None  # that its actions log in to
    env: dict[str, str] = field(default_factory=dict)  # set for the steps to come
    paths: list[str] = field(default_factory=list)  # before PATH
    log: list[str] = field(default_factory=list)
    summary: str = ""
    annotations: list[tuple[str, str]] = field(default_factory=list)
    afterwards: list[Any] = field(default_factory=list)  # what actions do when the job ends

    def say(self, text: str) -> None:
        """Write to the job's log."""
        self.log.append(text)
