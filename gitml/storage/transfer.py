"""Objects between the cache and a remote: whole, in an order that never breaks a promise.

The manifest of a folder is uploaded after all its files, and removed before them: a remote that
holds a manifest holds its files. What comes from a remote enters the cache only if its bytes
are what its id says. Nothing in a remote is ever removed but by `delete`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitml import faults
from gitml.errors import FormatError, GitmlError, StorageError, UsageError, shown
from gitml.files import remedy
from gitml.storage.cache import Cache, lacking
from gitml.storage.cloud import CloudStore
from gitml.storage.directory import DirectoryStore
from gitml.storage.folder import RESTORE, ObjectError, RemoteError, StoredObject
from gitml.storage.manifest import Entry
from gitml.storage.pointer import Pointer, is_dir
from gitml.storage.remote import Remote, without_secrets
from gitml.storage.store import Store

_NO_REMOTE = (
    "the artifact is not in the local cache, and the project has no DVC remote;"
    " add one with `gitml init --remote URL`"
)

# Called from any thread with the bytes moved so far and the bytes to move in all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class PushResult:
    """The objects that were pushed, that the remote had, and that it still lacks.

    An object is missing when neither the cache nor the remote has it, and a folder also when one
    of its files is: a pointer may be published if its md5 is not among `missing`.
    """

    pushed: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()


def push(
    cache: Cache, remote: Remote, pointers: Iterable[Pointer], progress: Progress | None = None
) -> PushResult:
    """Upload what the remote lacks of the pointers' objects, the files of folders included.

    An upload that was interrupted goes on where it was when this is called again. Raises
    `StorageError` when the remote or the disk refuses.
    """
    trees = _trees(cache, pointers)
    wanted = {md5 for root, children in trees.items() for md5 in (root, *children)}
    with reported(remote, "look into"):
        store = _open(remote)
        present = store.present(wanted)
    gone = {md5 for md5 in wanted - present if not cache.has(md5)}
    incomplete = {root for root, children in trees.items() if gone & {root, *children}}
    ready = wanted - present - gone - incomplete
    meter = _Meter(progress, sum(cache.path(md5).stat().st_size for md5 in ready))

    def upload(md5: str) -> None:
        source = cache.verified(md5)
        with reported(remote, f"write {md5} to"):
            faults.hit("push.artifacts")
            store.put(md5, source, meter.part())

    _each(upload, (md5 for md5 in ready if not is_dir(md5)), store.jobs)
    _each(upload, (md5 for md5 in ready if is_dir(md5)), store.jobs)
    return PushResult(frozenset(ready), frozenset(present), frozenset(gone | incomplete))


def missing(cache: Cache, remote: Remote, pointers: Iterable[Pointer]) -> frozenset[str]:
    """The objects that the remote lacks; a folder is among them when one of its files is.

    A folder whose manifest is not in the cache is asked for by its manifest alone, which a
    remote has only with all the files.
    """
    trees = _trees(cache, pointers)
    wanted = {md5 for root, children in trees.items() for md5 in (root, *children)}
    with reported(remote, "look into"):
        lacking = wanted - _open(remote).present(wanted)
    return frozenset(lacking | {root for root, children in trees.items() if lacking & children})


class FetchError(StorageError):
    """Something did not come: `reasons` tells why, by the ids of the files and folders asked for.

    `fetched` are the objects that came all the same.
    """

    def __init__(self, reasons: Mapping[str, str], fetched: frozenset[str]) -> None:
        more = len(set(reasons.values())) - 1
        super().__init__(next(iter(reasons.values())) + (f" (and {more} more)" if more else ""))
        self.reasons = reasons
        self.fetched = fetched


def fetch(
    cache: Cache,
    remotes: Sequence[Remote],
    pointers: Iterable[Pointer],
    progress: Progress | None = None,
    only: Iterable[str] | None = None,
) -> frozenset[str]:
    """Bring what the cache lacks of the pointers' objects; every byte that comes is hashed.

    Each object comes from the first of the `remotes` that gives it. `only` are paths in the
    folders, of files or of folders, to which to confine it. What can come does; raises
    `FetchError` when something is in no remote, or not what its id says: then it does not enter
    the cache, and stays in the remote as it is.
    """
    listed = {pointer.md5: pointer for pointer in pointers}
    trip = _Trip(cache, remotes)
    trip.bring((md5 for md5 in listed if is_dir(md5)), _Meter(None, 0))
    chosen = None if only is None else list(only)
    parts: dict[str, list[str]] = {}
    reasons: dict[str, str] = {}
    for md5 in listed:
        try:
            parts[md5] = trip.files(md5, chosen)
        except (StorageError, FormatError) as error:
            reasons[md5] = str(error)
    lacking = [md5 for md5, files in parts.items() if not all(map(cache.has, files))]
    meter = _Meter(progress, sum(listed[md5].size for md5 in lacking))
    trip.bring((file for md5 in lacking for file in parts[md5]), meter)
    for md5 in lacking:
        if lost := [file for file in parts[md5] if not cache.has(file)]:
            reasons[md5] = trip.reason(lost[0])
    if reasons:
        raise FetchError(reasons, frozenset(trip.fetched))
    return frozenset(trip.fetched)


def delete(remote: Remote, md5s: Iterable[str]) -> None:
    """Remove objects from the remote, the manifests of folders first. Raises `StorageError`."""
    listed = set(md5s)
    with reported(remote, "open"):
        store = _open(remote)

    def remove(md5: str) -> None:
        with reported(remote, f"delete {md5} from"):
            store.delete(md5)

    _each(remove, (md5 for md5 in listed if is_dir(md5)), store.jobs)
    _each(remove, (md5 for md5 in listed if not is_dir(md5)), store.jobs)


def objects(remote: Remote) -> Iterator[StoredObject]:
    """Every object in the remote, for the collector. Raises `StorageError`."""
    with reported(remote, "list"):
        yield from _open(remote).objects()


def selected(entries: list[Entry], only: Iterable[str]) -> list[Entry]:
    """The files at the paths `only`, or below them; raises `UsageError` for one that is none."""
    chosen: dict[str, Entry] = {}
    exact = {entry.relpath: entry for entry in entries}
    for path in only:
        if path in exact:
            chosen[path] = exact[path]
            continue
        prefix = path.rstrip("/") + "/"
        found = [entry for entry in entries if f"{entry.relpath}/".startswith(prefix)]
        if not found:
            raise UsageError(f"the artifact has no file {shown(path)}")
        chosen.update((entry.relpath, entry) for entry in found)
    return list(chosen.values())


# -- how -----------------------------------------------------------------------------------


def _open(remote: Remote) -> Store:
    if (option := remote.starting) is not None:
        raise StorageError(
            f"the DVC remote {remote} has the option {option} from the repository, whose files must"
            f" not say what to run; set it yourself: dvc remote modify --local NAME {option} VALUE"
        )
    return CloudStore(remote) if remote.scheme else DirectoryStore(remote)


def _trees(cache: Cache, pointers: Iterable[Pointer]) -> dict[str, frozenset[str]]:
    """Each pointer's object with the files of the folder that it is, as far as they are known."""
    trees: dict[str, frozenset[str]] = {}
    for md5 in {pointer.md5 for pointer in pointers}:
        known = is_dir(md5) and cache.has(md5)
        trees[md5] = frozenset(entry.md5 for entry in cache.manifest(md5)) if known else frozenset()
    return trees


