"""The commit that begins a model's file: a place for each stage, and no version in any.

Promotions that are open at once follow the same one, so that git sees what each of them changes and
merges them. If each brought a file of its own, the second could not be merged.
"""

from __future__ import annotations

from collections.abc import Iterator

from gitml import git
from gitml.git import Progress
from gitml.registry.change import PROMOTE, Change
from gitml.registry.main_branch import Main
from gitml.tracking.place import Place


def shared(
    place: Place, main: Main, change: Change, progress: Progress | None = None
) -> str | None:
    """The commit with which an open promotion of the model begins its file; None when none does."""
    tips = _tips(place, main, change.name, progress)
    found = (it for tip in tips for it in _beginnings(place.repo, main, change, tip))
    return next(found, None)


def message(name: str) -> str:
    """The message of such a commit."""
    return f"{name}: a file with a place for each stage\n"


def _tips(place: Place, main: Main, name: str, progress: Progress | None) -> list[str]:
    """The commits of the model's open promotions, which are here afterwards."""
    folder = f"refs/heads/{PROMOTE}/{name}"
    if main.remote is None:
        return [ref.id for ref in git.refs(place.repo, folder)]
    there = git.remote_refs(place.repo, main.remote, f"{folder}/*")
    tracking = f"refs/remotes/{main.remote}/"
    wanted = [
        f"+{ref}:{ref.replace('refs/heads/', tracking, 1)}"
        for ref, id in there.items()
        if git.resolve(place.repo, f"{id}^{{commit}}") is None
    ]
    if wanted:
        git.fetch(place.repo, main.remote, wanted, progress)
    return list(there.values())


def _beginnings(repo: git.Repository, main: Main, change: Change, tip: str) -> Iterator[str]:
    """The commits of a branch that begin the file as this change does, and do nothing else."""
    log = ("log", "--format=%H %P", tip, f"^{main.commit}", "--", f":(top){change.path}")
    for line in git.text(repo, *log).splitlines():
        commit, *parents = line.split()
        if len(parents) != 1 or not git.is_ancestor(repo, parents[0], main.commit):
            continue
        changed = git.run(repo, "diff-tree", "-r", "-z", "--name-only", parents[0], commit)
        is_alone = changed == change.path.encode() + b"\0"
        if is_alone and git.read_present(repo, [f"{commit}:{change.path}"]) == [change.begins]:
            yield commit
