"""Where runs are recorded: a repository, its settings, and the folder of live runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gitml import config, git, storage
from gitml.tracking.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Place:
    """Where runs are recorded: a repository, its settings, and the folder of live runs.

    `home` is the repository's gitml folder, or one in the user's state folder when the
    repository can't be written.
    """

    repo: git.Repository
    settings: config.Config
    home: Path

    @property
    def ledger(self) -> Ledger:
        """The ledger that the settings name."""
        return Ledger(self.repo, self.settings.ledger.ref)

    @property
    def cache(self) -> storage.Cache:
        """The cache of run artifacts."""
        return storage.Cache(self.home / "cache")

    def remote(self) -> storage.Remote | None:
        """The DVC remote of the runs; None when the project has no remote."""
        root = self.repo.root or self.repo.git_dir
        return storage.runs_remote(root, self.settings.artifacts.remote)


def place_of(repo: git.Repository, start: Path | None = None) -> Place:
    """The place for runs of `repo`; `start` is the folder whose gitml.yaml holds."""
    settings = config.load(repo.root, start, repo.home) if repo.root else config.Config()
    return Place(repo, settings, repo.home)
