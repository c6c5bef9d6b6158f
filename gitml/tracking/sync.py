"""Uniting ledgers: what one clone has and another lacks is written again on top. No conflicts.

Run commits are identity and keep their ids; ledger commits are only positions. So two ledgers
are united by appending, to the one, the run changes of the other; a run that changed on both
sides is merged as a value (merge.py) and gets a run commit with both as parents.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gitml import documents, git
from gitml.errors import FormatError, GitmlError, UsageError, shown
from gitml.tracking import experiment
from gitml.tracking.commits import Change, LedgerEdit, RunAgain, RunChange, checked_path
from gitml.tracking.ledger import Ledger
from gitml.tracking.merge import RunVersion, merge
from gitml.tracking.metrics import read_history, summarize
from gitml.tracking.names import is_run_id, run_path
from gitml.tracking.record import (
    MetricSummary,
    NewerError,
    RunRecord,
    from_document,
    to_document,
)
from gitml.tracking.typed import MALFORMED

RUN_JSON = "run.json"
ASIDE_REFS = "refs/gitml/aside/"
_IS_RUN = re.compile(r"runs/[^/]+/\d{4}/\d\d/\d\d/[0-9a-f]{32}/run\.json")
# A format of `git for-each-ref`: the ref and, below an annotated tag, the commit that it names.
PEELED = "--format=%(refname) %(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)"


@dataclass(frozen=True, slots=True)
class United:
    """What uniting came to: the head, and which runs were appended or merged.

    `aside` names what could not be written again, with the reasons; see `keep_aside`.
    """

    head: str | None
    added: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    aside: Mapping[str, str] = field(default_factory=dict)


class Missing(NamedTuple):
    """The changes that one ledger has and another lacks, and what can't go over: why, by name."""

    changes: list[Change]
    aside: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Side:
    """One ledger head, and the run commits that it has and the other lacks."""

    head: str
    commits: Mapping[str, str] = field(default_factory=dict)


def unite(book: Ledger, theirs: str) -> United:
    """Move the local ledger to one that holds what it and the commit `theirs` hold.

    The result continues `theirs`, so that it can be pushed there.
    """
    with book.locked():
        ours = book.local()
        if ours == theirs:
            return United(theirs)
        if ours is None or git.is_ancestor(book.repo, ours, theirs):
            book.move(ours, theirs)
            return United(theirs)
        if git.is_ancestor(book.repo, theirs, ours) and _is_linear(book, theirs, ours):
            return United(ours)
        changes, aside = missing_changes(book, ours, theirs)
        keep_aside(book, ours, aside)
        head = book.rewrite(theirs, changes, ours)
    runs = [change for change in changes if not isinstance(change, LedgerEdit)]
    merged = tuple(c.record.run_id for c in runs if isinstance(c, RunChange))
    added = tuple(c.record.run_id for c in runs if isinstance(c, RunAgain))
    return United(head, added, merged, tuple(changes), aside)


def _is_linear(book: Ledger, base: str, head: str) -> bool:
    """Whether nobody merged one ledger into another by hand between the two commits."""
    form = "--format=%P%x00%(trailers:key=Run-Id,valueonly,separator=)"
    log = git.text(book.repo, "log", "--first-parent", form, head, "--not", base)
    lines = (line.partition("\0") for line in log.split("\n"))
    return all(is_run_id(run_id) or " " not in parents for parents, _, run_id in lines)


def keep_aside(book: Ledger, head: str, aside: Iterable[str]) -> None:
    """Keep the ledger commit `head` for what is set aside of it, since the branch moves on."""
    if any(True for _ in aside):
        git.update_refs(book.repo, [f"update {ASIDE_REFS}{head} {head}"])


def missing_changes(book: Ledger, ours: str, theirs: str) -> Missing:
    """The changes that make the ledger commit `theirs` hold what `ours` holds too.

    A run or an experiment of `ours` that can't be read, or that no tree may hold, is set aside, and
    so is a run that was taken out of `theirs` by somebody who did not know what was added here; one
    of `theirs` that can't be read gives way to ours, unless a newer gitml wrote it.
    """
    aside: dict[str, str] = {}
    paths = _differing(book.repo, theirs, ours)
    buried = tombstones(book.repo, theirs)
    folders = _folders(paths, buried | tombstones(book.repo, ours))
    here = _Side(ours, run_commits(book.repo, ours, theirs))
    aside.update(_buried_unseen(book.repo, here, theirs, buried))
    there = _Side(theirs, run_commits(book.repo, theirs, ours))
    changes: list[Change] = [
        *_burials(book.repo, paths, theirs),
        *_experiments(book.repo, paths, (ours, theirs), aside),
    ]
    for folder in sorted(folders, key=lambda name: name.rsplit("/", 1)[-1]):
        try:
            change = _run_change(book, folder, here, there)
        except (FormatError, UsageError, *MALFORMED) as error:
            aside[folder.rsplit("/", 1)[-1]] = _why(error)
            continue
        if change is not None:
            changes.append(change)
    return Missing(changes, aside)


