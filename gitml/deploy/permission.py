"""What a repository may do with the access that its user has elsewhere.

The main branch says what is deployed where, and whoever may write there is trusted with the models
that run on this machine. To act with the user's rights in a cluster or a cloud, or by a command, is
another thing: he says so himself, in a configuration of git that no clone brings. There the key
`gitml.deploys` has a line for each place: the repository's URL, the target and where that leads.
"""

from __future__ import annotations

import os
import re
import shlex

from gitml import git
from gitml.errors import UsageError
from gitml.tracking.place import Place

KEY = "gitml.deploys"


def check(place: Place, *leads: str) -> None:
    """Refuse, with a UsageError that says how to allow it, what the user has not allowed.

    `leads` are the target and the words that say where it leads to, such as `kubernetes`, `prod`.
    """
    wanted = " ".join((address(place), *leads))
    if wanted not in _allowed(place):
        agree = shlex.join(["git", "config", "--global", "--add", KEY, wanted])
        raise UsageError(
            f"this repository deploys by {leads[0]} with your access, which you have not allowed"
            f" yet; if it may, run: {agree}"
        )


def address(place: Place) -> str:
    """What a repository is called there: the URL or folder of its `origin`, else its own."""
    own = git.settings(place.repo).get("remote.origin.url")
    return str(place.repo.common_dir) if own is None else named(place, own)


def named(place: Place, url: str) -> str:
    """A URL as it stands there: without a user, and a folder by its whole path."""
    there = git.folder_of(place.repo, url)
    return git.without_user_info(url) if there is None else os.path.abspath(there)


def _allowed(place: Place) -> set[str]:
    return {it for _, it in git.settings_of_user(place.repo, f"^{re.escape(KEY)}$")}
