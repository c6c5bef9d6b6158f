"""Collecting garbage: runs that are marked as deleted, and DVC objects that nothing names.

`plan` looks and changes nothing; `collect` does what a plan lists, after looking again. A run is
taken out of the ledger's tree by one commit, and its tombstone `deleted/<run id>` is honoured by
every merge for ever. Objects go afterwards: from the cache when no ledger, ref, work tree or
live run here names them, from the remote when also nothing on any git remote does, when they are
old enough not to be on the way from another clone, and when they were ever ours: several
projects may share a DVC remote.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from gitml import git, storage
from gitml.errors import GitmlError, UsageError, plural
from gitml.storage import StoredObject
from gitml.tracking import absent, exchange, mending, reachable, remotes, starting, sync
from gitml.tracking.commits import Identity, LedgerEdit
from gitml.tracking.marked import Marked, marked_runs
from gitml.tracking.place import Place

_DAY = 86_400.0
_FRESH = 3600.0  # seconds that an object in the cache may be on its way into a run


@dataclass(frozen=True, slots=True)
class Options:
    """What to collect: runs deleted at least `older_than` days ago, objects in the DVC remote too.

    Objects in the remote that are younger than `keep` days stay.
    """

    older_than: float = 0
    remote: bool = False
    keep: float = 14


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to collect. `kept` are marked runs that stay, with the reason.

    `remote` is where the objects `in_remote` are, None when they were not asked for.
    """

    runs: tuple[Marked, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    in_cache: tuple[StoredObject, ...] = ()
    in_remote: tuple[StoredObject, ...] = ()
    remote: storage.Remote | None = None
    options: Options = Options()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.runs or self.in_cache or self.in_remote)


@dataclass(frozen=True, slots=True)
class Collected:
    """What was collected: runs and objects, and what could not be done."""

    runs: tuple[str, ...] = ()
    from_cache: tuple[StoredObject, ...] = ()
    from_remote: tuple[StoredObject, ...] = ()
    problems: tuple[str, ...] = ()


def size_of(objects: Iterable[StoredObject]) -> int:
    """The bytes of objects, as far as their remote tells."""
    return sum(item.size or 0 for item in objects)


# -- looking ---------------------------------------------------------------------------------


def plan(place: Place, options: Options = Options(), progress: git.Progress | None = None) -> Plan:
    """What there is to collect; nothing is changed but that remotes are fetched from.

    Before a run goes for ever the ledger is united with the remote's: somebody may have restored
    it, or tagged it. For objects in the remote everything on every git remote must be seen:
    raises GitError when one can't be fetched, and UsageError in a shallow clone or without a DVC
    remote.
    """
    remote = _remote(place) if options.remote else None
    unasked: dict[str, str] = {}
    if remote is not None or marked_runs(place, options.older_than)[0]:
        unasked = _unite(place, remote is not None, progress)
    with remotes.everything_seen(place, progress) if remote else contextlib.nullcontext():
        marked, kept = marked_runs(place, options.older_than)
        runs = tuple(run for run in marked if run.run_id not in unasked)
        kept |= {run.run_id: unasked[run.run_id] for run in marked if run.run_id in unasked}
        gone = frozenset(run.run_id for run in runs)
        named = reachable.everything(place, _buried(place, gone))
        cache = _unnamed_in_cache(place, named)
        there = _unnamed_in_remote(place, remote, named, options.keep) if remote else ()
    return Plan(runs, kept, cache, there, remote, options)


def _unite(place: Place, is_must: bool, progress: git.Progress | None) -> dict[str, str]:
    """Take in the ledger and the tags of the remote.

    When it can't be asked, and need not be, the runs that it is known to have, with the reason.
    """
    try:
        pulled = exchange.pull(place, progress=progress) if remotes.has_git_remote(place) else None
        if pulled is not None and pulled.refused is not None:
            raise pulled.refused
    except GitmlError as error:
        if is_must:
            raise
        why = f"others have it, and may need it, but can't be asked: {error}"
        return dict.fromkeys(_published(place), why)
    return {}


def _published(place: Place) -> set[str]:
    """The runs that a remote had when it was fetched last."""
    ledgers = reachable.ledgers(place.repo)
    heads = {id for name, id in ledgers.items() if name.startswith("refs/remotes/")}
    return {run_id for head in heads for run_id in sync.run_ids(place.repo, head)}


def _remote(place: Place) -> storage.Remote:
    remote = place.remote()
    if remote is None:
        raise UsageError("the project has no DVC remote; run: gitml init --remote DIR_OR_URL")
    if git.text(place.repo, "rev-parse", "--is-shallow-repository") == "true":
        raise UsageError(
            "this clone is shallow, so not all that names an object can be seen;"
            " run: git fetch --unshallow"
        )
    return remote


def _buried(place: Place, more: Collection[str] = ()) -> dict[str, Collection[str]]:
    """For each ledger here, or that gitml shares runs through, the runs that do not count there.

    A run with a tombstone is gone for good wherever the ledgers meet. What a ledger of another
    remote lists counts as long as it lists it.
    """
    ours, ledgers = _own_ledgers(place), reachable.ledgers(place.repo)
    heads = [id for name, id in ledgers.items() if name in ours]
    gone = set(more).union(*(sync.tombstones(place.repo, id) for id in heads))
    return {**dict.fromkeys(ours & ledgers.keys(), gone), **_guards(place, gone)}


