"""Running the run of a version again, in a job that has nothing of the repository but its tag."""

from __future__ import annotations

from typing import IO

from gitml.ci import version
from gitml.projects import reproducing, tracked
from gitml.projects.reproducing import Reproduction, Wish
from gitml.projects.task import Tell
from gitml.registry.checking.ground import commit_of
from gitml.tracking.place import Place


def reproduce(
    place: Place, name: str, base: str, timeout: float | None, tell: Tell, stdout: IO[str]
) -> Reproduction:
    """Run the run of the version `name` again; raises as `gitml.projects.reproduce` does."""
    commit = commit_of(place, base)
    found = version.find(place, commit, name)
    wish = Wish(data=tracked.PULL, timeout=timeout)
    entry = place.ledger.at(found.item.commit)
    return reproducing.again(place, entry, wish, tell=tell, stdout=stdout)
