"""Push and pull: the ledger, registry tags and artifacts, through git and DVC alone.

Artifacts go first, then the ledger, then tags, so that nothing published names an object that
cannot be had. A race with another clone ends in another round of fetch, unite and push.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from gitml import faults, git, storage
from gitml.errors import FormatError, GitError, GitmlError, UsageError, shown
from gitml.files import shown_path, work_tree_of
from gitml.tracking import (
    agreed,
    artifact_exchange,
    aside,
    conditions,
    refusals,
    registry_tags,
    snapshot,
    sync,
)
from gitml.tracking.place import Place

_SECONDS = 120.0

_LOST = "the remote's ledger was deleted; the runs that are here are kept, and pushed again"
_REWRITTEN = "the remote's ledger was rewritten; the runs that it lost are kept, and pushed again"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What a push or pull did.

    `runs` are the runs that went over (push) or came in (pull), `merged` those that had changed
    on both sides, `removed` those that were taken out for good. `moved` tells that the ledger
    changed, there (push) or here (pull): without any run, in what it says of experiments.
    `withheld` maps a run that stays local to the reason. `local_commits` counts code commits that
    only this clone had until the push published them. `refused` is why nothing of the remote's
    ledger could be taken in by a pull, which is among the `problems` too.
    """

    runs: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    moved: bool = False
    tags: tuple[str, ...] = ()
    objects: int = 0
    withheld: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    local_commits: int = 0
    refused: GitmlError | None = None


def remote_name(place: Place) -> str:
    """The remote of the ledger, a name or a URL, with which the repository shares its runs.

    UsageError when it has none, or when only the branch that is checked out has chosen it.
    """
    found = _remote(place)
    agreed.check(place)
    return found


def _remote(place: Place) -> str:
    wanted = place.settings.ledger.remote
    folder = git.folder_of(place.repo, wanted)
    if ":" in wanted and folder is None:
        return wanted
    names = git.text(place.repo, "remote").split()
    if wanted in names:
        return wanted
    if folder is not None and ("/" in wanted or ":" in wanted):
        _check_apart(wanted, folder)
        return wanted
    raise UsageError(
        f"the repository has no remote {shown(wanted)}; run: git remote add {wanted} URL"
        if not names
        else f"there is no remote {shown(wanted)}; name one of {', '.join(names)} as"
        " ledger.remote in gitml.yaml"
    )


def _check_apart(url: str, folder: Path) -> None:
    """Refuse a folder that may have come with a clone: git runs the hooks of one it pushes to."""
    if top := work_tree_of(folder):
        raise UsageError(
            f"ledger.remote in gitml.yaml names {shown(url)}, in the work tree {shown_path(top)},"
            " where hooks may have come with a clone; if it is yours, add it with `git remote add`"
            " and name that remote"
        )


def tracking_ref(place: Place) -> str:
    """The remote-tracking ref of the ledger; UsageError when the repository has no such remote."""
    _remote(place)
    return place.ledger.tracking


# -- pull ------------------------------------------------------------------------------------


class _Fetched(NamedTuple):
    """The remote's ledger, the runs in it that were not here, and what came of uniting."""

    head: str | None
    runs: Mapping[str, str] = {}
    merged: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    refused: GitmlError | None = None


def pull(place: Place, *, artifacts: bool = False, progress: Progress | None = None) -> Report:
    """Bring in the runs and tags of the remote.

    With `artifacts` also whatever the cache lacks of the artifacts of all runs, old and new. A
    ledger at the remote that is none, or that is damaged, is `refused`: the rest comes all the
    same.
    """
    remote, book = remote_name(place), place.ledger
    conditions.check_ledger(place.repo, book.ref, book.local())
    there = git.remote_refs(place.repo, remote, book.ref, *registry_tags.PATTERNS)
    before = book.head()
    try:
        fetched = _fetch_ledger(place, remote, there.get(book.ref), progress)
    except (GitError, FormatError) as error:
        why = f"the runs of the remote could not be taken in: {error}"
        fetched = _Fetched(None, problems=(why,), refused=error)
    now = book.local()
    tags, clashes = registry_tags.pull(place, remote, there, progress)
    came = artifact_exchange.fetch(place, progress) if artifacts else artifact_exchange.Fetched()
    return Report(
        runs=tuple(fetched.runs),
        merged=fetched.merged,
        removed=sync.removed(place.repo, before, now),
        moved=sync.tree(place.repo, before) != sync.tree(place.repo, now),
        tags=tags,
        objects=came.objects,
        problems=(*fetched.problems, *clashes, *came.problems),
        refused=fetched.refused,
    )


