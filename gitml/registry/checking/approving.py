"""Who approves a change, as its forge tells, if it tells of the very commit that is checked."""

from __future__ import annotations

from gitml import forge, git
from gitml.errors import shown
from gitml.forge.finding import address_of
from gitml.registry import main_branch
from gitml.tracking.place import Place


def approved(place: Place, number: int, head: str) -> tuple[tuple[str, ...] | None, str]:
    """The people who approve pull request `number`, None where nobody can tell, and then why.

    `head` is the revision that is checked: the tip of the pull request, or its merge. Raises
    ForgeError when the forge refuses.
    """
    remote = main_branch.remote(place)
    if remote is None:
        return None, "the repository has no remote"
    found = forge.forge_of(address_of(place.repo, remote)).approvals(number)
    if found is None:
        return None, "the forge was not asked: there is no token, or no API is known"
    if found.head not in _tips(place.repo, head):
        return None, f"the pull request is at {shown(found.head[:12])} by now, which is not checked"
    return found.by, ""


def _tips(repo: git.Repository, head: str) -> list[str]:
    """A commit and, of a merge, its parents, which a shallow clone does not have but names.

    A forge merges the tip of a pull request into the base for the job that checks it. The parent
    of any other commit was approved without what the commit adds.
    """
    commit = git.text(repo, "rev-parse", "--verify", "--end-of-options", f"{head}^{{commit}}")
    text = next(git.read_objects(repo, [commit])).partition(b"\n\n")[0].decode("utf-8", "replace")
    words = [line.split(" ") for line in text.split("\n")]
    parents = [line[1] for line in words if line[0] == "parent"]
    return [commit, *(parents if len(parents) > 1 else ())]
