"""Which repository the fluent API records in."""

from __future__ import annotations

from pathlib import Path

from gitml import config, git
from gitml.errors import UsageError, shown
from gitml.tracking.place import Place, place_of

_tracking_uri: str | None = None


def set_tracking_uri(uri: str | Path) -> None:
    """Record in the repository at `uri`, a path or file:// URL, instead of the current folder's."""
    global _tracking_uri
    _tracking_uri = _folder_of(str(uri)) if str(uri) else None


def get_tracking_uri() -> str:
    """The folder of the repository in which runs are recorded."""
    repo = place().repo
    return str(repo.root or repo.git_dir)


def is_tracking_uri_set() -> bool:
    """Whether `set_tracking_uri` or GITML_REPO names a repository."""
    return bool(_tracking_uri or config.variables().repo)


def _folder_of(uri: str) -> str:
    scheme, found, rest = uri.partition("://")
    if not found or (len(scheme) == 1 and scheme.isalpha()):
        return uri
    if scheme == "file":
        from urllib.request import url2pathname

        return url2pathname(rest.partition("/")[1] + rest.partition("/")[2])
    raise UsageError(
        f"the tracking URI {shown(uri)} is not a folder: gitml records in a git repository and"
        " needs no server; pass the path of one, and share runs with `gitml push`"
    )


def place() -> Place:
    """The repository in which runs are recorded now, with its settings."""
    named = _tracking_uri or config.variables().repo
    start = Path(named) if named else None
    return place_of(git.find(start), start or Path.cwd())
