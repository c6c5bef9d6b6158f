"""The repository that a command works on."""

from __future__ import annotations

from pathlib import Path

from gitml import config, git
from gitml.cli import output
from gitml.tracking.place import Place, place_of, place_with

_PATIENCE = 2.0  # seconds to wait for another process that records the same dead run


def repository() -> tuple[git.Repository, Path]:
    """The repository of the current folder, or that of GITML_REPO; and that folder."""
    named = config.variables().repo
    start = Path(named) if named else None
    return git.find(start), start or Path.cwd()


def here() -> Place:
    """That repository with its settings."""
    return place_of(*repository())


def without_settings() -> Place:
    """That repository, in which nothing that is checked out decides."""
    return place_with(repository()[0], config.Config())


def recovered() -> Place:
    """The same, after the runs were recorded whose process died; what could not be is told."""
    from gitml.projects import leftovers  # half of what a listing of tags would import
    from gitml.tracking import recording

    where = here()
    for problem in leftovers.sweep(where):
        output.warn(problem)
    for run in recording.recover(where, seconds=_PATIENCE):
        if run.problem is not None:
            output.warn(f"run {run.run_id[-8:]} can't be recorded yet: {run.problem}")
    return where
