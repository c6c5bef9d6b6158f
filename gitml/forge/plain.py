"""A forge that is reached by git alone: people open what gitml has pushed, in their browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from gitml.errors import UsageError
from gitml.forge.address import Address, Kind, compare_url
from gitml.forge.approvals import Approvals
from gitml.forge.proposal import Opened, Proposal, Status


@dataclass(frozen=True, slots=True)
class Plain:
    """A remote without an API; `why` says why there is none, and what to do to have it.

    `address` is None where the remote is a folder.
    """

    address: Address | None
    kind: Kind
    why: str
    name: str = "the remote"

    def propose(self, proposal: Proposal) -> Opened:
        """The page on which a person opens the pull request; empty where there is none."""
        if self.address is None:
            return Opened("", remark=self.why)
        url = compare_url(self.address, self.kind, proposal.base, proposal.branch)
        return Opened(url, remark=self.why)

    def find(self, branch: str) -> Opened | None:
        """None: nobody can tell."""
        return None

    def merged(self, commit: str, base: str) -> int | None:
        """None: nobody can tell."""
        return None

    def comment(self, number: int, marker: str, body: str, *, only_anew: bool = False) -> str:
        """UsageError: there is nowhere to write it."""
        self._refuse("a comment can't be written")

    def has_comment(self, number: int, marker: str) -> bool:
        """False: nobody can tell."""
        return False

    def set_status(self, commit: str, status: Status) -> None:
        """UsageError: there is nowhere to write it."""
        self._refuse("a status can't be set")

    def approvals(self, number: int) -> Approvals | None:
        """None: nobody can tell."""
        return None

    def dispatch(self, workflow: str, ref: str, inputs: Mapping[str, str]) -> None:
        """UsageError: there is nothing to start."""
        self._refuse("a workflow can't be started")

    def again(self, run: str) -> None:
        """UsageError: there is nothing to start."""
        self._refuse("a workflow can't be started again")

    def _refuse(self, what: str) -> NoReturn:
        raise UsageError(f"{what}: {self.why}")
