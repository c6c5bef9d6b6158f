"""What the doctor can put right by itself, without a decision of the user's."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from gitml import git
from gitml.errors import GitError, UsageError, plural
from gitml.tracking import exchange, mending, recording, store, sync
from gitml.tracking.commits import Change, RunAgain, RunChange
from gitml.tracking.doctor import running
from gitml.tracking.doctor.ledger import is_broken, mismatch, missing_object
from gitml.tracking.doctor.restoring import restored
from gitml.tracking.ledger import Entry, Ledger
from gitml.tracking.place import Place
from gitml.tracking.recording import RUN_JSON


def repair(place: Place) -> list[str]:
    """Put right what can be; what was done, a line each. Raises GitmlError when it can't go on.

    Takes away old locks of the ledger, restores a ledger branch that can't be read, brings its
    tree and its list of runs into agreement, records dead runs, and lets go of orphaned snapshots.
    """
    mending.mend(place.repo)
    mending.break_old(place.repo, place.ledger.ref)
    return [*_branch(place), *_runs(place), *_files(place), *_snapshots(place), *_dead(place)]


def _branch(place: Place) -> Iterator[str]:
    """Give a broken branch the newest commit that is whole, and what the remote's has."""
    book = place.ledger
    if not is_broken(book):
        return
    with book.locked():
        path = place.repo.common_dir / book.ref
        path.unlink(missing_ok=True)
        commit = next(
            (c for c in _candidates(place) if missing_object(place.repo, c) is None), None
        )
        if commit is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            raise GitError(
                f"the ledger {book.short} is lost here, and nothing in this repository can restore"
                " it; fetch it from another clone: git fetch URL gitml/runs:gitml/runs"
            )
        git.update_refs(place.repo, [f"update {book.ref} {commit}"])
    yield f"the ledger {book.short} is at {commit[:10]} again"
    for name, head in _tracking(place).items():
        if sync.unite(book, head).changes:
            yield f"runs of {name} were added to it"


def _candidates(place: Place) -> Iterator[str]:
    """Commits that the ledger may go back to: where it was, as far as known, then the remotes'."""
    packed = git.resolve(place.repo, place.ledger.ref)
    if packed is not None:
        yield packed
    try:
        lines = (place.repo.common_dir / "logs" / place.ledger.ref).read_bytes().splitlines()
    except OSError:
        lines = []
    for line in reversed(lines):
        fields = line.split(b" ", 2)
        if len(fields) == 3 and git.succeeds(
            place.repo, "cat-file", "-e", fields[1].decode() + ":"
        ):
            yield fields[1].decode()
    yield from _tracking(place).values()


def _tracking(place: Place) -> Mapping[str, str]:
    try:
        ref = exchange.tracking_ref(place)
    except UsageError:
        return {}
    commit = git.resolve(place.repo, ref)
    return {} if commit is None else {ref: commit}


def _runs(place: Place) -> Iterator[str]:
    """Put runs that only the list has into the tree, and give those only in the tree a commit."""
    book, found = place.ledger, mismatch(place)
    head = book.local()
    changes = [_again(book, commit) for commit in found.not_in_tree.values()]
    changes += [_new(place, run_id, str(head)) for run_id in sorted(found.not_in_list)]
    if changes:
        book.append(changes)
        yield f"{plural(len(changes), 'run')} put back into the ledger"


def _again(book: Ledger, commit: str) -> Change:
    entry = book.at(commit)
    return RunAgain(entry.record, {RUN_JSON: entry.blob, **entry.files}, commit, _end(entry))


def _new(place: Place, run_id: str, head: str) -> Change:
    """A run commit for a run of which only the files are left; its code if that is there."""
    listed = git.text(place.repo, "ls-tree", "-r", "-d", "--name-only", head, "--", "runs/")
    folder = next(path for path in listed.split("\n") if path.endswith(f"/{run_id}"))
    entry = place.ledger.entry(folder, "", head=head)
    code = entry.record.code.commit
    is_there = code is not None and git.succeeds(place.repo, "cat-file", "-e", f"{code}:")
    return RunChange(
        record=entry.record,
        files={RUN_JSON: entry.blob, **entry.files},
        tree=None,
        parents=(code,) if code is not None and is_there else (),
        time=_end(entry),
        what="restored",
    )


def _end(entry: Entry) -> int:
    return (entry.record.end_time or entry.record.start_time or int(time.time() * 1000)) // 1000


def _files(place: Place) -> Iterator[str]:
    """Put files that can't be read back to their newest version that can."""
    if place.ledger.local() is None:
        return
    for path, problem in store.index(place).unreadable().items():
        change = None if problem.endswith("upgrade gitml") else restored(place.ledger, path)
        if change is not None:
            place.ledger.append([change])
            yield f"{path} is as it was when it could be read"


def _dead(place: Place) -> Iterator[str]:
    for run in recording.recover(place):
        if run.problem is None:
            yield f"run {run.run_id} was recorded"


def _snapshots(place: Place) -> Iterator[str]:
    refs = running.orphans(place)
    if refs:
        git.update_refs(place.repo, [f"delete {ref}" for ref in refs])
        yield f"{plural(len(refs), 'orphaned snapshot')} let go"
