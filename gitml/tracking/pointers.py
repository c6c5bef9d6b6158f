"""What the runs of a ledger keep in DVC: their pointers, and the remotes to fetch from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from gitml import git, storage
from gitml.errors import FormatError
from gitml.tracking.place import Place

CONFIG = ".dvc/config"  # in a run's folder, which is a DVC root of its own

_POINTER = re.compile(r"(runs/[^/\n]+/\d{4}/\d\d/\d\d/([0-9a-f]{32}))/(artifacts/.*\.dvc)", re.S)
_DIFF = ("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--diff-filter=AMT")


class Stored(NamedTuple):
    """What a run keeps in DVC. `config` is the blob of its DVC configuration, None without one.

    `problem` tells of pointers that can't be read, and is empty when all can.
    """

    pointers: tuple[storage.Pointer, ...]
    config: str | None
    problem: str = ""


def in_ledger(repo: git.Repository, head: str, base: str | None = None) -> dict[str, Stored]:
    """What the runs of the ledger commit `head` keep in DVC, by run id.

    With `base`, an earlier ledger commit, only the pointers that are not in that.
    """
    runs: dict[str, tuple[str, list[tuple[str, str]]]] = {}  # folder, (blob, path) of pointers
    for path, blob in _files(repo, head, base):
        if run := _POINTER.fullmatch(path):
            folder, run_id, where = run.groups()
            runs.setdefault(run_id, (folder, []))[1].append((blob, where))
    configs = _configs(repo, head, [folder for folder, _ in runs.values()])
    blobs = sorted({blob for _, names in runs.values() for blob, _ in names})
    texts = dict(zip(blobs, git.read_objects(repo, blobs), strict=True))
    return {
        run_id: _stored([(texts[blob], where) for blob, where in names], configs.get(folder))
        for run_id, (folder, names) in runs.items()
    }


def _files(repo: git.Repository, head: str, base: str | None) -> Iterator[tuple[str, str]]:
    """The (path, blob) of every file of a run, or of those that `base` has not, or otherwise."""
    if base is None:
        listed = git.run(repo, "ls-tree", "-r", "-z", "--full-tree", head, "--", "runs/")
        yield from git.parse_tree(listed)
        return
    parts = git.run(repo, *_DIFF, base, head, "--", "runs/").split(b"\0")
    for change, path in zip(parts[::2], parts[1::2], strict=False):
        yield path.decode("utf-8", "replace"), change.split(b" ")[3].decode()


def _stored(texts: Iterable[tuple[bytes, str]], config: str | None) -> Stored:
    pointers, problems = [], []
    for text, where in texts:
        try:
            pointers.append(storage.parse_pointer(text, where))
        except FormatError as error:
            problems.append(str(error))
    return Stored(tuple(pointers), config, "; ".join(problems))


def _configs(repo: git.Repository, head: str, folders: list[str]) -> dict[str, str]:
    """The blobs of the DVC configurations of the runs in `folders`, of those that have one."""
    names = "".join(f"{head}:{folder}/{CONFIG}\n" for folder in folders)
    form = "--batch-check=%(objecttype) %(objectname)"
    out = git.run(repo, "cat-file", form, input=names.encode())
    lines = (line.decode("utf-8", "replace").partition(" ") for line in out.splitlines())
    pairs = zip(folders, lines, strict=True)
    return {folder: blob for folder, (kind, _, blob) in pairs if kind == "blob"}


def sources(
    place: Place, configs: Iterable[str | None]
) -> Mapping[str | None, list[storage.Remote]]:
    """The remotes to fetch from, for each of the DVC configurations (blobs) of runs."""
    blobs = list(dict.fromkeys(blob for blob in configs if blob is not None))
    texts = dict(zip(blobs, git.read_objects(place.repo, blobs), strict=True))
    return {None: place.sources(None), **{b: place.sources(text) for b, text in texts.items()}}
