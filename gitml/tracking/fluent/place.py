"""Which repository the fluent API records in."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from gitml import config, git
from gitml.errors import UsageError, shown
from gitml.tracking import spool, spooling
from gitml.tracking.place import Place, place_of
from gitml.tracking.spool import Spool, Where

_tracking_uri: str | None = None
_chosen: ContextVar[str | None] = ContextVar("gitml_tracking_uri", default=None)
_URI = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?P<rest>.*)")  # one letter is a drive
_HOST = re.compile(r"//(localhost(?=/))?")
_DATABRICKS = ("databricks", "databricks-uc", "uc")


def set_tracking_uri(uri: str | Path) -> None:
    """Record in the repository that holds `uri`, a path or file: URL, not the current folder's."""
    global _tracking_uri
    _tracking_uri = folder_of(uri)


def get_tracking_uri() -> str:
    """The folder of the repository in which runs are recorded, or the spool."""
    target = where()
    if isinstance(target, Spool):
        return str(target)
    repo = target.repo
    return str(repo.root or repo.git_dir)


def set_registry_uri(uri: str | Path) -> None:
    """Nothing to do: the model registry is in the repository of the runs."""


def get_registry_uri() -> str:
    """The folder of the repository that holds the model registry: that of the runs."""
    return get_tracking_uri()


def is_tracking_uri_set() -> bool:
    """Whether `set_tracking_uri` or GITML_REPO names a repository."""
    return bool(_tracking_uri or config.variables().repo)


@contextlib.contextmanager
def at(uri: str | None) -> Iterator[None]:
    """For the block, `place` is the repository that holds the folder `uri`; None changes nothing.

    It holds in this thread only.
    """
    token = _chosen.set(uri or _chosen.get())
    try:
        yield
    finally:
        _chosen.reset(token)


def folder_of(uri: str | Path) -> str | None:
    """The absolute path that a tracking URI names, None for an empty one; UsageError for others."""
    text = str(uri)
    if not text:
        return None
    found = _URI.fullmatch(text)
    if found is not None and found["scheme"].lower() == "file":
        from urllib.request import url2pathname

        text = url2pathname(_HOST.sub("", found["rest"], count=1) or ".")
    elif (found is not None or text in _DATABRICKS) and not Path(text).exists():
        raise UsageError(
            f"the tracking URI {shown(text)} is not a folder: gitml records in a git repository"
            " and needs no server; pass the path of one, and share runs with `gitml push`"
        )
    return str(Path(text).expanduser().absolute())


def where() -> Where:
    """Where runs are recorded now: in the spool that GITML_SPOOL names, else in the repository."""
    return (None if _chosen.get() else spool.named()) or _repository()


def place() -> Place:
    """The repository in which runs are recorded now, with its settings.

    UsageError when runs go to a spool, which has none.
    """
    if not _chosen.get() and config.variables().spool:
        raise spooling.elsewhere("this")
    return _repository()


def _repository() -> Place:
    start = named_folder()
    return place_of(git.find(start), start or Path.cwd())


def named_folder() -> Path | None:
    """The folder by which the repository was named; None when it is that of the current folder."""
    named = _chosen.get() or _tracking_uri or config.variables().repo
    return _existing(Path(named)) if named else None


def _existing(path: Path) -> Path:
    """The folder itself, or where it would be made: `./mlruns` means the repository around it."""
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path
