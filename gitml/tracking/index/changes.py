"""What changed in the ledger between two sets of heads, asked of git.

A tree diff needs no ancestry, so it works after a ledger was appended again on top of another.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitml import git
from gitml.git import Repository
from gitml.tracking.index.heads import Heads

Files = Mapping[str, tuple[str, ...]]  # paths and their blobs

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
_TOMBSTONES = "deleted/"
_RUN_IDS = "%(trailers:key=Run-Id,valueonly,separator=%x2C)"
_DIFF = ("diff-tree", "-r", "-z", "--no-renames")
_LOG = ("log", "--first-parent", f"--format=%P%x09{_RUN_IDS}")


@dataclass(frozen=True, slots=True)
class Changes:
    """`files` maps every path that may differ to its blobs in the new heads, none if it is gone.

    Of a path that own heads have the blobs are theirs; a tombstone in another's hides nothing.
    `revisions` maps run ids to run commits, for the ledger commits that are new.
    """

    files: Files
    revisions: Mapping[str, str]


def changes(repo: Repository, old: Heads, new: Heads) -> Changes:
    """What the new heads hold that differs from the old ones.

    GitError when git can't read a head: an old one may be gone after `git gc`.
    """
    pairs = _own_pairs(old, new), _other_pairs(old, new)
    logs = _log(new.own, old.own.values()), _log(new.others, {*old.ids, *new.own.values()})
    diffs = ((*_DIFF, *pair, "--", *_PATHS) for some in pairs for pair in some)
    ask = _together if old.ids else _apart
    done = iter(ask(repo, *diffs, *(log for log in logs if log)))
    of_own, of_others = (dict(each for _ in some for each in _files(next(done))) for some in pairs)
    own, others = (_revisions(repo, next(done), old.ids) if log else {} for log in logs)
    files = {**of_others, **of_own}
    if not new.others:
        return Changes(files if len(new.ids) < 2 else _in_all(repo, files, new.own), own)
    owned = _in_all(repo, files, new.own)
    ours = {path.split("/")[-2] for path, blobs in owned.items() if blobs}
    return Changes(
        {**_elsewhere(repo, owned, of_own, new.others), **{p: b for p, b in owned.items() if b}},
        {**{run_id: id for run_id, id in others.items() if run_id not in ours}, **own},
    )


def _elsewhere(
    repo: Repository, owned: Files, of_own: Container[str], others: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """What other heads hold at the paths that no own one has, none where it is gone.

    Their tombstones are left out; one that was an own one is gone.
    """
    lacking = [path for path, blobs in owned.items() if not blobs]
    runs = [path for path in lacking if not path.startswith(_TOMBSTONES)]
    gone = {path: () for path in lacking if path.startswith(_TOMBSTONES) and path in of_own}
    return {**gone, **_in_all(repo, runs, others)}


def _log(heads: Mapping[str, str], known: Collection[str]) -> tuple[str, ...]:
    """The command that lists the runs of new heads; empty when none is new."""
    fresh = [commit for commit in heads.values() if commit not in known]
    return (*_LOG, *fresh, "--not", *known, "--") if fresh else ()


def all_revisions(repo: Repository, heads: Heads) -> dict[str, str]:
    """The run commit of every run that the heads tell of, as the own ones have it."""
    logs = [
        git.run(repo, *_LOG, *some.values(), "--") for some in (heads.others, heads.own) if some
    ]
    return {id: commit for log in logs for id, commit in _revisions(repo, log, ()).items()}


def _together(repo: Repository, *commands: Sequence[str]) -> list[bytes]:
    done = zip(commands, git.attempt_together(repo, *commands), strict=True)
    # A command that failed is run again for the error that it makes.
    return [one.stdout if not one.returncode else git.run(repo, *args) for args, one in done]


def _apart(repo: Repository, *commands: Sequence[str]) -> list[bytes]:
    """The same for long outputs, each of them read by a thread of its own."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(commands)) as threads:
        return list(threads.map(lambda args: git.run(repo, *args), commands))


def _own_pairs(old: Heads, new: Heads) -> list[tuple[str, str]]:
    """Trees to compare: a path that none of the pairs differ in has kept its blobs in own heads."""
    empty = _empty(old, new)
    nearest = _first(old.own) or empty, _first(new.own) or empty
    return _pairs(old.own, new.own, (old.own.values(), new.own.values()), nearest)


def _other_pairs(old: Heads, new: Heads) -> list[tuple[str, str]]:
    """The same of other heads; an own one, which counts more, will do for what is compared."""
    empty = _empty(old, new)
    nearest = (
        _first(old.own) or _first(old.others) or empty,
        _first(new.own) or _first(new.others) or empty,
    )
    return _pairs(old.others, new.others, (old.ids, new.ids), nearest)


def _pairs(
    old: Mapping[str, str],
    new: Mapping[str, str],
    known: tuple[Collection[str], Collection[str]],
    nearest: tuple[str, str],
) -> list[tuple[str, str]]:
    before, after = known
    came = [(old.get(ref, nearest[0]), it) for ref, it in new.items() if it not in before]
    went = [(it, new.get(ref, nearest[1])) for ref, it in old.items() if it not in after]
    return list(dict.fromkeys(came + went))


def _first(heads: Mapping[str, str]) -> str | None:
    return next(iter(heads.values()), None)


def _empty(old: Heads, new: Heads) -> str:
    """The empty tree, in the kind of ids that the repository has."""
    return _EMPTY_TREES[len(next(iter(old.ids | new.ids)))]


def _files(diff: bytes) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The paths of a raw diff and their new blobs; only regular files count."""
    parts = iter(diff.split(b"\0"))
    for header, path in zip(parts, parts):  # noqa: B905 - the last part is empty
        if _WANTED.fullmatch(path):
            _, mode, _, blob, _ = header.split(b" ")
            yield path.decode(), (blob.decode(),) if mode.startswith(b"100") else ()


def _in_all(
    repo: Repository, paths: Collection[str], heads: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """The distinct blobs of each path in several heads."""
    names = [(path, f"{commit}:{path}\n") for path in paths for commit in set(heads.values())]
    asked = "".join(name for _, name in names).encode()
    out = git.run(repo, "cat-file", "--batch-check=%(objecttype) %(objectname)", input=asked)
    found: dict[str, set[str]] = {path: set() for path in paths}
    for (path, _), line in zip(names, out.splitlines(), strict=True):
        if line.startswith(b"blob "):
            found[path].add(line[5:].decode())
    return {path: tuple(sorted(blobs)) for path, blobs in found.items()}


def _revisions(repo: Repository, log: bytes, old: Collection[str]) -> dict[str, str]:
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
            more = git.run(repo, *_LOG, commit, base, *(f"^{head}" for head in old), "--")
            revisions = {**_revisions(repo, more, old), **revisions}
    return revisions
