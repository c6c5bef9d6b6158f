"""Who approved what the main branch decided: asked of the forge, about the merged pull request.

Which one brought a commit only the forge knows: the message of a merge, or of a squashed commit,
may name any. Its approvals are taken when what was reviewed there is what the commit brought.
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


def nobody(commit: str, name: str) -> str:
    """What is said where no forge is asked."""
    return UNKNOWN


def of_forge(place: Place) -> Approver:
    """Who approved, as the forge of the main branch's remote tells, with the user's token."""
    remote = main_branch.remote(place)
    if remote is None:
        return nobody
    main = git.remote_head(place.repo, remote)
    if main is None:
        return nobody
    forge = forge_of(address_of(place.repo, remote))
    base = main.removeprefix("refs/heads/")
    return functools.partial(approved_by, place.repo, forge, remote, base)


def approved_by(
    repo: git.Repository, forge: Forge, remote: str, base: str, commit: str, name: str
) -> str:
    """Who approved what the main branch, `base`, says of a model as of `commit`, by their logins.

    `unknown` where the forge knows of no pull request that brought it there, or does not tell, or
    where that was about another change.
    """
    decision = main_branch.decision(repo, commit, name, remote)
    if decision is None:
        return UNKNOWN
    try:
        number = forge.merged(decision, base)
        found = None if number is None else forge.approvals(number)
    except ForgeError:
        return UNKNOWN
    if found is None or not found.by or not _is_of(repo, found, remote, decision, name):
        return UNKNOWN
    return ", ".join(found.by)


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
