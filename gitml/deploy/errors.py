"""What goes wrong with a deployment."""

from __future__ import annotations

from gitml.errors import GitmlError


class DeployError(GitmlError):
    """A version can't serve; what served before goes on. `log` is the end of what it said."""

    def __init__(self, message: str, log: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.log = log