class _Trip:
    """Brings objects into the cache, and remembers why some did not come."""

    def __init__(self, cache: Cache, remotes: Sequence[Remote]) -> None:
        self._cache = cache
        self._remotes = remotes
        self._stores: dict[int, Store] = {}
        self._errors: dict[str, list[GitmlError]] = {}
        self.fetched: set[str] = set()

    def bring(self, md5s: Iterable[str], meter: _Meter) -> None:
        """Fetch those of the objects that the cache lacks."""
        lacking = {md5 for md5 in md5s if not self._cache.has(md5)}
        if lacking and not self._remotes:
            self._note(lacking, StorageError(_NO_REMOTE))
        for number, remote in enumerate(self._remotes):
            lacking -= self.fetched
            if lacking:  # nothing is opened when nothing is lacking
                self._bring_from(number, remote, lacking, meter)

    def _bring_from(self, number: int, remote: Remote, md5s: set[str], meter: _Meter) -> None:
        tried: set[str] = set()

        def download(md5: str) -> None:
            draft = self._cache.temporary()
            try:
                with reported(remote, f"read {md5} from"), _present(remote, md5):
                    faults.hit("pull.artifacts")
                    store.get(md5, draft, meter.part())
                self._cache.admit(draft, md5, f"the DVC remote {remote}")
                self.fetched.add(md5)
            except ObjectError as error:
                self._note([md5], error)
            finally:
                draft.unlink(missing_ok=True)
            tried.add(md5)

        try:
            store = self._opened(number, remote)
            _each(download, md5s, store.jobs)
        except StorageError as error:  # of the remote or the disk: it ends what is left
            self._note(md5s - tried, error)

    def _opened(self, number: int, remote: Remote) -> Store:
        if number not in self._stores:
            with reported(remote, "open"):
                self._stores[number] = _open(remote)
        return self._stores[number]

    def files(self, md5: str, only: list[str] | None) -> list[str]:
        """The files of a folder, or those `only` that are asked for; a file is its own.

        Raises what explains why nobody can tell.
        """
        if not is_dir(md5):
            return [md5]
        if not self._cache.has(md5):
            raise StorageError(self.reason(md5))
        entries = self._cache.manifest(md5)
        return [file for _, file in (entries if only is None else selected(entries, only))]

    def _note(self, md5s: Iterable[str], error: GitmlError) -> None:
        for md5 in md5s:
            self._errors.setdefault(md5, []).append(error)

    def reason(self, md5: str) -> str:
        """Why it did not come: what is wrong with each of the remotes, and what to do."""
        errors = self._errors.get(md5) or [lacking(md5)]
        if len(errors) == 1:
            return str(errors[0])
        said = [error.what if isinstance(error, RemoteError) else str(error) for error in errors]
        advice = next((error.advice for error in errors if isinstance(error, RemoteError)), "")
        return "; ".join(filter(None, dict.fromkeys([*said, advice])))


