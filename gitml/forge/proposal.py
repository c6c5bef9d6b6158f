"""What is asked of a forge, and what it answers. Pure.

All text in an answer is that of strangers: whoever shows it makes it harmless.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["pending", "success", "failure", "error"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change to be reviewed: a branch that is at the remote, to be merged into `base`.

    Both are short names of branches. `body` is Markdown.
    """

    branch: str
    base: str
    title: str
    body: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """Where a change is reviewed: a pull request of GitHub, a merge request of GitLab.

    Without an API `number` is None, and `url` is the page on which a person opens it, or empty.
    `created` tells a new one from one that was there; `remark` what could not be done besides.
    """

    url: str
    number: int | None = None
    created: bool = False
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """What a check says of a commit: `context` names the check, `url` is where it tells more."""

    context: str
    state: State
    description: str = ""
    url: str = ""
