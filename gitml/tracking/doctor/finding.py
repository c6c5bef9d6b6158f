"""What the doctor finds, and a way to ask somebody who may not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from gitml.errors import GitError

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a repository: how bad, what it is, and the one command that changes it.

    An `error` stops work or loses it, a `warning` may, a `note` is worth knowing; `fix` is empty
    where nothing has to be done.
    """

    severity: str
    what: str
    fix: str = ""


def finding_of(severity: str, problem: str, asked: str = "") -> Finding:
    """What an error says, as a finding: the command that it ends with is the fix.

    `asked` is the fix in the place of asking the doctor, who is at it.
    """
    what, found, fix = problem.rpartition("; run: ")
    if not found:
        return Finding(severity, problem)
    return Finding(severity, what, asked if fix == "gitml doctor" else fix)


def within(seconds: float, ask: Callable[[], Answer]) -> Answer:
    """What `ask` returns or raises; GitError when it takes longer than `seconds`.

    The question then stays open in the background, until the process ends.
    """
    answers: list[Answer] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(ask())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise GitError(f"no answer within {seconds:.0f} seconds")
    return answers[0]
