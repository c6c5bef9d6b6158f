"""A registry with promotions for tests: honest ones, made as a team makes them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitml.registry import catalog, files, syncing
from gitml.registry.catalog import Registered
from gitml.registry.entries import VersionEntry, new_file
from gitml.registry.syncing import Synced
from gitml.tracking import finishing, starting
from gitml.tracking.record import FINISHED
from gitml.tracking.session import now_ms
from tests.clones import Clone, clone, team
from tests.conftest import run_git
from tests.registered import columns, log, register


@dataclass(frozen=True)
class Registry:
    """A bare repository, and the clone of Ann, who has all of it."""

    bare: Path
    ann: Clone

    @property
    def folder(self) -> Path:
        """Where more clones go."""
        return self.bare.parent

    def clone(self, name: str) -> Clone:
        """One more clone, as it is made now."""
        return clone(self.folder, self.bare, name)

    def copy(self, folder: Path) -> Registry:
        """The same elsewhere, to spoil."""
        shutil.copytree(self.bare, folder / "origin.git")
        shutil.copytree(self.ann.folder, folder / "ann")
        ann = Clone(folder / "ann")
        ann.git("remote", "set-url", "origin", str(folder / "origin.git"))
        return Registry(folder / "origin.git", ann)


def entry_of(item: Registered, auc: float = 0.5) -> VersionEntry:
    """What a promotion writes of a version."""
    note = item.note
    return VersionEntry(note.run_id, item.commit, note.path, note.digest, {"auc": auc})


def decide(who: Clone, name: str, version: str, stage: str, *, auc: float = 0.5) -> str:
    """Put on main, as by a merged pull request, that a version holds a stage; the commit."""
    who.git("pull", "--quiet", "--ff-only", "origin", "main")
    item = catalog.read(who.place.repo).version(name, version)
    path = who.folder / files.path_of(name)
    path.parent.mkdir(exist_ok=True)
    data = path.read_bytes() if path.is_file() else new_file(("staging", "production"))
    made = files.promoted(data, stage, item.version, entry_of(item, auc), files.path_of(name))
    path.write_bytes(made)
    return merge(who, f"{name}: {version} takes {stage}")


def merge(who: Clone, message: str) -> str:
    """Commit the registry's files, and have them on main; the commit."""
    who.git("add", "registry")
    who.git("commit", "--quiet", "--allow-empty", "--message", message)
    who.git("push", "--quiet", "origin", "main")
    return who.git("rev-parse", "HEAD")


def promote(who: Clone, name: str, version: str, stage: str) -> list[Synced]:
    """Decide, and create the tags."""
    decide(who, name, version, stage)
    return syncing.sync(who.place)


def version(who: Clone, name: str = "churn", auc: float = 0.5, **types: str) -> Registered:
    """A new run with a model and a metric, registered."""
    return register(who, name, run=trained(who, auc, **types))


def trained(who: Clone, auc: float, **types: str) -> str:
    """A run that logs a model and a metric; its id."""
    run_id = log(who, signature=columns(**(types or {"a": "long"})), weights=repr(auc).encode())
    session, record = starting.resume(who.place, run_id)
    session.metric("auc", auc, 0, now_ms())
    finishing.finish(who.place, session, record, FINISHED)
    return run_id


def begin(folder: Path, bare: Path) -> Registry:
    """Four versions of churn; the second came to production after the first."""
    (ann,) = team(folder, bare, "ann")
    for _ in range(4):
        version(ann)
    promote(ann, "churn", "v1.0.0", "production")
    promote(ann, "churn", "v1.0.1", "staging")
    promote(ann, "churn", "v1.0.1", "production")
    return Registry(bare, ann)


_made: dict[str, Registry] = {}  # what many tests begin with is made once, and copied


def made(name: str, factory: pytest.TempPathFactory, make: Callable[[Path], Registry]) -> Registry:
    """A registry that is made at its first use."""
    if name not in _made:
        _made[name] = make(factory.mktemp(name))
    return _made[name]


def origin(folder: Path) -> Path:
    """An empty bare repository that checks what it receives, as forges do."""
    bare = folder / "origin.git"
    run_git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    run_git(bare, "config", "receive.fsckObjects", "true")
    return bare


def tags(folder: Path) -> list[str]:
    """The tags of a repository, by name."""
    return run_git(folder, "tag", "--list").split()
