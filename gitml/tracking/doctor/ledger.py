"""The ledger: whether it can be written, is whole, and its tree and its list of runs agree."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from gitml import git
from gitml.errors import GitError, UsageError, shown
from gitml.files import shown_path
from gitml.tracking import conditions, exchange, returning, store, sync
from gitml.tracking.doctor.finding import ERROR, NOTE, WARNING, Finding, finding_of
from gitml.tracking.doctor.restoring import restored
from gitml.tracking.ledger import Ledger
from gitml.tracking.names import is_run_id
from gitml.tracking.place import Place

REPAIR = "gitml doctor --fix"
BRING_BACK = "gitml recover --aside"
_DEPTH = 1000  # ledger commits whose objects are looked for
_SHOWN = 5


def room(place: Place) -> Iterator[Finding]:
    """Branches whose names leave no room for the ledger, and a ledger that is checked out."""
    book = place.ledger
    parts = book.short.split("/")
    for name in ("/".join(parts[:count]) for count in range(1, len(parts))):
        for ref in git.refs(place.repo, f"refs/heads/{name}", f"refs/remotes/*/{name}"):
            if not ref.name.endswith(f"/{name}"):
                continue  # the ledger itself, which lies below
            here = ref.name.startswith("refs/heads/")
            rename = ["git", "branch", "-m", name, f"{name}-old"]
            forget = ["git", "update-ref", "-d", ref.name]
            yield Finding(
                ERROR,
                f"the branch {shown(ref.name)} leaves no room for the ledger {book.short}",
                shlex.join(rename) + " && gitml recover" if here else shlex.join(forget),
            )
    for folder, branch in _checked_out(place.repo):
        if branch == book.ref:
            yield Finding(
                ERROR,
                f"the ledger {book.short} is checked out in {shown_path(Path(folder))},"
                " so no run can be recorded",
                shlex.join(["git", "-C", folder, "switch", "-"]) + " && gitml recover",
            )


def _checked_out(repo: git.Repository) -> Iterator[tuple[str, str]]:
    """The work trees and the branches that are checked out in them."""
    for part in git.text(repo, "worktree", "list", "--porcelain").split("\n\n"):
        fields = dict(line.partition(" ")[::2] for line in part.split("\n"))
        if "bare" not in fields:
            yield fields.get("worktree", ""), fields.get("branch", "")


def branch(place: Place) -> Iterator[Finding]:
    """A local ledger that can't be read, and objects that are missing in it."""
    book = place.ledger
    if is_broken(book):
        yield Finding(ERROR, f"the ledger {book.short} can't be read", REPAIR)
        return
    for ref in book.heads():
        try:
            conditions.check_ledger(place.repo, ref.name, ref.id)
        except GitError as error:
            yield finding_of(ERROR, str(error))
            continue
        problem = missing_object(place.repo, ref.id)
        if problem is not None:
            yield Finding(
                ERROR,
                f"{ref.name} is not whole: {problem}",
                refetch(place),
            )


def is_broken(book: Ledger) -> bool:
    """Whether there is a local branch that names no commit."""
    commit = book.local()
    if commit is None:
        return (book.repo.common_dir / book.ref).is_file()
    return not git.succeeds(book.repo, "cat-file", "-e", f"{commit}^{{tree}}")


def missing_object(repo: git.Repository, head: str) -> str | None:
    """What git says of an object that a ledger lacks, in its tree or its last commits.

    In a partial clone objects are fetched when they are needed: there is nothing to look for.
    """
    if any(key.endswith(".promisor") for key in git.settings(repo)):
        return None
    old = git.attempt(repo, "rev-parse", "--verify", "--quiet", f"{head}~{_DEPTH}")
    since = ["--not", old.stdout.decode().strip()] if old.returncode == 0 else []
    for what in ([f"{head}^{{tree}}"], [head, *since]):
        done = git.attempt(repo, "rev-list", "--objects", "--quiet", *what)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            return said[-1] if said else "git rev-list failed"
    return None


def refetch(place: Place) -> str:
    """The command that brings objects which are missing."""
    try:
        remote = exchange.remote_name(place)
    except UsageError:
        remote = "URL_OF_A_CLONE"
    return shlex.join(["git", "fetch", "--refetch", remote])


