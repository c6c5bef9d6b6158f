"""Which DVC objects something in a repository still names.

A pointer counts wherever it stands: in the folder of a run in any ledger, in any commit of any
other branch or tag (the run commits below a version tag among them), in an index or work tree,
and in the journal of a live run, or of one that was set aside. What looks like an object's id
in a pointer file or a journal is taken for one: better too many than one too few.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from gitml import git, storage
from gitml.errors import GitmlError
from gitml.tracking import salvage
from gitml.tracking.commits import RUN_FOLDER
from gitml.tracking.conditions import LEDGER_ENTRIES
from gitml.tracking.place import Place

_ID = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?:\.dir)?(?![0-9a-f])")
_IN_RUN = re.compile(rb"runs/[^/]+/\d{4}/\d\d/\d\d/([0-9a-f]{32})/artifacts/.*\.dvc", re.DOTALL)
_CHANGE = re.compile(rb":\d{6} \d{6} [0-9a-f]+ ([0-9a-f]{40,64}) [A-Z]\d*\0([^\0]+)")
_COMMIT = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-f])")
_POINTERS = (":(glob)**/*.dvc", ":(glob)**/dvc.lock")
_REGISTRY = ":(glob)registry/*.yaml"


def ledgers(repo: git.Repository) -> dict[str, str]:
    """The refs that are ledgers, by what they hold, whatever their names; with their commits."""
    refs = git.refs(repo)
    names = [f"{ref.id}:{folder}" for ref in refs for folder in ("runs", "deleted")]
    lines = "".join(f"{name}\n" for name in names).encode()
    kinds = git.run(repo, "cat-file", "--batch-check=%(objecttype)", input=lines).splitlines()
    pairs = zip(names, kinds, strict=True)
    maybe = {name.partition(":")[0] for name, kind in pairs if kind == b"tree"}
    listed = {id: git.text(repo, "ls-tree", "--name-only", id).split("\n") for id in maybe}
    sure = {id for id, entries in listed.items() if LEDGER_ENTRIES.issuperset(entries)}
    return {ref.name: ref.id for ref in refs if ref.id in sure}


def in_ledger(repo: git.Repository, head: str, without: Collection[str] = ()) -> set[str]:
    """The objects that the runs of a ledger commit name, but for the runs `without`."""
    listed = git.run(repo, "ls-tree", "-r", "-z", "--full-tree", head, "--", "runs/")
    blobs = set()
    for line in listed.split(b"\0"):
        meta, _, path = line.partition(b"\t")
        run = _IN_RUN.fullmatch(path)
        if run and run[1].decode() not in without:
            blobs.add(meta.split(b" ")[2].decode())
    return _ids(repo, blobs)


def once_in_ledger(repo: git.Repository, head: str) -> set[str]:
    """The objects that any run of a ledger ever named, those taken out or replaced included."""
    args = ("log", "--first-parent", "--diff-merges=first-parent", *_RAW, head)
    changes = _CHANGE.findall(git.run(repo, *args, "--", ":(glob)runs/**/artifacts/**/*.dvc"))
    return _ids(repo, {blob.decode() for blob, _ in changes})


_RAW = ("--root", "--raw", "--no-abbrev", "-z", "--no-renames", "--diff-filter=AMT", "--format=")


def in_history(place: Place) -> set[str]:
    """The objects that pointers in any commit name, the ledgers' own history left out."""
    repo, apart = place.repo, ledgers(place.repo)
    tips = [ref.name for ref in git.refs(repo) if ref.name not in apart]
    tips += [head for _, head in _work_trees(repo) if head]
    if not tips:
        return set()
    args = ("log", "-m", "--full-history", "--ignore-missing", *_RAW, "--stdin")
    lines = "".join(f"{tip}\n" for tip in tips).encode()
    log = git.run(repo, *args, "--", *_POINTERS, _REGISTRY, input=lines)
    changes = [(blob.decode(), path) for blob, path in _CHANGE.findall(log)]
    pointers = {blob for blob, path in changes if not path.endswith(b".yaml")}
    decisions = {blob for blob, path in changes if path.endswith(b".yaml")}
    return _ids(repo, pointers) | _of_versions(repo, decisions)


