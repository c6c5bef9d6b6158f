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
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gitml import documents, git, storage
from gitml.errors import GitError, GitmlError, UsageError, shown
from gitml.storage import StoredObject
from gitml.tracking import absent, exchange, experiment, mending, reachable, starting, store, sync
from gitml.tracking.commits import Identity, LedgerEdit
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord, from_document

_DAY = 86_400.0
_FRESH = 3600.0  # seconds that an object in the cache may be on its way into a run
_SEEN = "refs/gitml/gc/"  # what the git remotes hold, while it is being looked at


@dataclass(frozen=True, slots=True)
class Options:
    """What to collect: runs deleted at least `older_than` days ago, objects in the DVC remote too.

    Objects in the remote that are younger than `keep` days stay.
    """

    older_than: float = 0
    remote: bool = False
    keep: float = 14


class Marked(NamedTuple):
    """A run that is marked as deleted, since about `time` (seconds)."""

    run_id: str
    name: str
    experiment: str
    folder: str
    time: int


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
    if remote is not None or _marked(place, options)[0]:
        unasked = _unite(place, remote is not None, progress)
    with _everything_seen(place, progress) if remote else contextlib.nullcontext():
        marked, kept = _marked(place, options)
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
        pulled = exchange.pull(place, progress=progress) if _has_git_remote(place) else None
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


@contextlib.contextmanager
def _everything_seen(place: Place, progress: git.Progress | None) -> Iterator[None]:
    """Hold all branches and tags of all git remotes for the length of a block."""
    names = git.text(place.repo, "remote").split()
    if _has_git_remote(place):
        names.insert(0, exchange.remote_name(place))  # see _own_ledgers
    _forget(place)
    try:
        for number, name in enumerate(dict.fromkeys(names)):
            kinds = [f"+refs/{kind}/*:{_SEEN}{number}/{kind}/*" for kind in ("heads", "tags")]
            try:
                git.fetch(place.repo, name, kinds, progress)
            except GitError as error:
                raise GitError(
                    f"the git remote {shown(name)} can't be read, and may name objects that would"
                    f" be deleted ({error}); run: git remote remove {name}, if it is gone for ever"
                ) from None
        yield
    finally:
        _forget(place)


def _forget(place: Place) -> None:
    refs = git.refs(place.repo, _SEEN)
    if refs:
        git.update_refs(place.repo, [f"delete {ref.name}" for ref in refs])


def _marked(place: Place, options: Options) -> tuple[tuple[Marked, ...], dict[str, str]]:
    """The runs that are marked for long enough, and those of them that have to stay."""
    book = store.index(place)
    rows = book.search(view="deleted")
    if not rows:
        return (), {}
    experiments = {item.id: item for item in book.experiments() if item.deleted}
    texts = git.read_objects(place.repo, [blob for row in rows for blob in row.blobs])
    times = _times(place, experiments)
    limit = time.time() - options.older_than * _DAY
    found = []
    for row in rows:
        sides = [from_document(documents.load_json(next(texts), row.folder)) for _ in row.blobs]
        since = max(times.get(row.run_id, 0), times.get(row.experiment_id, 0))
        is_marked = row.experiment_id in experiments or _is_deleted(sides)
        if is_marked and (not options.older_than or since <= limit):
            found.append(Marked(row.run_id, row.name, row.experiment, row.folder, since))
    kept = _standing(place)
    kept |= {
        run.run_id: "it is being written to"
        for run in found
        if place.live_run(run.run_id).folder.is_dir()
    }
    ids = {run.run_id for run in found}
    return (
        tuple(run for run in found if run.run_id not in kept),
        {run_id: why for run_id, why in kept.items() if run_id in ids},
    )


def _is_deleted(sides: Iterable[RunRecord]) -> bool:
    """Whether a run is deleted, as a merge of what the ledgers say would have it."""
    return max(sides, key=lambda side: (side.stamp("deleted"), side.deleted)).deleted


def _times(place: Place, experiments: Iterable[str]) -> dict[str, int]:
    """When (seconds) each run, and each of the experiments, was changed last."""
    head = place.ledger.head()
    if head is None:
        return {}
    form = "--format=%ct %(trailers:key=Run-Id,valueonly,separator=)"
    found: dict[str, int] = {}
    for line in git.text(place.repo, "log", "--first-parent", form, head).split("\n"):
        date, _, run_id = line.partition(" ")
        found.setdefault(run_id, int(date))
    for id in experiments:
        path = experiment.experiment_path(id)
        date = git.text(place.repo, "log", "-1", "--first-parent", "--format=%ct", head, "--", path)
        found[id] = int(date or 0)
    return found


def _standing(place: Place) -> dict[str, str]:
    """The runs that a tag stands on, with the reason to keep them."""
    refs = ("refs/tags", f"{_SEEN}*/tags/**")
    lines = git.text(place.repo, "for-each-ref", sync.PEELED, *refs).split("\n")
    tags = {commit: name for name, _, commit in (line.partition(" ") for line in lines if line)}
    return {
        run_id: f"the tag {tags[commit].partition('tags/')[2]} stands on it"
        for commit, run_id in sync.runs_of(place.repo, tags).items()
    }


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
    names = {book.ref, f"{_SEEN}0/heads/{book.short}"}
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
        if _has_git_remote(place):
            exchange.push(place, progress=progress)
        from_remote, problems = _delete_in_remote(place, plan, plan.remote, progress)
    from_cache = _delete_in_cache(place, plan)
    place.cache.sweep()
    return Collected(runs, from_cache, from_remote, problems)


def _take_out(place: Place, plan: Plan) -> tuple[str, ...]:
    """Append the ledger commit that takes the runs out, as far as they are still marked."""
    now, _ = _marked(place, plan.options)
    listed = {run.run_id for run in plan.runs}
    runs = [run for run in now if run.run_id in listed]
    if not runs:
        return ()
    edit = LedgerEdit(
        f"gitml: {len(runs)} deleted run{'s' if len(runs) > 1 else ''} taken out",
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


def _has_git_remote(place: Place) -> bool:
    try:
        exchange.remote_name(place)
    except UsageError:
        if git.text(place.repo, "remote"):
            raise
        return False
    return True


def _delete_in_remote(
    place: Place, plan: Plan, remote: storage.Remote, progress: git.Progress | None
) -> tuple[tuple[StoredObject, ...], tuple[str, ...]]:
    """Delete objects in the remote that still nothing names; then look again, and put right."""
    with _everything_seen(place, progress):
        named = reachable.everything(place, _guards(place))
    there = {item.md5 for item in storage.objects(remote)}
    kept = _with_files(place, remote, named, there)
    gone = {item.md5: item for item in plan.in_remote if item.md5 in there - kept}
    storage.delete(remote, gone)
    with _everything_seen(place, progress):
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
