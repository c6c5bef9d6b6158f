"""Setting runs aside: what may be pushed when some runs may not.

The runs that stay are moved to the end of the local ledger, in one step, and what lies before
them is pushed. Which run a remote refuses is found by pushing less and less of the ledger.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from gitml import git
from gitml.errors import GitError
from gitml.tracking import refusals, sync
from gitml.tracking.commits import Change, LedgerEdit
from gitml.tracking.ledger import Ledger
from gitml.tracking.place import Place

MOST_BLAMED = 3  # when so many runs in turn are refused and none goes, it is not for the runs


class _Step(NamedTuple):
    """A ledger commit and its run, None for a commit that is about no run."""

    commit: str
    run_id: str | None


def head_without(
    book: Ledger, ours: str | None, there: str | None, withheld: Collection[str]
) -> str | None:
    """The commit to push so that the remote gets all of `ours` but the runs `withheld`.

    `ours` is the local ledger as it was when its artifacts were uploaded, `there` the remote's,
    which it continues. What was recorded since stays out too. None when no run may go and the
    remote has no ledger.
    """
    if ours is None:
        return None
    with book.locked():
        now = book.local()
        steps = _steps(book.repo, str(now), there)
        known = {step.commit for step in _steps(book.repo, ours, there)}
        fit = [step.commit in known and step.run_id not in withheld for step in steps]
        count = fit.index(False) if False in fit else len(fit)
        if now != ours or not any(fit[count:]):
            head = steps[count - 1].commit if count else there
        else:
            head = _reordered(book, ours, there or steps[0].commit, withheld)
        return None if there is None and head == steps[0].commit else head


def _reordered(book: Ledger, ours: str, base: str, withheld: Collection[str]) -> str:
    """Write the local ledger again on top of `base`, the withheld runs last; the head before."""
    changes, damaged = sync.missing_changes(book, ours, base)
    sync.keep_aside(book, ours, damaged)
    last = [change for change in changes if _run_of(change) in withheld]
    first = [change for change in changes if _run_of(change) not in withheld]
    head = book.rewrite(base, [*first, *last], ours)
    return git.text(book.repo, "rev-parse", "--verify", f"{head}~{len(last)}")


def _run_of(change: Change) -> str | None:
    return None if isinstance(change, LedgerEdit) else change.record.run_id


def _steps(repo: git.Repository, head: str, there: str | None) -> list[_Step]:
    """The ledger commits that lead from `there` to `head`, oldest first."""
    form = "--format=%H %(trailers:key=Run-Id,valueonly,separator=)"
    excluded = ("--not", there) if there else ()
    log = git.text(repo, "log", "--reverse", "--first-parent", form, head, *excluded)
    lines = (line.partition(" ") for line in log.split("\n") if line)
    return [_Step(commit, run_id or None) for commit, _, run_id in lines]


def culprit(
    place: Place, remote: str, head: str, progress: git.Progress | None
) -> tuple[list[str], Mapping[str, str]]:
    """Which run is the reason why the remote refused the ledger commit `head`.

    Pushes as much as the remote takes: the runs that went, and the run that did not with the
    reason. The second is empty when all went in the end, or somebody else pushed meanwhile.
    Raises GitError when a commit is refused that is about no run.
    """
    book = place.ledger
    there = git.remote_refs(place.repo, remote, book.ref).get(book.ref)
    steps = _steps(place.repo, head, there)
    low, high = 0, len(steps)
    while low < high:
        middle = max(low + 1, (low + high) // 2)
        target = steps[middle - 1].commit
        tried = git.push(place.repo, remote, [f"{target}:{book.ref}"], progress)[0]
        if tried.accepted:
            low = middle
        elif tried.raced:
            break
        elif middle == low + 1:
            return _runs(steps[:low]), _blamed(steps[low], tried.reason, book)
        else:
            high = middle
    return _runs(steps[:low]), {}


def _runs(steps: list[_Step]) -> list[str]:
    return [step.run_id for step in steps if step.run_id is not None]


def _blamed(step: _Step, said: str, book: Ledger) -> Mapping[str, str]:
    if step.run_id is None:
        why = refusals.reason(said, book.short)
        raise GitError(f"the remote refuses the ledger: {why}", stderr=said)
    return {step.run_id: f"the remote refuses it: {refusals.reason(said, book.short)}"}