def _guards(place: Place, gone: Collection[str] = ()) -> dict[str, Collection[str]]:
    """For each ref that guards what is just being written, the runs that do not count there.

    It holds the ledger as it was: only runs that are not in the ledger yet are named by it alone.
    """
    local = place.ledger.local()
    if local is None:
        return {}
    known = {*gone, *sync.run_ids(place.repo, local), *sync.tombstones(place.repo, local)}
    return dict.fromkeys((ref.name for ref in git.refs(place.repo, mending.GUARDS)), known)


def _own_ledgers(place: Place) -> set[str]:
    book = place.ledger
    names = {book.ref, f"{remotes.REFS}0/heads/{book.short}"}
    with contextlib.suppress(UsageError):
        names.add(exchange.tracking_ref(place))
    return names


def _unnamed_in_cache(place: Place, named: Collection[str]) -> tuple[StoredObject, ...]:
    kept = reachable.with_files(place.cache, named)
    limit = time.time() - _FRESH
    return tuple(
        item
        for item in place.cache.objects()
        if item.md5 not in kept and (item.modified or 0) < limit
    )


def _unnamed_in_remote(
    place: Place, remote: storage.Remote, named: Collection[str], keep: float
) -> tuple[StoredObject, ...]:
    """The old objects in the remote that were ours and that nothing names any more."""
    there = {item.md5: item for item in storage.objects(remote)}
    ours = {item.md5 for item in place.cache.objects()}
    for head in set(reachable.ledgers(place.repo).values()):
        ours |= reachable.once_in_ledger(place.repo, head)
    kept = _with_files(place, remote, named, there)
    limit = time.time() - keep * _DAY
    gone = _with_files(place, remote, ours - kept, there) & there.keys() - kept
    return tuple(there[md5] for md5 in sorted(gone) if (there[md5].modified or limit) < limit)


def _with_files(
    place: Place, remote: storage.Remote, md5s: Iterable[str], there: Collection[str]
) -> set[str]:
    """The objects, and the files of those of the folders that the remote, or the cache, has.

    What folders are not there need is not there either: a remote that has a folder has its files.
    """
    wanted = set(md5s)
    folders = [
        storage.Pointer(md5, 0, 0) for md5 in wanted if md5.endswith(".dir") and md5 in there
    ]
    storage.fetch(place.cache, [remote], folders, only=())
    return reachable.with_files(place.cache, wanted)


# -- doing -----------------------------------------------------------------------------------


def collect(place: Place, plan: Plan, progress: git.Progress | None = None) -> Collected:
    """Do what a plan lists, as far as it still holds.

    Runs first; what is in the remote is deleted only after the remote's ledger has them no more.
    Raises GitmlError when that can't be reached: what was not deleted until then stays.
    """
    runs = _take_out(place, plan)
    problems: tuple[str, ...] = ()
    from_remote: tuple[StoredObject, ...] = ()
    if plan.remote is not None:
        if remotes.has_git_remote(place):
            exchange.push(place, progress=progress)
        from_remote, problems = _delete_in_remote(place, plan, plan.remote, progress)
    from_cache = _delete_in_cache(place, plan)
    place.cache.sweep()
    return Collected(runs, from_cache, from_remote, problems)


def _take_out(place: Place, plan: Plan) -> tuple[str, ...]:
    """Append the ledger commit that takes the runs out, as far as they are still marked."""
    now, _ = marked_runs(place, plan.options.older_than)
    listed = {run.run_id for run in plan.runs}
    runs = [run for run in now if run.run_id in listed]
    if not runs:
        return ()
    edit = LedgerEdit(
        f"gitml: {plural(len(runs), 'deleted run')} taken out",
        int(time.time()),
        {f"deleted/{run.run_id}": b"" for run in runs},
        tuple(run.folder for run in runs),
        _identity(place),
        body=absent.told((it.run_id, it.experiment, it.name) for it in runs),
    )
    place.ledger.append([edit])
    return tuple(run.run_id for run in runs)


def _identity(place: Place) -> Identity:
    return starting.identity(git.settings(place.repo))


def _delete_in_remote(
    place: Place, plan: Plan, remote: storage.Remote, progress: git.Progress | None
) -> tuple[tuple[StoredObject, ...], tuple[str, ...]]:
    """Delete objects in the remote that still nothing names; then look again, and put right."""
    with remotes.everything_seen(place, progress):
        named = reachable.everything(place, _guards(place))
    there = {item.md5 for item in storage.objects(remote)}
    kept = _with_files(place, remote, named, there)
    gone = {item.md5: item for item in plan.in_remote if item.md5 in there - kept}
    storage.delete(remote, gone)
    with remotes.everything_seen(place, progress):
        named = reachable.everything(place, _guards(place))
    needed = reachable.with_files(place.cache, named) & gone.keys()
    pointers = [storage.Pointer(md5, 0, 0 if md5.endswith(".dir") else None) for md5 in needed]
    lost = storage.push(place.cache, remote, pointers).missing
    problems = tuple(
        f"the object {md5} was deleted while a run that needs it was pushed; {storage.RESTORE}"
        for md5 in sorted(lost)
    )
    return tuple(item for md5, item in gone.items() if md5 not in needed - lost), problems


def _delete_in_cache(place: Place, plan: Plan) -> tuple[StoredObject, ...]:
    heads = reachable.ledgers(place.repo)
    named = reachable.everything(place, _buried(place))
    with place.ledger.locked():  # no run goes from its journal into the ledger meanwhile
        kept = reachable.with_files(place.cache, named | reachable.since(place, heads))
        gone = tuple(item for item in plan.in_cache if item.md5 not in kept)
        for item in gone:
            place.cache.remove(item.md5)
    return gone
