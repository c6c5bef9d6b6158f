"""Promotion: a branch with one commit that gives a stage to a version, for others to review.

The commit is made on the main branch as the remote has it now, without a work tree: whatever the
user is in the middle of stays as it is. Rollback goes the same way, so history only moves forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gitml import git
from gitml.errors import UsageError, shown
from gitml.git import Progress
from gitml.registry import (
    change,
    desired,
    files,
    main_branch,
    policy,
    publishing,
    untagged,
    verified,
)
from gitml.registry.catalog import Catalog, Registered
from gitml.registry.change import PROMOTE, ROLLBACK, Change
from gitml.registry.entries import VersionEntry
from gitml.registry.gates import metrics_of
from gitml.registry.main_branch import Main
from gitml.registry.policy import Policy
from gitml.registry.proposing import Published, publish, publish_direct
from gitml.registry.version import Version
from gitml.tracking import registry_tags
from gitml.tracking.place import Place

_TRIES = 20


@dataclass(frozen=True, slots=True)
class Promotion:
    """What came of it: `change` is None where the version holds the stage already.

    The version's tag is made after the merge where it `waits`.
    """

    name: str
    stage: str
    version: Version
    change: Change | None = None
    published: Published | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """The main branch now: its policy, and a model's file, None where it has none.

    `book` has the versions with a tag, and those that wait for a promotion.
    """

    main: Main
    policy: Policy
    data: bytes | None
    book: Catalog


def promote(
    place: Place,
    name: str,
    stage: str,
    version: str = "latest",
    *,
    direct: bool = False,
    progress: Progress | None = None,
) -> Promotion:
    """Propose that a version of a model takes a stage, in a branch and a pull request.

    With `direct` the main branch itself gets the commit, in a repository without review. Raises
    UsageError for a model, version or stage that is not there, FormatError for a version that its
    run does not bear out, GitError when the remote refuses, ForgeError when the forge does.
    """

    def choose(decided: Decided) -> Version:
        return decided.book.version(name, version).version

    return _perform(place, PROMOTE, name, stage, choose, direct, progress)


def rollback(
    place: Place, name: str, stage: str, *, direct: bool = False, progress: Progress | None = None
) -> Promotion:
    """Propose that the version which held a stage before takes it again. Raises as `promote`."""

    def choose(decided: Decided) -> Version:
        held = _held(place, decided.main.commit, name, decided.policy.check_stage(stage))
        return change.former(name, stage, held)

    return _perform(place, ROLLBACK, name, stage, choose, direct, progress)


def _perform(
    place: Place,
    verb: str,
    name: str,
    stage: str,
    choose: Callable[[Decided], Version],
    direct: bool,
    progress: Progress | None,
) -> Promotion:
    send = publish_direct if direct else publish
    for left in reversed(range(_TRIES)):
        decided = _decided(place, name, progress)
        wanted = decided.policy.check_stage(stage)
        version = choose(decided)
        item = decided.book.version(name, str(version))
        found = change.take_stage(
            verb, name, wanted, version, _entry(place, item, decided, wanted), decided.data,
            decided.policy.stages,
        )  # fmt: skip
        if found is None:
            return Promotion(name, wanted, version)
        published = send(
            place, decided.main, found, decided.book, is_last=not left, progress=progress
        )
        if published is not None:  # else the branch has moved meanwhile
            return Promotion(name, wanted, version, found, published, item.waits)
    raise AssertionError("the last try tells why it fails")


def _decided(place: Place, name: str, progress: Progress | None) -> Decided:
    main = main_branch.fetch(place, progress)
    if main is None:
        raise UsageError("there is no main branch to propose a change of; push one first")
    if (shared := publishing.remote(place)) is not None:
        there = git.remote_refs(place.repo, shared, f"refs/tags/{name}@v*")
        registry_tags.pull(place, shared, there, progress)
    names = [f"{main.commit}:{policy.FILE_NAME}", f"{main.commit}:{files.path_of(name)}"]
    rules, data = git.read_present(place.repo, names)
    path = files.path_of(name)
    now = {} if data is None else {name: files.parse(data, path)}
    rule = Policy() if rules is None else policy.parse(rules)
    return Decided(main, rule, data, untagged.book(place, now))


def _entry(place: Place, item: Registered, decided: Decided, stage: str) -> VersionEntry:
    """The line of a version, borne out by its run, which must be this repository's own."""
    now = desired.NOTHING
    if decided.data is not None:
        now = files.parse(decided.data, files.path_of(item.name))
    untagged.check_own(place, item)
    verified.check_decided(item, now)
    run = verified.entry_of(place, item)
    if not verified.is_ours(place, item):
        raise UsageError(
            f"the run of {item.name} {item.version} is not in this repository's ledger"
            f" {shown(place.ledger.short)}; run: gitml pull"
        )
    gates = (*decided.policy.gates.get(stage, ()), *now.gates.get(stage, ()))
    metrics = change.key_metrics(run.record.metrics, metrics_of(gates))
    note = item.note
    return VersionEntry(note.run_id, item.commit, note.path, note.digest, metrics)


def _held(place: Place, commit: str, name: str, stage: str) -> Iterator[Version | None]:
    """The versions that held a stage by the main branch's history, the oldest first."""
    path = files.path_of(name)
    listed = ("log", "--first-parent", "--reverse", "--format=%H", commit, "--", f":(top){path}")
    commits = git.text(place.repo, *listed).split()
    for data in git.read_present(place.repo, [f"{it}:{path}" for it in commits]):
        if data is not None:
            yield files.parse(data, path).stages.get(stage)
