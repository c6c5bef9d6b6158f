"""Drift: which of the source files that a process runs are not what its snapshot holds."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gitml import git
from gitml.tracking.snapshot import inside, name_of

_SOURCES = (".py", ".ipynb", ".sh", ".R")

_INSTALLED = frozenset(("site-packages", "dist-packages"))

Version = tuple[int, int]


def loaded_files(root: Path) -> dict[Path, Version]:
    """The source files under `root` of the modules that this process has loaded, and its script.

    With each file its version: size in bytes and modification time in nanoseconds. Installed
    packages are left out.
    """
    places = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    places.append(sys.argv[0] if sys.argv else None)
    found, current = {}, _current()
    for place in places:
        if isinstance(place, str) and place.endswith(_SOURCES):
            with contextlib.suppress(OSError):  # gone
                if (full := _in_project(place, str(root) + os.sep, current)) is not None:
                    state = os.stat(full)
                    found[Path(full)] = (state.st_size, state.st_mtime_ns)
    return found


def _current() -> str:
    try:
        return os.getcwd()
    except OSError:  # the folder is gone, and so is what is relative to it
        return os.sep


_real = functools.lru_cache(maxsize=None)(os.path.realpath)


@functools.lru_cache(maxsize=1 << 16)
def _in_project(place: str, start: str, current: str) -> str | None:
    """The full path of a file below `start`, reached through links or not; None elsewhere.

    A relative one is looked for in the folder `current`.
    """
    folder, name = os.path.split(os.path.normpath(os.path.join(current, place)))
    for full in (os.path.join(folder, name), os.path.join(_real(folder), name)):
        if full.startswith(start):
            installed = _INSTALLED.intersection(full[len(start) :].split(os.sep))
            return None if installed else full
    return None


def drifted(repo: git.Repository, tree: str, paths: Sequence[Path]) -> list[str]:
    """Those of the files `paths` that are not in `tree` as they are now; but for ignored ones."""
    names = [name_of(path) for file in paths if repo.root and (path := inside(file, repo.root))]
    names = [name for name in names if "\n" not in name]
    if not names:
        return []
    gone = [name for name in names if not (repo.place / name).is_file()]
    names = [name for name in names if name not in gone]
    lines = "".join(f"{tree}:{name}\n" for name in names).encode()
    held = git.run(repo, "cat-file", "--batch-check=%(objectname)", input=lines).decode()
    now = git.run(repo, "hash-object", "--stdin-paths", input="\n".join(names).encode())
    pairs = zip(names, held.split("\n"), now.decode().split("\n"), strict=False)
    changed = sorted([*gone, *(name for name, old, new in pairs if old != new)])
    listed = "\0".join(changed).encode()
    ignored = git.attempt(repo, "check-ignore", "-z", "--stdin", input=listed).stdout.decode()
    return [name for name in changed if name not in ignored.split("\0")]