def _buried_unseen(
    repo: git.Repository, here: _Side, theirs: str, buried: Collection[str]
) -> dict[str, str]:
    """The runs that were deleted for good by somebody who did not know what was added here."""
    return {
        run_id: BURIED
        for run_id, commit in here.commits.items()
        if run_id in buried and not git.is_ancestor(repo, commit, theirs)
    }


BURIED = "it was deleted for good elsewhere, by gitml gc, without what was added to it here"


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, GitmlError) else shown(repr(error))


def run_commits(repo: git.Repository, head: str, base: str | None) -> dict[str, str]:
    """The newest run commit of each run that a ledger head changed since `base`.

    A ledger that somebody merged by hand is followed into all its parents. Runs that were taken
    out since are not among them.
    """
    form = "--format=%P%x00%(trailers:key=Run-Id,valueonly,separator=)"
    excluded = ("--not", base) if base else ()
    found: dict[str, str] = {}
    todo = [head]
    while todo:
        out = git.text(repo, "log", "--first-parent", form, todo.pop(), *excluded)
        for line in out.split("\n"):
            parents, _, run_id = line.partition("\0")
            if is_run_id(run_id):
                found.setdefault(run_id, parents.split(" ")[-1])
            else:
                todo.extend(parents.split(" ")[1:])
    gone = tombstones(repo, head) if found else frozenset()
    return {run_id: commit for run_id, commit in found.items() if run_id not in gone}


def run_ids(repo: git.Repository, head: str) -> set[str]:
    """The runs in the tree of a ledger commit."""
    args = ("ls-tree", "-r", "-z", "--name-only", "--full-tree", head, "--", "runs/")
    paths = git.attempt(repo, *args).stdout.decode("utf-8", "replace").split("\0")
    return {path.split("/")[5] for path in paths if _IS_RUN.fullmatch(path)}


def runs_of(repo: git.Repository, commits: Iterable[str]) -> dict[str, str]:
    """The run ids of those of the commits that are run commits."""
    wanted = sorted(set(commits))
    if not wanted:
        return {}
    form = "--format=%H %(trailers:key=Run-Id,valueonly,separator=)"
    lines = "".join(f"{commit}\n" for commit in wanted).encode()
    log = git.run(repo, "log", "--no-walk=unsorted", form, "--stdin", input=lines).decode()
    pairs = (line.partition(" ") for line in log.split("\n"))
    return {commit: run_id for commit, _, run_id in pairs if is_run_id(run_id)}


def _differing(repo: git.Repository, theirs: str, ours: str) -> list[str]:
    """The paths that `ours` has and `theirs` lacks or has otherwise."""
    args = ("diff-tree", "-r", "-z", "--no-renames", "--name-only", "--diff-filter=AMT")
    out = git.run(repo, *args, theirs, ours)
    return [path.decode("utf-8", "replace") for path in out.split(b"\0") if path]


def tombstones(repo: git.Repository, head: str) -> frozenset[str]:
    """The runs that `gitml gc` took out for ever."""
    done = git.attempt(repo, "ls-tree", "-z", "--name-only", f"{head}:deleted")
    names = done.stdout.decode("utf-8", "replace").split("\0")
    return frozenset(name for name in names if is_run_id(name))


def removed(repo: git.Repository, before: str | None, after: str | None) -> tuple[str, ...]:
    """The runs of the ledger commit `before` that were taken out for ever on the way to `after`."""
    if before is None or after is None:
        return ()
    gone = tombstones(repo, after) - tombstones(repo, before)
    return tuple(sorted(gone & run_ids(repo, before))) if gone else ()


def tree(repo: git.Repository, head: str | None) -> str | None:
    """What a ledger commit holds, as the id of its tree; None without a ledger."""
    return None if head is None else git.resolve(repo, f"{head}^{{tree}}")


def _folders(paths: Iterable[str], out: frozenset[str]) -> set[str]:
    """The folders of runs among the paths, `runs/<experiment>/YYYY/MM/DD/<run id>`."""
    found = set()
    for path in paths:
        parts = path.split("/")
        if parts[0] == "runs" and len(parts) > 6 and is_run_id(parts[5]) and parts[5] not in out:
            found.add("/".join(parts[:6]))
    return found


