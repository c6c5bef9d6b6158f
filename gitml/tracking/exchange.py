"""Push and pull: the ledger, registry tags and artifacts, through git and DVC alone.

Artifacts go first, then the ledger, then tags, so that nothing published names an object that
cannot be had. A race with another clone ends in another round of fetch, unite and push.
"""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gitml import documents, faults, git, storage
from gitml.errors import GitError, StorageError, UsageError, shown
from gitml.tracking import aside, refusals, registry_tags, sync, units
from gitml.tracking.commits import RUN_FOLDER, RunChange
from gitml.tracking.ledger import ChangedError
from gitml.tracking.place import Place
from gitml.tracking.record import from_document
from gitml.tracking.recording import RUN_JSON
from gitml.tracking.storing import DVC_CONFIG

_SECONDS = 120.0
_URL_REMOTE = "gitml-ledger"  # the name of the tracking ref when the remote is given as a URL
_SNAPSHOT = "gitml: snapshot"  # how the subject of a commit that holds a snapshot begins

_LOST = "the remote's ledger was deleted; the runs that are here are kept, and pushed again"
_REWRITTEN = "the remote's ledger was rewritten; the runs that it lost are kept, and pushed again"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What a push or pull did.

    `runs` are the runs that went over (push) or came in (pull), `merged` those that had changed
    on both sides. `withheld` maps a run that stays local to the reason. `local_commits` counts
    code commits that only this clone had until the push published them.
    """

    runs: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    objects: int = 0
    withheld: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    local_commits: int = 0


def remote_name(place: Place) -> str:
    """The remote of the ledger, a name or a URL; UsageError when the repository has none."""
    wanted = place.settings.ledger.remote
    if "/" in wanted or ":" in wanted:
        return wanted
    names = git.text(place.repo, "remote").split()
    if wanted in names:
        return wanted
    raise UsageError(
        f"the repository has no remote {shown(wanted)}; run: git remote add {wanted} URL"
        if not names
        else f"there is no remote {shown(wanted)}; name one of {', '.join(names)} as"
        " ledger.remote in gitml.yaml"
    )


def tracking_ref(place: Place) -> str:
    """The remote-tracking ref of the ledger."""
    name = remote_name(place)
    folder = name if re.fullmatch(r"[\w.-]+", name) else _URL_REMOTE
    return f"refs/remotes/{folder}/{place.ledger.short}"


# -- pull ------------------------------------------------------------------------------------


class _Fetched(NamedTuple):
    """The remote's ledger, the runs in it that were not here, and what came of uniting."""

    head: str | None
    runs: Mapping[str, str]
    merged: tuple[str, ...]
    problems: tuple[str, ...]


def pull(place: Place, *, artifacts: bool = False, progress: Progress | None = None) -> Report:
    """Bring in the runs and tags of the remote; with `artifacts`, what their pointers name too."""
    remote, book = remote_name(place), place.ledger
    there = git.remote_refs(place.repo, remote, book.ref, *registry_tags.PATTERNS)
    fetched = _fetch_ledger(place, remote, there.get(book.ref), progress)
    tags, clashes = registry_tags.pull(place, remote, there, progress)
    moved = _pull_artifacts(place, fetched.runs.values(), progress) if artifacts else 0
    problems = (*fetched.problems, *clashes)
    return Report(tuple(fetched.runs), fetched.merged, tags, moved, problems=problems)


def _fetch_ledger(
    place: Place, remote: str, theirs: str | None, progress: Progress | None
) -> _Fetched:
    """Fetch the ledger and unite it with the local one.

    A remote that lost runs which this clone has seen, because somebody deleted or rewrote its
    ledger, is told of; the local ledger keeps them.
    """
    book, tracking = place.ledger, tracking_ref(place)
    known = git.resolve(place.repo, tracking)
    if theirs is not None and known != theirs:
        git.fetch(place.repo, remote, [f"+{book.ref}:{tracking}"], progress)
    head = None if theirs is None else git.resolve(place.repo, tracking) or theirs
    faults.hit("pull.merge")
    merged: tuple[str, ...] = ()
    lost = known is not None and (head is None or not git.is_ancestor(place.repo, known, head))
    if lost and known is not None and git.succeeds(place.repo, "cat-file", "-e", f"{known}:"):
        merged = sync.unite(book, known).merged
    if head is None:
        return _Fetched(None, {}, merged, (_LOST,) if lost else ())
    came = sync.run_commits(place.repo, head, book.local())
    merged += sync.unite(book, head).merged
    return _Fetched(head, came, merged, (_REWRITTEN,) if lost else ())