class Mismatch(NamedTuple):
    """Runs that only the ledger's list of commits has, with their run commits; only its tree."""

    not_in_tree: Mapping[str, str]
    not_in_list: frozenset[str]


def mismatch(place: Place) -> Mismatch:
    """Where tree and list of the local ledger disagree."""
    head = place.ledger.local()
    if head is None:
        return Mismatch({}, frozenset())
    in_tree = sync.run_ids(place.repo, head)
    listed = sync.run_commits(place.repo, head, None)
    return Mismatch(
        {run_id: commit for run_id, commit in listed.items() if run_id not in in_tree},
        frozenset(in_tree - listed.keys()),
    )


def agreement(place: Place) -> Iterator[Finding]:
    """Whether the ledger's tree holds the runs that its list of commits names."""
    if git.text(place.repo, "rev-parse", "--is-shallow-repository") == "true":
        yield Finding(
            NOTE, "this clone is shallow: older runs can't be seen", "git fetch --unshallow"
        )
        return
    if is_broken(place.ledger):
        return
    found = mismatch(place)
    if found.not_in_tree:
        yield Finding(ERROR, f"the ledger's tree lacks {_some(found.not_in_tree)}", REPAIR)
    if found.not_in_list:
        yield Finding(ERROR, f"no commit of the ledger names {_some(found.not_in_list)}", REPAIR)


def _some(run_ids: Mapping[str, str] | frozenset[str]) -> str:
    names = sorted(run_ids)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"run{'s' if len(names) > 1 else ''} {', '.join(names[:_SHOWN])}{more}"


def merged(place: Place) -> Iterator[Finding]:
    """Merges that somebody made by hand on the local ledger and that are not pushed yet."""
    book = place.ledger
    head = book.local()
    if head is None or is_broken(book):
        return
    try:
        there = git.resolve(place.repo, exchange.tracking_ref(place))
    except UsageError:
        there = None
    form = "--format=%H%x00%P%x00%(trailers:key=Run-Id,valueonly,separator=)"
    excluded = ("--not", there) if there else ()
    log = git.text(place.repo, "log", "--first-parent", form, head, *excluded)
    for commit, parents, run_id in (line.split("\0") for line in log.split("\n") if line):
        if " " in parents and not is_run_id(run_id):
            yield Finding(
                WARNING,
                f"somebody merged the ledger by hand, in commit {commit[:10]}; its runs are read as"
                " they are, and it becomes a line again with the next push",
                "gitml push",
            )


def readable(place: Place) -> Iterator[Finding]:
    """Files of runs that can't be read as what they should be."""
    if is_broken(place.ledger):
        return
    try:
        problems = store.index(place).unreadable()
    except GitError as error:
        yield finding_of(WARNING, str(error), refetch(place))
        return
    for path, problem in list(problems.items())[:_SHOWN]:
        yield Finding(WARNING, problem, _cure(place, path, problem))
    if len(problems) > _SHOWN:
        more = f"{len(problems) - _SHOWN} more files of runs can't be read"
        yield Finding(WARNING, more, REPAIR)


def _cure(place: Place, path: str, problem: str) -> str:
    if problem.endswith("upgrade gitml"):
        return "pip install --upgrade gitml"
    return REPAIR if restored(place.ledger, path) else ""


def aside(place: Place) -> Iterator[Finding]:
    """What `pull` and `push` set aside, why, and whether it can come back."""
    if is_broken(place.ledger):
        return
    for item in returning.look(place):
        for run_id in item.buried:
            what = f"run {run_id} is set aside: {sync.BURIED}; it can come back under a new id"
            yield Finding(WARNING, what, BRING_BACK)
        if item.changes:
            what = f"{shown(item.ref)} holds runs that the ledger lacks and can take in now"
            yield Finding(WARNING, what, BRING_BACK)
        for name, why in item.lost.items():
            what = f"{shown(name)} is set aside, and no command can bring it back: {why}"
            yield Finding(WARNING, what, item.let_go)
        if not (item.buried or item.changes or item.lost):
            what = f"{shown(item.ref)} holds nothing that the ledger lacks"
            yield Finding(NOTE, what, item.let_go)


CHECKS = (room, branch, agreement, merged, readable, aside)
