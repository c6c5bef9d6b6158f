"""What is recorded in a temporary copy of a repository goes to the repository itself.

`dvc exp run --temp` and `--queue` run in a copy of the project, a git repository of its own, which
DVC removes as soon as the experiment has ended: runs that stayed there would be lost.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

from gitml import git
from gitml.errors import GitError, GitmlError
from gitml.tracking import mending, sync
from gitml.tracking.place import Place


class HandoverWarning(UserWarning):
    """A run is in a temporary repository only."""


def hand_over(place: Place) -> None:
    """Write all runs of a temporary copy to the original's ledger too; a warning if that fails."""
    if place.original is None:
        return
    try:
        _give(place, place.original)
    except (GitmlError, OSError) as error:
        warnings.warn(
            f"the run is recorded in a temporary folder of DVC only, {place.repo.place}, which"
            f" DVC removes: {error}",
            HandoverWarning,
            stacklevel=2,
        )


def _give(place: Place, original: git.Repository) -> None:
    book = replace(place.ledger, repo=original)
    guard = mending.new_guard()
    git.fetch(original, str(place.repo.common_dir), [f"{book.ref}:{guard}"])
    head = git.resolve(original, guard)
    if head is None:
        raise GitError(f"{book.short} of {place.repo.common_dir} did not arrive")
    with book.locked():
        onto = book.head()
        if onto is None:
            book.move(None, head)
            return
        changes, aside = sync.missing_changes(book, head, onto)
        sync.keep_aside(book, head, aside)
        book.rewrite(onto, changes, book.local())
    if aside:
        raise GitError("; ".join(f"{name}: {why}" for name, why in aside.items()))
