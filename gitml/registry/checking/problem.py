"""Something wrong with a file of a change. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a file of the change, whatever the gates say. `line` counts from 1."""

    path: str
    message: str
    line: int | None = None
