"""A file that gitml writes for a forge's CI."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class File(NamedTuple):
    """Its path from the top of the repository, its text, and what it is for.

    One that is the user's as soon as it is there has `within`: from its text to the same with what
    is gitml's in it, or to None where only the user can put that in: `by_hand` says what.
    """

    path: str
    text: str
    what: str
    within: Callable[[str], str | None] | None = None
    by_hand: str = ""
