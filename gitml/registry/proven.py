"""Tags whose words are those of somebody who may sign them; what the others tell is only said."""

from __future__ import annotations

from collections.abc import Mapping

from gitml.errors import FormatError, GitError
from gitml.registry import main_branch, signers
from gitml.tracking.place import Place


def proven(place: Place, tags: Mapping[str, str]) -> frozenset[str]:
    """Of the tags, each an object's id by its name, those that are signed by who may sign them.

    Who may is what the main branch said when it was fetched last. None is where that says nobody,
    or can't be read, nor where the program that checks signatures is not here.
    """
    main = main_branch.known(place)
    try:
        listed = None if main is None else signers.read_at(place.repo, main.commit)
        bad = tags if listed is None else signers.unsigned(place.repo, tags, listed)
    except (FormatError, GitError):
        return frozenset()
    return frozenset(tags.keys() - bad.keys())
