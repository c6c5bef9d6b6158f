"""Push and pull: the ledger, registry tags and artifacts, through git and DVC alone.

Artifacts go first, then the ledger, then tags, so that nothing published names an object that
cannot be had. A race with another clone ends in another round of fetch, unite and push.
"""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from gitml import faults, git, storage
from gitml.errors import GitError, UsageError, shown
from gitml.tracking import download, sync, units
from gitml.tracking.commits import RUN_FOLDER, RunChange
from gitml.tracking.ledger import Entry, Ledger
from gitml.tracking.record import RunRecord
from gitml.tracking.recording import DVC_CONFIG, RUN_JSON, Place

_TAG_PATTERNS = ("refs/tags/*@v*", "refs/tags/*#*")
_SECONDS = 120.0
_URL_REMOTE = "gitml-ledger"  # the name of the tracking ref when the remote is given as a URL

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
    withheld: dict[str, str] = field(default_factory=dict)
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


def pull(place: Place, *, artifacts: bool = False, progress: Progress | None = None) -> Report:
    """Bring in the runs and tags of the remote; with `artifacts`, what their pointers name too."""
    remote, book = remote_name(place), place.ledger
    before = book.local()
    there = git.remote_refs(place.repo, remote, book.ref, *_TAG_PATTERNS)
    merged, problems = _pull_ledger(place, remote, there.get(book.ref), progress)
    tags, clashes = _pull_tags(place, remote, there, progress)
    after = book.local()
    runs = tuple(sync.run_commits(place.repo, after, before)) if after else ()
    moved = _pull_artifacts(place, runs, progress) if artifacts else 0
    return Report(runs, merged, tags, moved, problems=(*problems, *clashes))