def _pull_artifacts(place: Place, commits: Iterable[str], progress: Progress | None) -> int:
    """Bring what the pointers of runs name into the cache; how many pointers there are."""
    entries = _entries(place, {str(at): commit for at, commit in enumerate(commits)})
    pointers = [pointer for entry in entries.values() for pointer in entry.pointers]
    storage.fetch(place.cache, place.remote(), pointers, _bytes(progress, "artifacts"))
    return len(pointers)


# -- push ------------------------------------------------------------------------------------


def push(place: Place, *, progress: Progress | None = None, seconds: float = _SECONDS) -> Report:
    """Publish what the remote lacks: artifacts, then runs, then registry tags.

    A run whose artifacts no remote can hold, or that the remote refuses, stays local and is named
    in the report; the others go through. Raises GitmlError when nothing could go.
    """
    deadline = time.monotonic() + seconds
    refused: dict[str, str] = {}
    total = Report()
    for attempt in range(1000):
        total, tried = _push_once(place, refused, total, progress)
        if tried is None or _is_done(place, tried, total.withheld):
            break
        outcome = tried.outcome
        if not outcome.accepted and not _may_pass(place, outcome):
            sent, blamed = aside.culprit(place, remote_name(place), tried.head, progress)
            refused |= blamed
            total = replace(total, runs=_joined(total.runs, sent))
            if len(refused) >= aside.MOST_BLAMED and not total.runs:
                raise _refusal(place, outcome.reason)
        if time.monotonic() > deadline:
            raise GitError(f"the push failed again and again: {outcome.reason}; try again later")
        if outcome.raced:
            time.sleep(random.uniform(0.1, 1.0) * min(0.05 * 2**attempt, 3.0))
    tags, problems = registry_tags.push(place, remote_name(place), total.withheld, progress)
    return replace(total, tags=tags, problems=(*total.problems, *problems))


class _Tried(NamedTuple):
    """A ledger commit that was pushed, and what became of it."""

    head: str
    outcome: git.Pushed


def _is_done(place: Place, tried: _Tried, withheld: Collection[str]) -> bool:
    """Whether all went that may go: nothing was recorded or moved meanwhile."""
    book = place.ledger
    head = tried.head
    return tried.outcome.accepted and head == aside.head_without(book, book.local(), head, withheld)


def _joined(some: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*some, *more)))


def _may_pass(place: Place, outcome: git.Pushed) -> bool:
    """Whether a refused push lost a race; raises GitError when the remote takes no run at all."""
    known = refusals.explain(outcome.reason, place.ledger.short)
    if known is not None and not known.of_run:
        raise _refusal(place, outcome.reason)
    return outcome.raced


def _refusal(place: Place, said: str) -> GitError:
    why = refusals.reason(said, place.ledger.short)
    return GitError(f"the remote refuses the ledger: {why}", stderr=said)


def _push_once(
    place: Place, refused: Mapping[str, str], total: Report, progress: Progress | None
) -> tuple[Report, _Tried | None]:
    """One round: fetch, unite, upload, push.

    The report so far, and what was pushed; None when there is nothing left to push.
    """
    remote, book = remote_name(place), place.ledger
    there = git.remote_refs(place.repo, remote, book.ref).get(book.ref)
    fetched = _fetch_ledger(place, remote, there, progress)
    upload = _push_artifacts(place, fetched.head, progress)
    withheld = {**upload.withheld, **refused}
    head = aside.head_without(book, upload.ours, fetched.head, withheld)
    total = replace(
        total,
        merged=_joined(total.merged, fetched.merged),
        objects=total.objects + upload.objects,
        withheld=withheld,
        problems=_joined(total.problems, fetched.problems),
    )
    if head is None or head == fetched.head:
        return total, None
    faults.hit("push.refs")
    runs = sync.run_commits(place.repo, head, fetched.head)
    commits = _local_commits(place, head)
    outcome = git.push(place.repo, remote, [f"{head}:{book.ref}"], progress)[0]
    if outcome.accepted:
        _remember(place, head)
        commits += total.local_commits
        total = replace(total, runs=_joined(total.runs, runs), local_commits=commits)
    return total, _Tried(head, outcome)


class _Entry(NamedTuple):
    """A run commit with artifacts in DVC; `is_bare` when it does not name a DVC remote."""

    commit: str
    pointers: tuple[storage.Pointer, ...]
    is_bare: bool


class _Upload(NamedTuple):
    """What was uploaded for the runs of the local ledger `ours`, and the runs that lack some."""

    ours: str | None
    objects: int = 0
    withheld: Mapping[str, str] = {}