def _of_versions(repo: git.Repository, registry_files: Collection[str]) -> set[str]:
    """The objects of the run commits that registry files name as versions."""
    texts = git.read_objects(repo, registry_files)
    names = {name.decode() for text in texts for name in _COMMIT.findall(text)}
    found: set[str] = set()
    for commit in names:
        done = git.attempt(repo, "ls-tree", "-r", "-z", f"{commit}:{RUN_FOLDER}/artifacts")
        lines = (line.partition(b"\t") for line in done.stdout.split(b"\0"))
        found |= _ids(
            repo, {meta.split(b" ")[2].decode() for meta, _, p in lines if p.endswith(b".dvc")}
        )
    return found


def in_work_trees(repo: git.Repository) -> set[str]:
    """The objects that tracked pointers name in the index or on disk, in any work tree."""
    blobs, found = set(), set()
    for folder, _ in _work_trees(repo):
        listed = git.attempt(folder, "ls-files", "-s", "-z", "--", *_POINTERS)
        for line in filter(None, listed.stdout.split(b"\0")):
            meta, _, path = line.partition(b"\t")
            blobs.add(meta.split(b" ")[1].decode())
            with contextlib.suppress(OSError):
                found |= _ids_in((folder / os.fsdecode(path)).read_bytes())
    return found | _ids(repo, blobs)


def _work_trees(repo: git.Repository) -> Iterator[tuple[Path, str]]:
    """The folders that have something checked out, each with its HEAD's commit."""
    for part in git.text(repo, "worktree", "list", "--porcelain").split("\n\n"):
        fields = dict(line.partition(" ")[::2] for line in part.split("\n"))
        folder = Path(fields.get("worktree", ""))
        head = fields.get("HEAD", "")
        if "bare" not in fields and folder.is_dir():
            yield folder, head.strip("0") and head


def in_journals(place: Place) -> set[str]:
    """The objects that runs which are not recorded yet will name.

    Lines that can't be read count too, and journals that were set aside: somebody may mend them.
    """
    journals = [path for run in place.live_runs() for path in run.folder.glob("*.jsonl")]
    journals += [path for home in place.homes() for path in salvage.aside(home)]
    found: set[str] = set()
    for path in journals:
        with contextlib.suppress(FileNotFoundError):  # it is being recorded this moment
            found |= _ids_in(path.read_bytes())
    return found


def with_files(cache: storage.Cache, md5s: Iterable[str]) -> set[str]:
    """The objects and the files of those that are folders, as far as the cache knows them."""
    found = set(md5s)
    for md5 in [md5 for md5 in found if md5.endswith(".dir") and cache.has(md5)]:
        with contextlib.suppress(GitmlError):  # a damaged manifest is set aside and names nothing
            found |= {entry.md5 for entry in cache.manifest(md5)}
    return found


def _ids(repo: git.Repository, blobs: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for text in git.read_objects(repo, sorted(set(blobs))):
        found |= _ids_in(text)
    return found


def _ids_in(text: bytes) -> set[str]:
    return {name.decode() for name in _ID.findall(text)}


def everything(place: Place, without: Mapping[str, Collection[str]]) -> set[str]:
    """All objects that anything names; `without` maps ledger refs to runs that do not count."""
    heads = ledgers(place.repo)
    found = in_work_trees(place.repo) | in_history(place)
    for name, head in heads.items():
        found |= in_ledger(place.repo, head, without.get(name, ()))
    return found | since(place, heads)


def since(place: Place, heads: Mapping[str, str]) -> set[str]:
    """The objects that are named only since the ledgers had these heads, or will be.

    Live runs are looked at first: a run goes from its journal into a ledger, never back.
    """
    found = in_journals(place)
    for name, head in ledgers(place.repo).items():
        old = heads.get(name)
        if old is None:
            found |= in_ledger(place.repo, head)
        elif old != head:
            args = ("diff-tree", "-r", *_RAW[1:-1], old, head, "--", "runs/")
            changes = _CHANGE.findall(git.run(place.repo, *args))
            found |= _ids(
                place.repo, {b.decode() for b, path in changes if _IN_RUN.fullmatch(path)}
            )
    return found
