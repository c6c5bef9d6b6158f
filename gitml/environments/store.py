"""The environments that were built: where they are, which is whole, which may go."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitml import caches, locks
from gitml.documents import dump_json, load_json, write_atomic
from gitml.environments.pythons import interpreter
from gitml.environments.requirements import without_user
from gitml.environments.spec import Spec
from gitml.errors import FormatError

SCHEMA = 1
_MARKER = "environment.json"  # the last file that is written: without it, nothing is whole
_NAMES = ("manager", "python", "source", "size", "created", "used")
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Stored:
    """An environment that is on this machine. Times are ms since the epoch, the size is in bytes.

    Files that the package manager shares between environments are counted in each of them.
    """

    key: str
    path: Path
    manager: str
    python: str
    requirements: tuple[str, ...]
    source: str
    size: int
    created: int
    used: int

    @property
    def site_packages(self) -> tuple[str, ...]:
        """The folders of its packages."""
        return tuple(map(str, _site_packages(self.path)))


def folder() -> Path:
    """The folder of all environments. Raises `StorageError` when there is none to be had."""
    return caches.folder("environments")


def environments() -> tuple[Stored, ...]:
    """Every environment that was built and is whole, the last used first."""
    found = [stored for path in _places("*-*") if (stored := _stored(path))]
    return tuple(sorted(found, key=lambda stored: -stored.used))


def lookup(key: str) -> Stored | None:
    """The environment of this key, which counts as used now; None when there is no whole one."""
    for path in _places(f"{key}-*"):
        with contextlib.suppress(OSError):
            os.utime(path / _MARKER)
            if (stored := _stored(path)) and _is_intact(path):
                return stored
    return None


def complete(path: Path, spec: Spec, manager: str, python: str) -> None:
    """Mark a new environment as whole: from now on `lookup` finds it."""
    document = {
        "schema": SCHEMA,
        "manager": manager,
        "python": python,
        "requirements": [without_user(line) for line in spec.requirements],
        "source": spec.source,
        "created": round(time.time() * 1000),
        "size": sum(file.lstat().st_size for file in path.rglob("*") if file.is_file()),
        "packages": _packages(path),
    }
    write_atomic(path / _MARKER, dump_json(document))


def lock(key: str) -> Path:
    """The file whose lock is held by who builds or removes the environment of this key."""
    return folder() / f"{key}.lock"


def clear(key: str) -> None:
    """Remove what is there of a key: damaged and half-built ones. The caller holds the lock."""
    for path in _places(f"{key}-*"):
        remove(path)


def remove(path: Path) -> None:
    """Remove an environment, first the mark that makes it one; of a link to one, the link."""
    if path.is_symlink():
        path.unlink()
        return
    (path / _MARKER).unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)


def prune(unused_for: float = 30.0, *, dry_run: bool = False) -> tuple[Stored, ...]:
    """Remove environments unused for so many days, and what broken builds left; those that went.

    One that a process of this machine was started from stays, and one that is being built. With
    `dry_run` nothing is changed.
    """
    limit = time.time() * 1000 - unused_for * _DAY_MS
    old = [stored for stored in environments() if stored.used <= limit]
    idle = [stored for stored in old if not _is_running(stored.path)]
    if dry_run:
        return tuple(idle)
    gone = [stored for stored in idle if _removed(stored.key, stored.path)]
    for path in _places("*-*"):
        if not (path / _MARKER).exists():
            _removed(path.name.partition("-")[0], path)
    return tuple(gone)


def _removed(key: str, path: Path) -> bool:
    """Whether an environment could be removed: not when somebody is at it."""
    descriptor = locks.acquire(lock(key))
    if descriptor is None:
        return False
    try:
        remove(path)
        lock(key).unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        locks.release(descriptor)
    return True


def _places(pattern: str) -> Iterator[Path]:
    return (path for path in sorted(folder().glob(pattern)) if path.is_dir())


def _read(path: Path) -> dict[str, Any] | None:
    """What the marker says; None when there is none, or none that this gitml can read."""
    try:
        document = load_json((path / _MARKER).read_bytes(), _MARKER)
        return {**document, "used": round((path / _MARKER).stat().st_mtime * 1000)}
    except (OSError, FormatError, TypeError):
        return None


def _stored(path: Path) -> Stored | None:
    document = _read(path)
    if document is None or document.get("schema") != SCHEMA:
        return None
    known = {name: document[name] for name in _NAMES}
    requirements = tuple(document["requirements"])
    key = path.name.partition("-")[0]
    return Stored(key=key, path=path, requirements=requirements, **known)


# -- damage --------------------------------------------------------------------------------


def _is_intact(path: Path) -> bool:
    """Whether the interpreter is there and the packages are those that were installed."""
    document = _read(path) or {}
    return interpreter(path).exists() and document.get("packages") == _packages(path)


def _packages(path: Path) -> list[str]:
    """What stands in the folders of packages, byte code apart."""
    return sorted(
        entry.name
        for place in _site_packages(path)
        for entry in place.iterdir()
        if entry.name != "__pycache__"
    )


def _site_packages(path: Path) -> list[Path]:
    return [*path.glob("lib/python*/site-packages"), *path.glob("Lib/site-packages")]


def _is_running(path: Path) -> bool:
    """Whether a process was started from the environment."""
    import psutil

    started = (process.info["cmdline"] for process in psutil.process_iter(["cmdline"]))
    return any(Path(words[0]).is_relative_to(path) for words in started if words)
