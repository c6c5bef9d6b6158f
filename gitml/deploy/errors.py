"""What goes wrong with a deployment."""

from __future__ import annotations

import re

from gitml.errors import GitmlError

_MOST = 300  # characters
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class DeployError(GitmlError):
    """A version can't serve; what served before goes on. `log` is the end of what it said."""

    def __init__(self, message: str, log: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.log = log


def line(text: str) -> str:
    """What a place says, on one line that can be shown."""
    found = " ".join(_COLOUR.sub("", text).split()) or "nothing more"
    found = "".join(char if char.isprintable() else "?" for char in found)
    return found if len(found) <= _MOST else f"{found[: _MOST - 1]}…"