def _each(act: Callable[[str], None], md5s: Iterable[str], jobs: int) -> None:
    """Do it for every object, several at a time; the first failure ends it."""
    listed = sorted(md5s)
    if len(listed) < 2:
        for md5 in listed:
            act(md5)
        return
    from concurrent.futures import ThreadPoolExecutor

    executor = ThreadPoolExecutor(min(jobs, len(listed)))
    try:
        for future in [executor.submit(act, md5) for md5 in listed]:
            future.result()
    finally:
        executor.shutdown(cancel_futures=True)


class _Meter:
    """Adds up what the threads have moved, and tells `progress`."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self._lock = threading.Lock()

    def part(self) -> Callable[[int], None]:
        """What a transfer of one object calls with the bytes of that object moved so far."""
        before = 0

        def moved(now: int) -> None:
            nonlocal before
            if self._progress is None or now <= before:
                return
            with self._lock:
                self._done += now - before
                self._progress(self._done, max(self._total, self._done))
            before = now

        return moved


@contextlib.contextmanager
def _present(remote: Remote, md5: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ObjectError(f"the DVC remote {remote} lacks the object {md5}", RESTORE) from None


@contextlib.contextmanager
def reported(remote: Remote, action: str) -> Iterator[None]:
    """Turn what the backend raises into a `StorageError` of one line, without credentials."""
    try:
        yield
    except GitmlError:
        raise
    except Exception as error:  # every backend has errors of its own
        said = without_secrets(str(error), remote) or type(error).__name__
        advice = remedy(error)
        raise StorageError(
            f"can't {action} the DVC remote {remote}: {said}{advice and '; '}{advice}"
        ) from error
