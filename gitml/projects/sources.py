"""Where a project is: a folder becomes one to run in, and the place where its run is recorded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gitml import git
from gitml.errors import UsageError
from gitml.files import shown_path
from gitml.projects.task import Request, Where
from gitml.tracking.fluent import place as fluent
from gitml.tracking.place import place_of


@contextlib.contextmanager
def opened(request: Request) -> Iterator[Where]:
    """The folder of the project that a request names, for as long as the block lasts."""
    yield _folder(request.uri)


def _folder(uri: str) -> Where:
    """A plain folder: it runs in place, and is recorded in the repository that holds it.

    One that `GITML_REPO` or `set_tracking_uri` names comes first.
    """
    folder = Path(uri).expanduser().absolute()
    if not folder.is_dir():
        raise UsageError(f"there is no folder {shown_path(folder)}")
    if fluent.is_tracking_uri_set():
        place = fluent.place()
        named = Path(fluent.get_tracking_uri())
    else:
        place, named = place_of(git.find(folder), folder), folder
    return Where(place, folder, named, _name(place.repo, folder))


def _name(repo: git.Repository, folder: Path) -> str:
    """The folder's path in the repository with slashes; elsewhere its name alone."""
    real = folder.resolve()
    if repo.root is not None and real.is_relative_to(repo.root.resolve()):
        return real.relative_to(repo.root.resolve()).as_posix()
    return real.name
