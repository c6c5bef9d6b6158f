"""Publishing a change: its commit goes to a branch of the remote, and the forge asks for a review.

In a repository without remotes the branch is made here, for the user to merge.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gitml import forge, git
from gitml.errors import ForgeError, GitError, UsageError, shown
from gitml.forge import Opened, Proposal
from gitml.forge.finding import address_of
from gitml.git import Progress, Pushed
from gitml.registry import beginning, describing
from gitml.registry.catalog import Catalog
from gitml.registry.change import Change
from gitml.registry.main_branch import Main
from gitml.tracking import refusals
from gitml.tracking.place import Place
from gitml.tracking.starting import identity

LABEL = "gitml"


@dataclass(frozen=True, slots=True)
class Published:
    """A change that others can see: its commit, on `branch`, to be merged into `base`.

    `opened` is where it is reviewed; None for a commit on the main branch itself, and in a
    repository without remotes.
    """

    branch: str
    base: str
    commit: str
    opened: Opened | None = None


def publish(
    place: Place,
    main: Main,
    change: Change,
    book: Catalog,
    *,
    is_last: bool = True,
    progress: Progress | None = None,
) -> Published | None:
    """Push the branch of a change and propose it; None when the branch moves meanwhile.

    `book` has the versions of the change, also those without a tag.
    A branch that is there already is brought up to date, never by force. Raises UsageError when it
    has changes of others, GitError when the remote refuses it, ForgeError when the forge does.
    """
    ref = f"refs/heads/{change.branch}"
    old = _fetched(place, main, ref, progress)
    base = main.commit if old or change.begins is None else _begun(place, main, change, progress)
    commit = _commit(place, main, change, old, base)
    if main.remote is None:
        git.update_refs(place.repo, [f"update {ref} {commit} {old or '0' * len(commit)}"])
        return Published(change.branch, _short(main), commit)
    if commit != old:
        (done,) = git.push(place.repo, main.remote, [f"{commit}:{ref}"], progress)
        if not _went(done, change.branch, is_last):
            return None
    published = Published(change.branch, _short(main), commit)
    return replace(published, opened=_propose(place, main, published, change, book))


def publish_direct(
    place: Place,
    main: Main,
    change: Change,
    book: Catalog,
    *,
    is_last: bool = True,
    progress: Progress | None = None,
) -> Published | None:
    """Put the change on the main branch; None when that moves meanwhile.

    Raises GitError when the remote refuses it, as one does that asks for reviews, and UsageError
    where the branch is checked out in a repository without remotes.
    """
    branch = _short(main)
    commit = _commit(place, main, change, None, main.commit)
    if main.remote is None:
        _check_free(place, branch, change)
        git.update_refs(place.repo, [f"update refs/heads/{branch} {commit} {main.commit}"])
        return Published(branch, branch, commit)
    (done,) = git.push(place.repo, main.remote, [f"{commit}:refs/heads/{branch}"], progress)
    if not _went(done, branch, is_last, "; or leave out --direct, which proposes it"):
        return None
    return Published(branch, branch, commit)


def _short(main: Main) -> str:
    """The main branch's own name."""
    return main.name if main.remote is None else main.name.removeprefix(f"{main.remote}/")


def _went(done: Pushed, branch: str, is_last: bool, hint: str = "") -> bool:
    """Whether a push was taken; GitError, with the hint, when another try is of no use."""
    if done.accepted:
        return True
    if done.raced and not is_last:
        return False
    why = refusals.reason(done.reason, branch)
    raise GitError(f"the remote refuses the branch {shown(branch)}: {why}{hint}")


# -- the commit ----------------------------------------------------------------------------


def _fetched(place: Place, main: Main, ref: str, progress: Progress | None) -> str | None:
    """The commit of the change's branch as it is now; None when there is no such branch."""
    if main.remote is None:
        return git.resolve(place.repo, ref)
    id = git.remote_refs(place.repo, main.remote, ref).get(ref)
    if id is not None and git.resolve(place.repo, f"{id}^{{commit}}") is None:
        tracking = ref.replace("refs/heads/", f"refs/remotes/{main.remote}/", 1)
        git.fetch(place.repo, main.remote, [f"+{ref}:{tracking}"], progress)
    return id


def _begun(place: Place, main: Main, change: Change, progress: Progress | None) -> str:
    """The commit that begins the model's file: that of another open promotion, else a new one."""
    found = beginning.shared(place, main, change, progress)
    if found is not None or change.begins is None:
        return found or main.commit
    text = beginning.message(change.name)
    return _made(place, [main.commit], {change.path: change.begins}, text)


def _commit(place: Place, main: Main, change: Change, old: str | None, base: str) -> str:
    """The commit to push: that of the branch, if it says the same, else one on `base`.

    It follows what the branch has, so that the branch only moves forward.
    """
    parents = [base]
    if old is not None and not git.is_ancestor(place.repo, old, main.commit):
        _check_own(place, main, change, old)
        if git.read_present(place.repo, [f"{old}:{change.path}"]) == [change.data]:
            return old
        parents.append(old)
    return _made(place, parents, {change.path: change.data}, change.message)


def _made(place: Place, parents: Sequence[str], files: Mapping[str, bytes], message: str) -> str:
    """A commit of the user's."""
    who = identity(git.settings(place.repo))
    when = f"{int(time.time())} {who.zone}"
    return git.commit_files(place.repo, parents, files, message, (who.name, who.email), when)


def _check_own(place: Place, main: Main, change: Change, old: str) -> None:
    """Refuse a branch on which somebody has changed more than the model's file."""
    base = git.text(place.repo, "merge-base", main.commit, old)
    changed = git.run(place.repo, "diff-tree", "-r", "-z", "--name-only", base, old).split(b"\0")
    if {*filter(None, changed)} - {change.path.encode()}:
        raise UsageError(
            f"the branch {shown(change.branch)} holds other changes, too; merge or delete it first"
        )


def _check_free(place: Place, branch: str, change: Change) -> None:
    """Refuse to move a branch under a work tree."""
    listed = git.text(place.repo, "worktree", "list", "--porcelain").splitlines()
    if f"branch refs/heads/{branch}" in listed and place.repo.root is not None:
        raise UsageError(
            f"{shown(branch)} is checked out here, and its files would stay behind; leave out"
            f" --direct, then run: git merge {change.branch}"
        )


# -- the forge -----------------------------------------------------------------------------


def _propose(
    place: Place, main: Main, published: Published, change: Change, book: Catalog
) -> Opened:
    """Ask the forge for a review; ForgeError says that the branch is there all the same."""
    address = address_of(place.repo, main.remote or "")
    proposal = Proposal(
        published.branch,
        published.base,
        change.title,
        describing.describe(place, main, change, book, address),
        (LABEL,),
    )
    try:
        return forge.forge_of(address).propose(proposal)
    except ForgeError as error:
        pushed = f"the branch {change.branch} is pushed, but no pull request was opened"
        raise ForgeError(f"{pushed}: {error}") from None
