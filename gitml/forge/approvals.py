"""Who approves a change as it is now. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

_LOGIN = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,254}")

Verdict = Literal["approved", "refused", "dismissed"]


@dataclass(frozen=True, slots=True)
class Review:
    """One review: the login of who wrote it, what it says, and of which commit.

    `commit` is empty where the forge does not tell.
    """

    by: str
    verdict: Verdict
    commit: str


@dataclass(frozen=True, slots=True)
class Approvals:
    """Those who approve the change whose newest commit is `head`: logins, sorted.

    `author` is who proposed it, whose own approval does not count.
    """

    head: str
    author: str
    by: tuple[str, ...]


def approvals(head: str, author: str, reviews: Iterable[Review]) -> Approvals:
    """What reviews, the oldest first, come to.

    The last word of each reviewer counts, if it approves, and if it was said of `head`. A login
    that no forge gives to anybody is nobody's.
    """
    last = {review.by.lower(): review for review in reviews}
    by = {
        review.by
        for login, review in last.items()
        if review.verdict == "approved" and review.commit == head and login != author.lower()
        if _LOGIN.fullmatch(login)
    }
    return Approvals(head, author, tuple(sorted(by)))