def _pull_ledger(
    place: Place, remote: str, theirs: str | None, progress: Progress | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Fetch the ledger and unite it with the local one; the merged runs, and what was odd."""
    if theirs is None:
        return (), ()
    book, tracking = place.ledger, tracking_ref(place)
    known = git.resolve(place.repo, tracking)
    if known != theirs:
        git.fetch(place.repo, remote, [f"+{book.ref}:{tracking}"], progress)
    head = git.resolve(place.repo, tracking) or theirs
    faults.hit("pull.merge")
    united = sync.unite(book, head)
    rewritten = known is not None and not git.is_ancestor(place.repo, known, head)
    problem = "the remote's ledger was rewritten; runs that it lost are kept here and pushed again"
    return united.merged, (problem,) if rewritten else ()


def _pull_tags(
    place: Place, remote: str, there: dict[str, str], progress: Progress | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Fetch the registry tags that are not here; a tag that moved is named, never overwritten."""
    here = {ref.name: ref.id for ref in git.refs(place.repo, "refs/tags")}
    tags = {name: oid for name, oid in there.items() if name.startswith("refs/tags/")}
    new = [name for name in tags if name not in here]
    moved = [name for name, oid in tags.items() if here.get(name, oid) != oid]
    if new:
        git.fetch(place.repo, remote, [f"{name}:{name}" for name in new], progress)
    problems = tuple(
        f"the tag {name.removeprefix('refs/tags/')} is another one at the remote; find out who"
        " moved it" for name in moved
    )  # fmt: skip
    return tuple(name.removeprefix("refs/tags/") for name in new), problems


def _pull_artifacts(place: Place, runs: Sequence[str], progress: Progress | None) -> int:
    pointers = [
        p for run in runs if (entry := place.ledger.find(run)) for p in _pointers(place, entry)
    ]
    with_bytes = _bytes(progress, "artifacts")
    storage.fetch(place.cache, place.remote(), pointers, with_bytes)
    return len(pointers)


# -- push ------------------------------------------------------------------------------------


def push(place: Place, *, progress: Progress | None = None, seconds: float = _SECONDS) -> Report:
    """Publish what the remote lacks: artifacts, then runs, then registry tags.

    A run whose artifacts no remote can hold, or that the remote refuses, stays local and is named
    in the report; the others go through. Raises GitmlError when nothing could go.
    """
    deadline = time.monotonic() + seconds
    withheld: dict[str, str] = {}
    total = Report()
    for attempt in range(1000):
        total, outcome = _push_once(place, withheld, total, progress)
        if outcome is None or outcome.accepted:
            break
        if not outcome.raced:
            withheld.update(_culprit(place, outcome, withheld, progress))
        if time.monotonic() > deadline:
            raise GitError(f"the remote keeps changing: {outcome.reason}; try again later")
        time.sleep(random.uniform(0.1, 1.0) * min(0.05 * 2**attempt, 3.0))
    tags, problems = _push_tags(place, progress)
    return replace(total, tags=tags, withheld=dict(withheld), problems=(*total.problems, *problems))


def _push_once(
    place: Place, withheld: dict[str, str], total: Report, progress: Progress | None
) -> tuple[Report, git.Pushed | None]:
    """One round: fetch, unite, upload, push; the report so far, and what became of the ref."""
    remote, book = remote_name(place), place.ledger
    there = git.remote_refs(place.repo, remote, book.ref).get(book.ref)
    merged, problems = _pull_ledger(place, remote, there, progress)
    new = _new_runs(place, there)
    moved = _push_artifacts(place, new, withheld, progress)
    head = _head_to_push(place, there, withheld)
    total = replace(
        total,
        merged=tuple({*total.merged, *merged}),
        objects=total.objects + moved,
        problems=tuple({**dict.fromkeys(total.problems), **dict.fromkeys(problems)}),
    )
    if head is None or head == there:
        return total, None
    faults.hit("push.refs")
    runs = tuple(sync.run_commits(place.repo, head, there))
    commits = _local_commits(place, runs, head, there)
    outcome = git.push(place.repo, remote, [f"{head}:{book.ref}"], progress)[0]
    if outcome.accepted:
        _remember(place, head)
        total = replace(total, runs=runs, local_commits=commits)
    return total, outcome


def _new_runs(place: Place, there: str | None) -> list[Entry]:
    """The runs that the local ledger has and the remote's lacks, or has otherwise."""
    book = place.ledger
    ours = book.local()
    if ours is None or ours == there:
        return []
    commits = sync.run_commits(place.repo, ours, there)
    return [book.at(commit) for commit in commits.values()]


def _pointers(place: Place, entry: Entry) -> list[storage.Pointer]:
    wheres = {item.where for item in entry.record.artifacts.values()} - {units.INLINE}
    return [download.pointer_of(place.repo, entry.commit, where) for where in sorted(wheres)]


def _push_artifacts(
    place: Place, entries: Sequence[Entry], withheld: dict[str, str], progress: Progress | None
) -> int:
    """Upload the artifacts of runs; those that lack one, here and there, are withheld."""
    stored = {entry.record.run_id: (entry, _pointers(place, entry)) for entry in entries}
    stored = {run: pair for run, pair in stored.items() if pair[1]}
    if not stored:
        return 0
    remote = place.remote()
    if remote is None:
        why = "its artifacts have no remote to go to; run: gitml init --remote DIR_OR_URL"
        withheld.update(dict.fromkeys(stored, why))
        return 0
    _add_configs(place, [entry for entry, _ in stored.values()], remote)
    every = [pointer for _, pointers in stored.values() for pointer in pointers]
    result = storage.push(place.cache, remote, every, _bytes(progress, "artifacts"))
    for run, (_, pointers) in stored.items():
        lost = [pointer.md5 for pointer in pointers if pointer.md5 in result.missing]
        if lost:
            withheld[run] = f"the objects {', '.join(lost)} are neither here nor in the remote"
        else:
            withheld.pop(run, None)
    return len(result.pushed)


def _add_configs(place: Place, entries: Iterable[Entry], remote: storage.Remote) -> None:
    """Give runs that were recorded without a remote the DVC configuration that names it."""
    text = storage.run_config_text(remote).encode()
    bare = [entry for entry in entries if DVC_CONFIG not in entry.files]
    changes = [
        RunChange(
            record=entry.record,
            files={RUN_JSON: _json(place, entry), **entry.files, DVC_CONFIG: text},
            tree=None,
            parents=(entry.commit,),
            time=int(time.time()),
            what="remote",
        )
        for entry in bare
    ]
    if changes:
        place.ledger.append(changes)


def _json(place: Place, entry: Entry) -> str:
    return str(git.resolve(place.repo, f"{entry.commit}:{RUN_FOLDER}/{RUN_JSON}"))


def _head_to_push(place: Place, there: str | None, withheld: dict[str, str]) -> str | None:
    """The local ledger, or when runs are withheld, one without them, below the local one."""
    book = place.ledger
    ours = book.local()
    if not withheld or ours is None:
        return ours
    base = there or git.text(place.repo, "rev-list", "--first-parent", "--max-parents=0", ours)
    return _set_aside(book, ours, base, frozenset(withheld))


def _set_aside(book: Ledger, ours: str, there: str, withheld: frozenset[str]) -> str:
    """Reorder the local ledger so that the withheld runs come last; the head before them."""
    with book.locked():
        if book.local() != ours:
            return there  # somebody recorded meanwhile: the next round takes it along
        changes = sync.missing_changes(book, ours, there)
        first = [c for c in changes if _run_of(c) not in withheld]
        last = [c for c in changes if _run_of(c) in withheld]
        head = book.rewrite(there, first, ours)
        if last:
            book.rewrite(head, last, head)
    return head


def _run_of(change: object) -> str | None:
    record = getattr(change, "record", None)
    return record.run_id if isinstance(record, RunRecord) else None


def _remember(place: Place, head: str) -> None:
    with contextlib.suppress(GitError):
        git.update_refs(place.repo, [f"update {tracking_ref(place)} {head}"])


def _local_commits(place: Place, runs: Sequence[str], head: str, there: str | None) -> int:
    """How many code commits the push publishes that no branch of the remote had."""
    remote = tracking_ref(place).split("/")[2]
    args = ("rev-list", "--count", head, "--not", f"--remotes={remote}")
    total = int(git.text(place.repo, *args))
    ledger = int(
        git.text(
            place.repo,
            "rev-list",
            "--count",
            "--first-parent",
            head,
            *(("--not", there) if there else ()),
        )
    )
    return max(0, total - ledger - len(runs))


# -- what a remote refuses -------------------------------------------------------------------

_GENERAL = re.compile(
    r"protected branch|GH006|GH013|permission|denied|not allowed to push|403|401|authentication"
    r"|pull request|linear history|signed|workflow",
    re.IGNORECASE,
)


def _culprit(
    place: Place, outcome: git.Pushed, withheld: dict[str, str], progress: Progress | None
) -> dict[str, str]:
    """The run because of which the remote refuses the ledger, with the reason.

    Found by pushing less and less. A refusal that no run is the reason of is raised.
    """
    book, remote = place.ledger, remote_name(place)
    there = git.remote_refs(place.repo, remote, book.ref).get(book.ref)
    chain = _chain(place, there, withheld)
    if _GENERAL.search(outcome.reason) or not chain:
        raise GitError(f"the remote refuses the ledger: {outcome.reason}; run: gitml doctor")
    low, high = 0, len(chain)  # the first `low` go through, the first `high` do not
    reason = outcome.reason
    while high - low > 1:
        middle = (low + high) // 2
        tried = git.push(place.repo, remote, [f"{chain[middle - 1][0]}:{book.ref}"], progress)[0]
        if tried.raced:
            return {}
        low, high, reason = (
            (middle, high, reason) if tried.accepted else (low, middle, tried.reason)
        )
    run_id = chain[high - 1][1]
    if run_id is None:
        raise GitError(f"the remote refuses the ledger: {reason}; run: gitml doctor")
    return {run_id: f"the remote refuses it: {reason}"}


def _chain(
    place: Place, there: str | None, withheld: dict[str, str]
) -> list[tuple[str, str | None]]:
    """The ledger commits to push, oldest first, each with its run."""
    head = _head_to_push(place, there, withheld)
    form = "--format=%H %(trailers:key=Run-Id,valueonly,separator=)"
    excluded = ("--not", there) if there else ()
    log = git.text(place.repo, "log", "--reverse", "--first-parent", form, str(head), *excluded)
    lines = (line.partition(" ") for line in log.splitlines())
    return [(commit, run or None) for commit, _, run in lines]


# -- tags --------------------------------------------------------------------------------------


def _push_tags(place: Place, progress: Progress | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Push the registry tags that the remote lacks, one push each: more would trigger no CI."""
    remote = remote_name(place)
    here = [ref.name for ref in git.refs(place.repo, "refs/tags") if re.search(r"@v|#", ref.name)]
    if not here:
        return (), ()
    there = git.remote_refs(place.repo, remote, *_TAG_PATTERNS)
    pushed: list[str] = []
    problems: list[str] = []
    for name in here:
        if name not in there:
            outcome = git.push(place.repo, remote, [f"{name}:{name}"], progress)[0]
            (pushed if outcome.accepted else problems).append(
                name.removeprefix("refs/tags/")
                + ("" if outcome.accepted else f": {outcome.reason}")
            )
    return tuple(pushed), tuple(problems)


def _bytes(progress: Progress | None, stage: str) -> storage.Progress | None:
    if progress is None:
        return None
    return lambda done, total: progress(stage, done, total)
