"""The data that DVC tracks in a commit, in the work tree where that commit is to run.

What is put there are copies, verified by their md5; the user's own files and caches stay.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitml import git, storage
from gitml.errors import FormatError, StorageError, shown
from gitml.tracking import dataset_source
from gitml.tracking.commits import RUN_FOLDER
from gitml.tracking.place import Place

VERIFY, PULL = "verify", "pull"  # what is on this machine, or from the DVC remote, too


@dataclass(frozen=True, slots=True)
class Data:
    """The outputs of DVC in a commit, by their paths: those that are in place, and why not."""

    placed: tuple[str, ...] = ()
    lacking: Mapping[str, str] | None = None

    def check(self, needed: Sequence[str], mode: str) -> None:
        """Raise StorageError when data that is needed, or what it is in, is not in place."""
        for path in needed:
            for name, reason in (self.lacking or {}).items():
                if path == name or path.startswith(f"{name}/"):
                    hint = "" if mode == PULL else "; --data pull looks in the DVC remote, too"
                    raise StorageError(f"the data {shown(name)} can't be had: {reason}{hint}")


def put_in_place(place: Place, top: Path, owner: Path, mode: str) -> Data:
    """Put what the DVC files of the commit in the work tree `top` name where they say.

    It is looked for in the caches of the repository that holds `owner`, and with `PULL` in its
    DVC remote. Nothing is replaced. Raises FormatError for a path that leads out of the work tree.
    """
    wanted = _wanted(top)
    if not wanted:
        return Data()
    pointers = {
        md5: storage.Pointer(md5, 0, 0 if _is_dir(md5) else None) for md5 in wanted.values()
    }
    reasons: Mapping[str, str] = {}
    try:
        storage.fetch(place.cache, list(_sources(owner, mode)), pointers.values())
    except storage.FetchError as error:
        reasons = error.reasons
    placed, lacking = [], {}
    for path, md5 in wanted.items():
        name = path.relative_to(top).as_posix()
        if md5 in reasons:
            lacking[name] = reasons[md5]
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        storage.materialize(place.cache, pointers[md5], path)
        placed.append(name)
    return Data(tuple(placed), lacking)


def _wanted(top: Path) -> dict[Path, str]:
    """The paths where DVC files name something that git does not hold, and its md5."""
    listed = git.run(git.find(top), "ls-files", "-z", "--", "*.dvc", "dvc.lock", "*/dvc.lock")
    names = (os.fsdecode(name) for name in listed.split(b"\0") if name)
    files = [top / name for name in names if not name.startswith(f"{RUN_FOLDER}/")]
    found = {path: md5 for file in files for path, md5 in dataset_source.outputs(file)}
    for path in found:
        if not path.parent.resolve().is_relative_to(top.resolve()) or ".git" in path.parts:
            raise FormatError(f"DVC's output {shown(path.name)} is outside the work tree")
    return {path: md5 for path, md5 in found.items() if not os.path.lexists(path)}


def _sources(owner: Path, mode: str) -> list[storage.Remote]:
    """Where DVC's objects may be: the cache of the project, then its remote."""
    cache = storage.project_cache(owner)
    found = [] if cache is None or not cache.is_dir() else [storage.Remote("cache", str(cache))]
    remote = storage.project_remote(owner) if mode == PULL else None
    return [*found, *([remote] if remote is not None else [])]


def _is_dir(md5: str) -> bool:
    return md5.endswith(".dir")
