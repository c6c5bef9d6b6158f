"""Who approved what the main branch decided: asked of the forge, about the merged pull request.

The message of a merge, or of a squashed commit, names the pull request. That is a claim; it is
taken when what was reviewed there is what the commit brought.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from gitml import git
from gitml.errors import ForgeError, GitError
from gitml.forge import Approvals, Forge, forge_of
from gitml.forge.finding import address_of
from gitml.registry import main_branch
from gitml.registry.files import path_of
from gitml.registry.stages import UNKNOWN
from gitml.tracking.place import Place

Approver = Callable[[str, str], str]  # of a commit of the main branch, and a model's name

_NUMBERS = (
    re.compile(r"\AMerge pull request #(\d{1,9}) "),
    re.compile(r"\A[^\n]*\(#(\d{1,9})\)(?:\n|\Z)"),
    re.compile(r"^See merge request \S*!(\d{1,9})$", re.MULTILINE),
)


def nobody(commit: str, name: str) -> str:
    """What is said where no forge is asked."""
    return UNKNOWN


def of_forge(place: Place) -> Approver:
    """Who approved, as the forge of the main branch's remote tells, with the user's token."""
    remote = main_branch.remote(place)
    if remote is None:
        return nobody
    forge = forge_of(address_of(place.repo, remote))
    return functools.partial(approved_by, place.repo, forge, remote)


def approved_by(repo: git.Repository, forge: Forge, remote: str, commit: str, name: str) -> str:
    """Who approved what the main branch says of a model as of `commit`, by their logins.

    `unknown` where no pull request is named, or the forge does not tell, or it was about another
    change.
    """
    decision = main_branch.decision(repo, commit, name, remote)
    if decision is None:
        return UNKNOWN
    number = number_of(git.text(repo, "log", "-1", "--format=%B", decision))
    if number is None:
        return UNKNOWN
    try:
        found = forge.approvals(number)
    except ForgeError:
        return UNKNOWN
    if found is None or not found.by or not _is_of(repo, found, remote, decision, name):
        return UNKNOWN
    return ", ".join(found.by)


def number_of(message: str) -> int | None:
    """The pull request that the message of a commit on the main branch names."""
    found = [it[1] for pattern in _NUMBERS if (it := pattern.search(message))]
    return int(found[0]) if found else None


def _is_of(repo: git.Repository, found: Approvals, remote: str, commit: str, name: str) -> bool:
    """Whether the commit merged what was approved, or has the file as it was approved."""
    if not re.fullmatch(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", found.head):
        return False
    if found.head in main_branch.parents_of(repo, commit)[1:]:
        return True
    try:
        if git.resolve(repo, f"{found.head}^{{commit}}") is None:
            git.fetch(repo, remote, [found.head])
    except GitError:
        return False
    path = path_of(name)
    blobs = [git.resolve(repo, f"{it}:{path}") for it in (found.head, commit)]
    return blobs[0] is not None and blobs[0] == blobs[1]
