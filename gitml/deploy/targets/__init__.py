"""The places where models are deployed, each a module of its own."""

from __future__ import annotations

from typing import Protocol

from gitml.deploy.probe import Live
from gitml.deploy.release import Release, Tell


class Target(Protocol):
    """A place for one model."""

    def live(self) -> Live:
        """What runs there."""

    def deploy(self, release: Release, tell: Tell) -> str:
        """Serve a version; on a DeployError what served before goes on.

        Where it is for others to bring it to run, the answer says what they are asked: the URL of
        a pull request. It is empty once the version serves.
        """

    def remove(self) -> None:
        """Serve nothing any more."""
