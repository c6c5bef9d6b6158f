"""Runs that are made in a temporary copy of a repository belong to the repository itself.

`dvc exp run --temp` and `--queue` run in a copy of the project, a git repository of its own, which
DVC removes as soon as the experiment has ended, however that was. So nothing but the code of a run
is ever there: its journal is the project's from the first line, and the snapshot of its code is
brought over before that.
"""

from __future__ import annotations

from gitml import git
from gitml.tracking.place import Place


def bring(place: Place, ref: str | None) -> None:
    """Have the project hold the snapshot that `ref` holds in the copy, if this is one.

    GitError when that is impossible.
    """
    if place.copy is not None and ref is not None:
        git.fetch(place.repo, str(place.copy.common_dir), [f"{ref}:{ref}"])