def _fetch_ledger(
    place: Place, remote: str, theirs: str | None, progress: Progress | None
) -> _Fetched:
    """Fetch the ledger and unite it with the local one.

    A remote that lost runs which this clone has seen, because somebody deleted or rewrote its
    ledger, is told of; the local ledger keeps them.
    """
    book, tracking = place.ledger, tracking_ref(place)
    known = git.resolve(place.repo, tracking)
    conditions.check_ledger(place.repo, book.ref, book.local())
    track(place, remote, theirs, progress)
    head = None if theirs is None else git.resolve(place.repo, tracking) or theirs
    faults.hit("pull.merge")
    merged: tuple[str, ...] = ()
    aside: dict[str, str] = {}
    lost = known is not None and (head is None or not git.is_ancestor(place.repo, known, head))
    if lost and known is not None and git.succeeds(place.repo, "cat-file", "-e", f"{known}:"):
        united = sync.unite(book, known)
        merged, aside = united.merged, dict(united.aside)
    if head is None:
        return _Fetched(None, {}, merged, ((_LOST,) if lost else ()) + _set_aside(aside))
    came = sync.run_commits(place.repo, head, book.local())
    united = sync.unite(book, head)
    merged, aside = merged + united.merged, {**aside, **united.aside}
    return _Fetched(head, came, merged, ((_REWRITTEN,) if lost else ()) + _set_aside(aside))


def track(place: Place, remote: str, theirs: str | None, progress: Progress | None = None) -> None:
    """Have the remote's ledger here as it is there, beside the local one; `theirs` is its head.

    GitError when it is none, or damaged.
    """
    tracking, ref = tracking_ref(place), place.ledger.ref
    known = git.resolve(place.repo, tracking)
    if theirs is not None and known != theirs:
        git.fetch(place.repo, remote, [f"+{ref}:{tracking}"], progress)
    if theirs is not None:
        _check_fetched(place, tracking, known)


def _set_aside(reasons: Mapping[str, str]) -> tuple[str, ...]:
    """What is told of runs, and experiments, that could not be united."""
    return tuple(
        f"{shown(name)} is set aside, and kept below {sync.ASIDE_REFS}: {why}; see: gitml doctor"
        for name, why in reasons.items()
    )


def _check_fetched(place: Place, tracking: str, known: str | None) -> None:
    """Refuse what came if it is no ledger, and forget it: a clone may record on top of it."""
    came = git.resolve(place.repo, tracking)
    try:
        conditions.check_ledger(place.repo, tracking.removeprefix("refs/remotes/"), came)
    except GitError:
        move = f"update {tracking} {known} {came}" if known else f"delete {tracking} {came}"
        git.update_refs(place.repo, [move])
        raise


# -- push ------------------------------------------------------------------------------------


def push(
    place: Place,
    *,
    artifacts: bool = False,
    progress: Progress | None = None,
    seconds: float = _SECONDS,
) -> Report:
    """Publish what the remote lacks: artifacts, then runs, then registry tags.

    A run whose artifacts no remote can hold, or that the remote refuses, stays local and is named
    in the report; the others go through. With `artifacts` those of runs that were published
    before are looked for too, and uploaded again when the DVC remote has lost them. Raises
    GitmlError when nothing could go.
    """
    deadline = time.monotonic() + seconds
    refused: dict[str, str] = {}
    restored = artifact_exchange.Restored()
    if artifacts:
        restored = artifact_exchange.restore(place, progress)
    total = Report(objects=restored.objects)
    for attempt in range(1000):
        total, tried = _push_once(place, refused, total, progress)
        if tried is None or _is_done(place, tried, total.withheld):
            break
        outcome = tried.outcome
        if not outcome.accepted and not _may_pass(place, outcome):
            sent, blamed = aside.culprit(place, remote_name(place), tried.head, progress)
            refused |= blamed
            total = replace(total, runs=_joined(total.runs, sent), moved=total.moved or bool(sent))
            if len(refused) >= aside.MOST_BLAMED and not total.runs:
                raise _refusal(place, outcome.reason)
        if time.monotonic() > deadline:
            raise GitError(f"the push failed again and again: {outcome.reason}; try again later")
        if outcome.raced:
            time.sleep(random.uniform(0.1, 1.0) * min(0.05 * 2**attempt, 3.0))
    tags, problems = registry_tags.push(place, remote_name(place), total.withheld, progress)
    lost = _losses(restored, total.withheld)
    return replace(total, tags=tags, problems=(*total.problems, *lost, *problems))


def _losses(restored: artifact_exchange.Restored, withheld: Collection[str]) -> list[str]:
    """What is told of published runs whose artifacts are nowhere to be had."""
    return [
        f"run {run_id[-8:]}: {why}; {storage.RESTORE}"
        for run_id, why in restored.lost.items()
        if run_id not in withheld
    ]


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
    upload = artifact_exchange.upload(place, fetched.head, progress)
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
        secured = artifact_exchange.secure(place, upload.found)
        total = replace(
            total,
            objects=total.objects + secured.objects,
            problems=_joined(total.problems, _losses(secured, withheld)),
            runs=_joined(total.runs, runs),
            removed=_joined(total.removed, sync.removed(place.repo, fetched.head, head)),
            moved=True,
            local_commits=total.local_commits + commits,
        )
    return total, _Tried(head, outcome)


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
        commit not in positions and not run_id and subject != snapshot.SUBJECT
        for commit, run_id, subject in rows
    )