def _push_artifacts(place: Place, there: str | None, progress: Progress | None) -> _Upload:
    """Upload the artifacts of the runs that `there` lacks."""
    remote = place.remote()
    ours, stored = _to_upload(place, there)
    if not stored:
        return _Upload(ours)
    if remote is None:
        why = "its artifacts have no remote to go to; run: gitml init --remote DIR_OR_URL"
        return _Upload(ours, 0, dict.fromkeys(stored, why))
    if bare := [entry.commit for entry in stored.values() if entry.is_bare]:
        _add_configs(place, bare, remote)
        ours, stored = _to_upload(place, there)
    every = [pointer for entry in stored.values() for pointer in entry.pointers]
    try:
        result = storage.push(place.cache, remote, every, _bytes(progress, "artifacts"))
    except StorageError as error:
        why = f"its artifacts could not be pushed: {error}"
        return _Upload(ours, 0, dict.fromkeys(stored, why))
    withheld = {}
    for run_id, entry in stored.items():
        if lost := [item.md5 for item in entry.pointers if item.md5 in result.missing]:
            withheld[run_id] = f"the objects {', '.join(lost)} are neither here nor in the remote"
    return _Upload(ours, len(result.pushed), withheld)


def _to_upload(place: Place, there: str | None) -> tuple[str | None, dict[str, _Entry]]:
    """The local ledger, and the runs with artifacts in DVC that it has and `there` lacks."""
    ours = place.ledger.local()
    new = {} if ours in (None, there) else sync.run_commits(place.repo, str(ours), there)
    return ours, _entries(place, new)


def _entries(place: Place, commits: Mapping[str, str]) -> dict[str, _Entry]:
    """Those of the runs (any key, and run commit) that have artifacts in DVC."""
    texts = git.read_objects(place.repo, [f"{c}:{RUN_FOLDER}/{RUN_JSON}" for c in commits.values()])
    records = {
        key: from_document(documents.load_json(text, RUN_JSON))
        for key, text in zip(commits, texts, strict=True)
    }
    wheres = [
        (key, where)
        for key, record in records.items()
        for where in sorted({item.where for item in record.artifacts.values()} - {units.INLINE})
    ]
    names = [f"{commits[key]}:{RUN_FOLDER}/{where}" for key, where in wheres]
    pointers: dict[str, list[storage.Pointer]] = {}
    for (key, where), data in zip(wheres, git.read_objects(place.repo, names), strict=True):
        pointers.setdefault(key, []).append(storage.parse_pointer(data, where))
    bare = _bare(place, {commits[key] for key in pointers})
    return {
        key: _Entry(commits[key], tuple(found), commits[key] in bare)
        for key, found in pointers.items()
    }


def _bare(place: Place, commits: Collection[str]) -> set[str]:
    """Those of the run commits that do not hold the configuration of a DVC remote."""
    lines = "".join(f"{commit}:{RUN_FOLDER}/{DVC_CONFIG}\n" for commit in commits).encode()
    out = git.run(place.repo, "cat-file", "--batch-check=%(objecttype)", input=lines)
    kinds = zip(commits, out.splitlines(), strict=True)
    return {commit for commit, kind in kinds if kind != b"blob"}


def _add_configs(place: Place, commits: Iterable[str], remote: storage.Remote) -> None:
    """Give runs that were recorded without a remote the DVC configuration that names it."""
    text = storage.run_config_text(remote).encode()
    entries = [place.ledger.at(commit) for commit in commits]
    changes = [
        RunChange(
            record=entry.record,
            files={RUN_JSON: entry.blob, **entry.files, DVC_CONFIG: text},
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


def _remember(place: Place, head: str) -> None:
    with contextlib.suppress(GitError):
        git.update_refs(place.repo, [f"update {tracking_ref(place)} {head}"])


def _local_commits(place: Place, head: str) -> int:
    """How many code commits that no remote had the push of a ledger publishes."""
    form = "--format=%H%x09%(trailers:key=Run-Id,valueonly,separator=)%x09%s"
    unknown = ("--not", "--remotes")
    log = git.text(place.repo, "log", form, head, *unknown)
    positions = set(git.text(place.repo, "rev-list", "--first-parent", head, *unknown).split("\n"))
    rows = (line.split("\t", 2) for line in log.split("\n") if line)
    return sum(
        commit not in positions and not run_id and not subject.startswith(_SNAPSHOT)
        for commit, run_id, subject in rows
    )


def _bytes(progress: Progress | None, stage: str) -> storage.Progress | None:
    if progress is None:
        return None
    return lambda done, total: progress(stage, done, total)
