"""Starting the workflow that evaluates and reproduces, on the main branch, for a proposal."""

from __future__ import annotations

from gitml import forge, git
from gitml.ci import needs
from gitml.ci.needs import Need
from gitml.errors import UsageError
from gitml.forge.finding import address_of
from gitml.git import Progress
from gitml.registry import main_branch
from gitml.tracking.place import Place

WORKFLOW = "gitml-evaluate.yml"


def ask(
    place: Place, base: str, branch: str, head: str = "HEAD", progress: Progress | None = None
) -> list[Need]:
    """Have CI run what the change `head` needs, which is proposed on a branch; what that is.

    Raises as `needs.needs`, and ForgeError when the workflow can't be started.
    """
    found = needs.needs(place, base, head, progress)
    if found:
        remote = main_branch.remote(place)
        main = None if remote is None else git.remote_head(place.repo, remote)
        if remote is None or main is None:
            raise UsageError("there is no remote with a main branch whose CI could be asked")
        client = forge.forge_of(address_of(place.repo, remote))
        client.dispatch(WORKFLOW, main.removeprefix("refs/heads/"), {"branch": branch})
    return found
