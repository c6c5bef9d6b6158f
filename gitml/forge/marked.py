"""Comments that gitml knows again: the first line is an invisible mark. Pure.

A mark elsewhere in a comment, or in the comment of somebody else, is none: anybody can write one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from gitml.errors import UsageError, shown

_MARKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,119}")
LONGEST = 65_536  # characters, at GitHub; GitLab takes more, which nobody reads
_CUT = "\n\n… cut here: it is too long for the forge\n"


class Comment(NamedTuple):
    """A comment at a forge; `by` is the login of its author, `is_bot` that of no person."""

    id: int
    body: str
    by: str
    is_bot: bool
    url: str


def text(marker: str, body: str) -> str:
    """A comment with its mark; UsageError for a marker that is no plain word."""
    if not _MARKER.fullmatch(marker) or "--" in marker:
        raise UsageError(f"{shown(marker)} is no marker; use letters, digits and : . _ -")
    return f"<!-- gitml:{marker} -->\n{body}"


def first(comments: Iterable[Comment], marker: str, me: str | None) -> Comment | None:
    """One's own first comment with that mark; that of a bot where `me`, one's login, is unknown."""
    wanted = text(marker, "").strip()
    for it in comments:
        is_mine = it.is_bot if me is None else it.by.lower() == me.lower()
        if is_mine and it.body.replace("\r\n", "\n").partition("\n")[0].rstrip() == wanted:
            return it
    return None


def clipped(body: str) -> str:
    """A text that a forge takes, which says so when it was cut."""
    if len(body) <= LONGEST:
        return body
    kept = body[: LONGEST - len(_CUT) - 20].rpartition("\n")[0]
    fence = "\n```" if f"\n{kept}".count("\n```") % 2 else ""
    return kept + fence + _CUT


def shortened(line: str, longest: int) -> str:
    """The same for one line."""
    return line if len(line) <= longest else line[: longest - 1] + "…"