def _burials(repo: git.Repository, paths: Iterable[str], theirs: str) -> list[Change]:
    names = [path[8:] for path in paths if path.startswith("deleted/") and is_run_id(path[8:])]
    if not names:
        return []
    listed = git.run(
        repo, "ls-tree", "-r", "-d", "-z", "--name-only", theirs, "--", "runs/"
    ).decode("utf-8", "replace")
    gone = [path for path in listed.split("\0") if path.rsplit("/", 1)[-1] in set(names)]
    write = {f"deleted/{name}": b"" for name in names}
    return [LedgerEdit(f"gitml: {len(names)} deleted runs", 0, write, tuple(gone))]


def _experiments(
    repo: git.Repository, paths: Iterable[str], heads: tuple[str, str], aside: dict[str, str]
) -> list[Change]:
    write = {}
    for path in paths:
        if (
            path.startswith("runs/")
            and path.endswith("/" + experiment.FILE)
            and path.count("/") == 2
        ):
            try:
                if (data := _experiment(repo, path, heads)) is not None:
                    write[path] = data
            except (FormatError, UsageError, *MALFORMED) as error:
                aside[path.split("/")[1]] = _why(error)
    return [LedgerEdit("gitml: experiments", 0, write)] if write else []


def _experiment(repo: git.Repository, path: str, heads: tuple[str, str]) -> bytes | None:
    """What an experiment's file comes to on both sides; None when the second has that."""
    checked_path(path)
    sides = [_document(repo, f"{head}:{path}") for head in heads]
    records = [experiment.from_document(side, path) for side in sides if side is not None]
    united = functools.reduce(experiment.merge, records)
    if len(records) == 2 and united == records[1]:
        return None
    return documents.dump_json(experiment.to_document(united))


def _document(repo: git.Repository, name: str) -> dict[str, object] | None:
    done = git.attempt(repo, "cat-file", "blob", name)
    return None if done.returncode else documents.load_json(done.stdout, name)


def _version(repo: git.Repository, head: str, folder: str) -> RunVersion | None:
    done = git.attempt(repo, "ls-tree", "-r", "-z", "--full-tree", f"{head}:{folder}")
    if done.returncode:
        return None
    files = dict(git.parse_tree(done.stdout))
    blob = files.pop(RUN_JSON, None)
    if blob is None:
        raise FormatError(f"{folder} has no {RUN_JSON}")
    where = f"{folder}/{RUN_JSON}"
    record = from_document(documents.load_json(next(git.read_objects(repo, [blob])), where), where)
    if run_path(record.experiment_id, record.run_id) != folder:
        raise FormatError(f"{where} is the record of another run")
    for path in files:
        checked_path(path)
    return RunVersion(record, files)


def _run_change(book: Ledger, folder: str, here: _Side, there: _Side) -> Change | None:
    run_id = folder.rsplit("/", 1)[-1]
    repo = book.repo
    mine = _version(repo, here.head, folder)
    assert mine is not None
    commit = here.commits.get(run_id) or book.run_commit(run_id, here.head)
    try:
        other = _version(repo, there.head, folder)
        united = other and merge(mine, other, lambda files: summaries(repo, files))
    except NewerError:
        raise
    except (FormatError, UsageError, *MALFORMED):
        summaries(repo, mine.files)  # it raises when ours is to blame
        other = united = None
    if other is None or united is None:
        return _again(repo, mine, folder, here.head, commit)
    if united == other:
        return None
    their_commit = there.commits.get(run_id) or book.run_commit(run_id, there.head)
    if united == mine and git.is_ancestor(repo, their_commit, commit):
        return _again(repo, mine, folder, here.head, commit)
    parents = tuple(sorted((commit, their_commit)))
    return RunChange(
        record=united.record,
        files={RUN_JSON: documents.dump_json(to_document(united.record)), **united.files},
        tree=None,
        parents=parents,
        time=max(map(int, git.text(repo, "log", "--no-walk", "--format=%ct", *parents).split())),
        what="merged",
    )


def _again(
    repo: git.Repository, version: RunVersion, folder: str, head: str, commit: str
) -> RunAgain:
    blob = git.resolve(repo, f"{head}:{folder}/{RUN_JSON}")
    record: RunRecord = version.record
    time = (record.end_time or record.start_time) // 1000
    return RunAgain(record, {RUN_JSON: str(blob), **version.files}, commit, time)


def summaries(repo: git.Repository, files: Mapping[str, str]) -> Mapping[str, MetricSummary]:
    """What the metrics' histories among a run's files (path to blob) come to; FormatError."""
    blobs = {path: blob for path, blob in files.items() if path.startswith("metrics/")}
    texts = git.read_objects(repo, blobs.values())
    return summarize(
        {
            path.removeprefix("metrics/").removesuffix(".tsv"): read_history(data, path)
            for path, data in zip(blobs, texts, strict=True)
        }
    )
