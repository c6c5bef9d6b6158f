"""What gitml asks of a forge: nine calls, which each forge answers in its own module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gitml.forge.approvals import Approvals
from gitml.forge.proposal import Opened, Proposal, Status


class Forge(Protocol):
    """A forge as it serves one repository. Every call raises ForgeError when the forge refuses.

    Each may be repeated: what is there already is brought up to date, never made twice; a dispatch,
    or a run that is started again, is something new.
    """

    @property
    def name(self) -> str:
        """What people call it."""

    def propose(self, proposal: Proposal) -> Opened:
        """Open the pull request of a pushed branch, or bring the open one up to date."""

    def find(self, branch: str) -> Opened | None:
        """The open pull request of a branch; None when there is none, or nobody can tell."""

    def merged(self, commit: str, base: str) -> int | None:
        """The pull request by which a commit came to the branch `base`; None where none is known.

        Both are of this repository; `base` is a short name.
        """

    def comment(self, number: int, marker: str, body: str, *, only_anew: bool = False) -> str:
        """Write a comment, or write the one anew that has `marker`; its URL.

        A marker is a word such as `report:churn`. Only a comment of one's own is changed. With
        `only_anew` none is made, and the URL is empty when there is none yet.
        """

    def has_comment(self, number: int, marker: str) -> bool:
        """Whether there is such a comment of one's own; False where nobody can tell."""

    def set_status(self, commit: str, status: Status) -> None:
        """Say what a check comes to for a commit; the last word of a context counts."""

    def approvals(self, number: int) -> Approvals | None:
        """Who approves a pull request as it is now; None where nobody can tell."""

    def dispatch(self, workflow: str, ref: str, inputs: Mapping[str, str]) -> None:
        """Start a workflow (its file's name; GitLab has one for all) on a branch or tag."""

    def again(self, run: str) -> None:
        """Start a run of a workflow (at GitLab a pipeline) again, which has ended, by its number.

        At GitLab that is what failed in it.
        """
