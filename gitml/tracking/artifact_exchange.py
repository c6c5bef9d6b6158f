"""The artifacts' part of push and pull: between the cache and DVC remotes, told run by run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from gitml import storage
from gitml.errors import StorageError, UsageError
from gitml.tracking import pointers, sync
from gitml.tracking.commits import RunChange
from gitml.tracking.ledger import ChangedError
from gitml.tracking.place import Place
from gitml.tracking.pointers import Stored
from gitml.tracking.recording import RUN_JSON

Progress = Callable[[str, int, int], None]

_NO_REMOTE = "run: gitml init --remote DIR_OR_URL"
_SHOWN = 10  # reasons


class Upload(NamedTuple):
    """What was uploaded for the runs of the local ledger `ours`, and the runs that lack some.

    `found` are the runs of which the remote had something already; see `secure`.
    """

    ours: str | None
    objects: int = 0
    withheld: Mapping[str, str] = {}
    found: Mapping[str, Stored] = {}


def upload(place: Place, there: str | None, progress: Progress | None) -> Upload:
    """Upload the artifacts that the ledger commit `there` of the git remote does not name yet."""
    ours, stored = _to_upload(place, there)
    if ours is None or not stored:
        return Upload(ours)
    remote = place.remote()
    if remote is None:
        why = f"its artifacts have no remote to go to; {_NO_REMOTE}"
        return Upload(ours, 0, dict.fromkeys(stored, why))
    if bare := [run_id for run_id, item in stored.items() if item.config is None]:
        commits = sync.run_commits(place.repo, ours, there)
        _add_configs(place, [commits[run_id] for run_id in bare], remote)
        ours, stored = _to_upload(place, there)
    try:
        result = storage.push(place.cache, remote, _all(stored), _bytes(progress))
    except StorageError as error:
        why = f"its artifacts could not be pushed: {error}"
        return Upload(ours, 0, dict.fromkeys(stored, why))
    return Upload(ours, len(result.pushed), _lost(stored, result), stored if result.present else {})


def secure(place: Place, found: Mapping[str, Stored]) -> Restored:
    """Upload again what the remote had when runs were about to be published, and has no more.

    Call it once they are: a collector of another clone that looked before did not know them, and
    one that looks from now on does.
    """
    remote = place.remote()
    if remote is None or not found:
        return Restored()
    try:
        result = storage.push(place.cache, remote, _all(found))
    except StorageError as error:
        return Restored(0, dict.fromkeys(found, f"its artifacts could not be looked for: {error}"))
    return Restored(len(result.pushed), _lost(found, result))


class Restored(NamedTuple):
    """How many objects were uploaded again, and the runs of which some are nowhere to be had."""

    objects: int = 0
    lost: Mapping[str, str] = {}


def restore(place: Place, progress: Progress | None) -> Restored:
    """Upload whatever the remote lacks of the artifacts of all runs in the ledger.

    Raises UsageError without a DVC remote, and StorageError when it refuses.
    """
    remote = place.remote()
    if remote is None:
        raise UsageError(f"the project has no DVC remote; {_NO_REMOTE}")
    head = place.ledger.head()
    stored = {} if head is None else pointers.in_ledger(place.repo, head)
    result = storage.push(place.cache, remote, _all(stored), _bytes(progress))
    return Restored(len(result.pushed), _lost(stored, result))


class Fetched(NamedTuple):
    """How many objects came, and why others did not."""

    objects: int = 0
    problems: tuple[str, ...] = ()


def fetch(place: Place, progress: Progress | None) -> Fetched:
    """Bring whatever the cache lacks of the artifacts of all runs in the ledger."""
    head = place.ledger.head()
    stored = {} if head is None else pointers.in_ledger(place.repo, head)
    count = 0
    reasons: dict[str, list[str]] = {}  # the runs that lack something, by the reason
    for run_id, item in stored.items():
        if item.problem:
            reasons.setdefault(item.problem, []).append(run_id)
    for config, remotes in pointers.sources(place, (it.config for it in stored.values())).items():
        group = {run_id: item for run_id, item in stored.items() if item.config == config}
        try:
            count += len(storage.fetch(place.cache, remotes, _all(group), _bytes(progress)))
        except storage.FetchError as error:
            count += len(error.fetched)
            for run_id, item in group.items():
                whys = (error.reasons.get(pointer.md5) for pointer in item.pointers)
                for why in dict.fromkeys(filter(None, whys)):
                    reasons.setdefault(why, []).append(run_id)
    return Fetched(count, tuple(_told(reasons)))


def _told(reasons: Mapping[str, list[str]]) -> Iterable[str]:
    for why, run_ids in list(reasons.items())[:_SHOWN]:
        who = f"{len(run_ids)} runs" if len(run_ids) > 1 else f"run {run_ids[0][-8:]}"
        yield f"artifacts of {who} could not be fetched: {why}"
    if len(reasons) > _SHOWN:
        yield f"{len(reasons) - _SHOWN} more objects could not be fetched"


def _to_upload(place: Place, there: str | None) -> tuple[str | None, dict[str, Stored]]:
    """The local ledger, and what its runs keep in DVC that `there` does not name."""
    ours = place.ledger.local()
    if ours is None or ours == there:
        return ours, {}
    return ours, pointers.in_ledger(place.repo, ours, there)


def _all(stored: Mapping[str, Stored]) -> list[storage.Pointer]:
    return [pointer for item in stored.values() for pointer in item.pointers]


def _lost(stored: Mapping[str, Stored], result: storage.PushResult) -> dict[str, str]:
    """The runs that may not be published, or should not have been, and why."""
    found = {}
    for run_id, item in stored.items():
        if lost := [p.md5 for p in item.pointers if p.md5 in result.missing]:
            found[run_id] = f"the objects {', '.join(lost)} are neither here nor in the remote"
        elif item.problem:
            found[run_id] = item.problem
    return found


def _add_configs(place: Place, commits: Iterable[str], remote: storage.Remote) -> None:
    """Give runs that were recorded without a remote the DVC configuration that names it."""
    text = storage.run_config_text(remote).encode()
    entries = [place.ledger.at(commit) for commit in commits]
    changes = [
        RunChange(
            record=entry.record,
            files={RUN_JSON: entry.blob, **entry.files, pointers.CONFIG: text},
            tree=None,
            parents=(entry.commit,),
            time=int(time.time()),
            what="remote",
            before=entry.blob,
        )
        for entry in entries
    ]
    with contextlib.suppress(ChangedError):  # somebody changes one now: then at the next push
        place.ledger.append(changes)


def _bytes(progress: Progress | None) -> storage.Progress | None:
    if progress is None:
        return None
    return lambda done, total: progress("artifacts", done, total)
