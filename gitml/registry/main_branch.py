"""The main branch, which says what was decided: as it was fetched last, or as it is now.

It is the default branch of `origin`, and in a repository without remotes the local one; never the
branch that is checked out or looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

from gitml import git
from gitml.errors import GitError, shown
from gitml.git import Progress
from gitml.registry.files import path_of
from gitml.tracking import agreed
from gitml.tracking.place import Place


@dataclass(frozen=True, slots=True)
class Main:
    """The main branch: its name in words, its commit, and the remote that has it, if any."""

    name: str
    commit: str
    remote: str | None = None


def remote(place: Place) -> str | None:
    """The remote whose default branch decides; None in a repository without it."""
    name = git.settings(place.repo).get("checkout.defaultremote", "origin")
    return name if name in git.text(place.repo, "remote").split() else None


def known(place: Place) -> Main | None:
    """The main branch as it was fetched last; None when there is none to be seen."""
    found = agreed.default_branch(place)
    return None if found is None else Main(found.name, found.commit, remote(place))


def fetch(place: Place, progress: Progress | None = None) -> Main | None:
    """The main branch as the remote has it now; what tracks it here moves there.

    None when it has no commit yet. GitError when the remote can't be read.
    """
    name = remote(place)
    if name is None:
        return known(place)
    ref = git.remote_head(place.repo, name)
    if ref is None:
        return None
    short = ref.removeprefix("refs/heads/")
    tracking = f"refs/remotes/{name}/{short}"
    git.fetch(place.repo, name, [f"+{ref}:{tracking}"], progress)
    commit = git.resolve(place.repo, tracking)
    if commit is None:
        raise GitError(f"the branch {shown(short)} of {shown(name)} could not be fetched")
    return Main(f"{name}/{short}", commit, name)


def decision(repo: git.Repository, commit: str, name: str, remote: str | None = None) -> str | None:
    """The commit of the main branch that last changed a model's file, as of `commit`.

    A shallow clone shows every file as changed by the commit that it ends with; what is before that
    is fetched from `remote`. None where it can't be told.
    """
    path = path_of(name)
    log = ("log", "-1", "--first-parent", "--format=%H %P", commit, "--", path)
    found, *seen = git.attempt(repo, *log).stdout.decode().split() or [""]
    parents = parents_of(repo, found) if found else []
    if seen or not parents:
        return found or None
    if git.resolve(repo, f"{parents[0]}^{{commit}}") is None:
        if remote is None:
            return None
        try:
            git.fetch(repo, remote, [parents[0]])
        except GitError:
            return None
    before, now = (git.resolve(repo, f"{it}:{path}") for it in (parents[0], found))
    return found if before != now else decision(repo, parents[0], name, remote)


def parents_of(repo: git.Repository, commit: str) -> list[str]:
    """The parents that a commit names, also those that a shallow clone does not have."""
    head = next(git.read_objects(repo, [commit])).partition(b"\n\n")[0].decode("utf-8", "replace")
    words = (line.split(" ") for line in head.split("\n"))
    return [line[1] for line in words if line[0] == "parent"]
