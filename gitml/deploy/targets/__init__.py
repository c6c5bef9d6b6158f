"""The places where models are deployed, each a module of its own."""

from __future__ import annotations

from typing import Protocol

from gitml.deploy.probe import Live
from gitml.deploy.release import Release, Tell


class Target(Protocol):
    """A place for one model."""

    def live(self) -> Live:
        """What runs there."""

    def deploy(self, release: Release, tell: Tell) -> None:
        """Serve a version; on a DeployError what served before goes on."""

    def remove(self) -> None:
        """Serve nothing any more."""
