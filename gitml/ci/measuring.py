"""Starting the workflow that evaluates and reproduces, on the main branch, for a proposal."""

from __future__ import annotations

from gitml import forge, git
from gitml.ci import needs
from gitml.ci.needs import Need
from gitml.errors import UsageError, shown
from gitml.forge import Forge
from gitml.forge.finding import address_of
from gitml.git import Progress
from gitml.registry import main_branch
from gitml.tracking.place import Place

WORKFLOW = "gitml-evaluate.yml"


def ask(
    place: Place,
    base: str,
    branch: str,
    head: str = "HEAD",
    run: str | None = None,
    progress: Progress | None = None,
) -> list[Need]:
    """Have CI run what the change `head` needs, which is proposed on a branch; what that is.

    `run` is the number of the check's run, which is to be started again afterwards. Raises as
    `needs.needs`, and ForgeError when the workflow can't be started.
    """
    found = needs.needs(place, base, head, progress)
    if found:
        remote, client = _client(place)
        main = git.remote_head(place.repo, remote)
        if main is None:
            raise UsageError("the remote has no main branch whose CI could be asked")
        inputs = {"branch": branch, "check": run or ""}
        client.dispatch(WORKFLOW, main.removeprefix("refs/heads/"), inputs)
    return found


def again(place: Place, run: str) -> None:
    """Have a run of CI started again, by its number. ForgeError when it can't be."""
    if not run.isdecimal():
        raise UsageError(f"{shown(run)} is no number of a run")
    _client(place)[1].again(run)


def _client(place: Place) -> tuple[str, Forge]:
    """The remote, and its forge."""
    remote = main_branch.remote(place)
    if remote is None:
        raise UsageError("there is no remote whose CI could be asked")
    return remote, forge.forge_of(address_of(place.repo, remote))
