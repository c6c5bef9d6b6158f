"""Objects between the cache and a remote: whole, in an order that never breaks a promise.

The manifest of a folder is uploaded after all its files, and removed before them: a remote that
holds a manifest holds its files. What comes from a remote enters the cache only if its bytes
are what its id says. Nothing in a remote is ever removed but by `delete`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache as cached

from gitml import faults
from gitml.errors import GitmlError, StorageError, UsageError, shown
from gitml.storage.cache import Cache
from gitml.storage.cloud import CloudStore
from gitml.storage.directory import DirectoryStore
from gitml.storage.folder import StoredObject
from gitml.storage.manifest import Entry
from gitml.storage.pointer import Pointer, is_dir
from gitml.storage.remote import Remote, without_secrets
from gitml.storage.store import Store

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
    with _reported(remote, "look into"):
        store = _open(remote)
        present = store.present(wanted)
    gone = {md5 for md5 in wanted - present if not cache.has(md5)}
    incomplete = {root for root, children in trees.items() if gone & {root, *children}}
    ready = wanted - present - gone - incomplete
    meter = _Meter(progress, sum(cache.path(md5).stat().st_size for md5 in ready))

    def upload(md5: str) -> None:
        source = cache.verified(md5)
        with _reported(remote, f"write {md5} to"):
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
    with _reported(remote, "look into"):
        lacking = wanted - _open(remote).present(wanted)
    return frozenset(lacking | {root for root, children in trees.items() if lacking & children})


def fetch(
    cache: Cache,
    remote: Remote | None,
    pointers: Iterable[Pointer],
    progress: Progress | None = None,
    only: Iterable[str] | None = None,
) -> None:
    """Bring what the cache lacks of the pointers' objects; every byte that comes is hashed.

    `only` are paths in the folders, of files or of folders, to which to confine it. Raises
    `StorageError` naming the object when it is not in the remote, or not what its id says: then
    it does not enter the cache, and stays in the remote as it is.
    """
    listed = list(pointers)
    folders = {pointer.md5 for pointer in listed if pointer.is_dir}
    wanted = {pointer.md5 for pointer in listed} - folders
    sizes = {pointer.md5: pointer.size for pointer in listed}
    link = cached(lambda: _opened(remote))  # nothing is opened when nothing is lacking
    _download(cache, link, folders, _Meter(None, 0))
    chosen = None if only is None else list(only)
    for folder in folders:
        entries = cache.manifest(folder)
        wanted |= {md5 for _, md5 in (entries if chosen is None else selected(entries, chosen))}
    _download(cache, link, wanted, _Meter(progress, sum(sizes.values())))


def delete(remote: Remote, md5s: Iterable[str]) -> None:
    """Remove objects from the remote, the manifests of folders first. Raises `StorageError`."""
    listed = set(md5s)
    with _reported(remote, "open"):
        store = _open(remote)

    def remove(md5: str) -> None:
        with _reported(remote, f"delete {md5} from"):
            store.delete(md5)

    _each(remove, (md5 for md5 in listed if is_dir(md5)), store.jobs)
    _each(remove, (md5 for md5 in listed if not is_dir(md5)), store.jobs)


def objects(remote: Remote) -> Iterator[StoredObject]:
    """Every object in the remote, for the collector. Raises `StorageError`."""
    with _reported(remote, "list"):
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
    return CloudStore(remote) if remote.scheme else DirectoryStore(remote)


def _trees(cache: Cache, pointers: Iterable[Pointer]) -> dict[str, frozenset[str]]:
    """Each pointer's object with the files of the folder that it is, as far as they are known."""
    trees: dict[str, frozenset[str]] = {}
    for md5 in {pointer.md5 for pointer in pointers}:
        known = is_dir(md5) and cache.has(md5)
        trees[md5] = frozenset(entry.md5 for entry in cache.manifest(md5)) if known else frozenset()
    return trees


def _opened(remote: Remote | None) -> tuple[Remote, Store]:
    if remote is None:
        raise StorageError(
            "the artifact is not in the local cache, and the project has no DVC remote;"
            " add one with `gitml init --remote URL`"
        )
    with _reported(remote, "open"):
        return remote, _open(remote)


def _download(
    cache: Cache, link: Callable[[], tuple[Remote, Store]], md5s: Iterable[str], meter: _Meter
) -> None:
    lacking = [md5 for md5 in md5s if not cache.has(md5)]
    if not lacking:
        return
    remote, store = link()

    def download(md5: str) -> None:
        draft = cache.temporary()
        try:
            with _reported(remote, f"read {md5} from"), _present(remote, md5):
                store.get(md5, draft, meter.part())
            cache.admit(draft, md5, f"the DVC remote {remote}")
        finally:
            draft.unlink(missing_ok=True)

    _each(download, lacking, store.jobs)


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
        raise StorageError(
            f"the DVC remote {remote} lacks the object {md5}; push it from a clone that has it"
        ) from None


@contextlib.contextmanager
def _reported(remote: Remote, action: str) -> Iterator[None]:
    """Turn what the backend raises into a `StorageError` of one line, without credentials."""
    try:
        yield
    except GitmlError:
        raise
    except Exception as error:  # every backend has errors of its own
        said = without_secrets(str(error), remote) or type(error).__name__
        raise StorageError(f"can't {action} the DVC remote {remote}: {said}") from error
