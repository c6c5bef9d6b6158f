"""A file that gitml writes for a forge's CI."""

from __future__ import annotations

from typing import NamedTuple


class File(NamedTuple):
    """Its path from the top of the repository, its text, and what it is for."""

    path: str
    text: str
    what: str
