"""What changed in the ledger between two sets of heads, asked of git.

A tree diff needs no ancestry, so it works after a ledger was appended again on top of another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitml import git
from gitml.git import Repository
from gitml.tracking.index.heads import read_heads as read_heads

Heads = Mapping[str, str]  # full ref name to commit id, the local branch first

_EMPTY_TREES = {
    40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
_PATHS = (
    ":(glob)runs/*/*/*/*/*/run.json",
    ":(glob)runs/*/experiment.json",
    ":(glob)deleted/*",
)
_WANTED = re.compile(
    rb"runs/[a-z0-9_-]+/(?:\d{4}/\d\d/\d\d/[0-9a-f]{32}/run|experiment)\.json|deleted/[0-9a-f]{32}"
)
_RUN_IDS = "%(trailers:key=Run-Id,valueonly,separator=%x2C)"
_LOG = ("log", "--first-parent", f"--format=%P%x09{_RUN_IDS}")


@dataclass(frozen=True, slots=True)
class Changes:
    """`files` maps every path that may differ to its blobs in the new heads, none if it is gone.

    `revisions` maps run ids to run commits, for the ledger commits that are new.
    """

    files: Mapping[str, tuple[str, ...]]
    revisions: Mapping[str, str]


def changes(repo: Repository, old: Heads, new: Heads) -> Changes:
    """What the new heads hold that differs from the old ones.

    GitError when git can't read a head: an old one may be gone after `git gc`.
    """
    fresh = [commit for commit in new.values() if commit not in old.values()]
    diffs = [
        ("diff-tree", "-r", "-z", "--no-renames", *pair, "--", *_PATHS) for pair in _pairs(old, new)
    ]
    logs = [(*_LOG, *fresh, "--not", *old.values(), "--")] if fresh else []
    ask = _together if old else _apart
    done = ask(repo, *diffs, *logs)
    files = {path: blobs for diff in done[: len(diffs)] for path, blobs in _files(diff)}
    if len(set(new.values())) > 1:
        files = _in_all(repo, files, new)
    return Changes(files, _revisions(repo, done[-1], old) if fresh else {})


def all_revisions(repo: Repository, heads: Heads) -> dict[str, str]:
    """The run commit of every run that the heads tell of."""
    return _revisions(repo, git.run(repo, *_LOG, *heads.values(), "--"), {})


def _together(repo: Repository, *commands: Sequence[str]) -> list[bytes]:
    done = zip(commands, git.attempt_together(repo, *commands), strict=True)
    # A command that failed is run again for the error that it makes.
    return [one.stdout if not one.returncode else git.run(repo, *args) for args, one in done]


def _apart(repo: Repository, *commands: Sequence[str]) -> list[bytes]:
    """The same for long outputs, each of them read by a thread of its own."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(commands)) as threads:
        return list(threads.map(lambda args: git.run(repo, *args), commands))


def _pairs(old: Heads, new: Heads) -> list[tuple[str, str]]:
    """Trees to compare: a path that none of the pairs differ in has kept the same blobs."""
    before, after = set(old.values()), set(new.values())
    empty = _EMPTY_TREES[len(next(iter(before | after)))]
    any_old, any_new = next(iter(old.values()), empty), next(iter(new.values()), empty)
    came = [(old.get(ref, any_old), commit) for ref, commit in new.items() if commit not in before]
    went = [(commit, new.get(ref, any_new)) for ref, commit in old.items() if commit not in after]
    return list(dict.fromkeys(came + went))


def _files(diff: bytes) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The paths of a raw diff and their new blobs; only regular files count."""
    parts = iter(diff.split(b"\0"))
    for header, path in zip(parts, parts):  # noqa: B905 - the last part is empty
        if _WANTED.fullmatch(path):
            _, mode, _, blob, _ = header.split(b" ")
            yield path.decode(), (blob.decode(),) if mode.startswith(b"100") else ()


def _in_all(repo: Repository, paths: Iterable[str], heads: Heads) -> dict[str, tuple[str, ...]]:
    """The distinct blobs of each path in several heads."""
    names = [(path, f"{commit}:{path}\n") for path in paths for commit in set(heads.values())]
    asked = "".join(name for _, name in names).encode()
    out = git.run(repo, "cat-file", "--batch-check=%(objecttype) %(objectname)", input=asked)
    found: dict[str, set[str]] = {path: set() for path, _ in names}
    for (path, _), line in zip(names, out.splitlines(), strict=True):
        if line.startswith(b"blob "):
            found[path].add(line[5:].decode())
    return {path: tuple(sorted(blobs)) for path, blobs in found.items()}


def _revisions(repo: Repository, log: bytes, old: Heads) -> dict[str, str]:
    """Run ids and their newest run commits, from a log: the last parent of a run's commit.

    A commit with several parents and no run is where somebody merged ledgers by hand; then the
    log goes on along its other parents.
    """
    revisions: dict[str, str] = {}
    sides: list[str] = []
    for line in log.decode("utf-8", "replace").splitlines():
        parents, _, run_ids = line.partition("\t")
        first, *others = parents.split(" ")
        if others and not run_ids:
            sides += [f"{other} ^{first}" for other in others]
        for run_id in run_ids.split(",") if others else ():
            revisions.setdefault(run_id, others[-1])
    for side in sides:
        commit, base = side.split(" ")
        if git.succeeds(repo, "cat-file", "-e", f"{commit}:runs"):
            more = git.run(repo, *_LOG, commit, base, *(f"^{head}" for head in old.values()), "--")
            revisions = {**_revisions(repo, more, old), **revisions}
    return revisions
