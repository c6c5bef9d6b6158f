"""Where runs are recorded: a repository, its settings, and the folder of live runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from gitml import caches, config, git, storage
from gitml.errors import GitmlError, StorageError
from gitml.files import is_read_only, shown_path
from gitml.tracking import agreed, live
from gitml.tracking.ledger import Ledger

_DVC_COPIES = (".dvc", "tmp", "exps")  # folders of `dvc exp run --temp` and `--queue`


@dataclass(frozen=True, slots=True)
class Place:
    """Where runs are recorded: a repository, its settings, and the folder of live runs.

    `home` is the repository's gitml folder, or one in the user's state folder when the
    repository can't be written. `project` is the folder of the DVC project whose remote the runs
    have, by default the top of the work tree. `copy` is a temporary copy of the repository, in
    whose work tree the code is. In a work tree that was made for `owner` to run a project in, that
    folder's settings and DVC remote hold, not those that the project brings.
    """

    repo: git.Repository
    settings: config.Config
    home: Path
    copy: git.Repository | None = None
    project: Path | None = None
    owner: Path | None = None

    @property
    def root(self) -> Path:
        """The folder whose DVC configuration holds."""
        return self.owner or self.project or self.repo.root or self.repo.git_dir

    @property
    def code(self) -> git.Repository:
        """The repository whose work tree holds the code."""
        return self.copy or self.repo

    @property
    def ledger(self) -> Ledger:
        """The ledger that the settings name."""
        ledger = self.settings.ledger
        return Ledger(
            self.repo,
            ledger.ref,
            ledger.remote,
            lambda: agreed.shares(self),
            lambda heads: agreed.own_heads(self, heads),
        )

    @property
    def cache(self) -> storage.Cache:
        """The cache of run artifacts."""
        return storage.Cache(self.home / "cache")

    def remote(self) -> storage.Remote | None:
        """The DVC remote of the runs; None when the project has no remote."""
        return storage.runs_remote(self.root, self.settings.artifacts.remote)

    def to_write(self) -> Place:
        """The place with the repository's own folder, where all that is recorded goes.

        StorageError when the repository can't be written.
        """
        if (why := self.closed) is not None:
            raise StorageError(f"{why}; runs wait in {shown_path(self.home / 'live')}")
        return replace(self, home=self.repo.home)

    @property
    def closed(self) -> str | None:
        """Why the repository can't be written, in words; None when it can."""
        if _is_writable(self.repo.home):
            return None
        home = self.repo.home if self.repo.home.exists() else self.repo.common_dir
        why = "is mounted read-only" if is_read_only(home) else "can't be written by this user"
        return f"{shown_path(home)} {why}"

    def sources(self, config: bytes | None) -> list[storage.Remote]:
        """Where to fetch a run's artifacts from, the first choice first.

        The runs' remote, and the one that the run itself names in its DVC configuration `config`:
        the project's may have changed since, or be set on another branch.
        """
        first = self.remote()
        named = None if config is None else storage.foreign_remote(self.root, config)
        if first and named and first.url == named.url:
            named = None
        return [remote for remote in (first, named, self._elsewhere()) if remote is not None]

    def _elsewhere(self) -> storage.Remote | None:
        """The repository's own cache, for a user who may only read it."""
        if self.home == self.repo.home or not _is_open(self.repo.home):
            return None
        return storage.Remote("repository", str(self.repo.home / "cache"))

    def live_runs(self) -> Iterator[live.LiveRun]:
        """The runs that are live, also those begun while the repository could not be written."""
        for home in self.homes():
            yield from live.runs(home)

    def live_run(self, run_id: str) -> live.LiveRun:
        """The folder of a live run; of another, where it would be."""
        places = [live.folder(home, run_id) for home in self.homes()]
        return next((run for run in places if run.folder.is_dir()), places[0])

    def homes(self) -> tuple[Path, ...]:
        """The folders that may hold live runs, and journals of which nothing could be recorded.

        Another user's folder that may not be looked into holds none of this user's.
        """
        of_user = (home for base, home in _homes_of_user(self.repo) if caches.is_own(base))
        places = dict.fromkeys((self.home, self.repo.home, *of_user))
        return tuple(place for place in places if place == self.home or _is_open(place))


def place_of(repo: git.Repository, start: Path | None = None) -> Place:
    """The place for runs of `repo`; `start` is the folder whose gitml.yaml and DVC project hold."""
    if (owner := owner_of(repo)) is not None:
        return _owned(repo, owner)
    if repo.root is None:
        return place_with(repo, config.Config())
    place = place_with(repo, config.load(repo.root, start, repo.home))
    if place.copy is not None or start is None:
        return place
    return replace(place, project=storage.project_folder(start, repo.root))


_OWNER = "gitml-owner"  # a file in the git folder of a work tree that gitml made


def owner_of(repo: git.Repository) -> Path | None:
    """The folder for which gitml made this work tree; None for every other."""
    if repo.git_dir == repo.common_dir:
        return None
    try:
        return Path(os.fsdecode((repo.git_dir / _OWNER).read_bytes()))
    except OSError:
        return None


def set_owner(repo: git.Repository, owner: Path) -> None:
    """Have the settings of `owner`, a folder in a work tree of the repository, hold in this one."""
    (repo.git_dir / _OWNER).write_bytes(os.fsencode(owner))


def _owned(repo: git.Repository, owner: Path) -> Place:
    of_owner = git.find(owner)
    settings = config.load(of_owner.root, owner) if of_owner.root else config.Config()
    return replace(place_with(repo, replace(settings, folder=None)), owner=owner)


def place_with(repo: git.Repository, settings: config.Config) -> Place:
    """The place for runs of `repo` with these settings, whatever a gitml.yaml says.

    Those of a temporary copy belong to its original.
    """
    project, copy = None, None
    if (original := _original(repo.root)) is not None:
        copy, (project, repo) = repo, original
    home = repo.home
    if not _is_writable(home):
        of_user = _homes_of_user(repo)
        home = next((home for base, home in of_user if caches.is_usable(base)), of_user[0][1])
    return Place(repo, settings, home, copy, project)


def _original(root: Path | None) -> tuple[Path, git.Repository] | None:
    """The DVC project that made `root` to run an experiment in, and its repository; else None."""
    for folder in () if root is None else root.parents:
        if folder.parts[-3:] == _DVC_COPIES:
            with contextlib.suppress(GitmlError):
                return folder.parents[2], git.find(folder.parents[2])
    return None


def _is_writable(folder: Path) -> bool:
    is_there = os.path.exists(folder)  # a path's own raises where it can't look
    return os.access(folder if is_there else folder.parent, os.W_OK)


def _is_open(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK)


def _homes_of_user(repo: git.Repository) -> list[tuple[Path, Path]]:
    """Folders for what belongs to a repository that the user may only read, each after its base."""
    name = sha256(os.fsencode(repo.common_dir)).hexdigest()[:16]
    return [(base, base / "journals" / name) for base in caches.states()]
