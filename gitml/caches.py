"""The user's cache folder: what is in it was made from something else, and can be made again.

And the folder for what can't be made again, beside it.
"""

from __future__ import annotations

import getpass
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gitml.errors import StorageError
from gitml.files import make_folder, shown_path


def folder(name: str) -> Path:
    """The folder `name` in the first cache folder that will do, made if need be.

    Raises `StorageError` when none can be written.
    """
    places = list(folders())
    for place in places:
        if is_usable(place) and is_usable(place / name):
            return place / name
    named = " nor ".join(map(shown_path, places))
    raise StorageError(f"can't write to a folder for caches, {named}; make one of them writable")


def folders() -> Iterator[Path]:
    """Where a cache may be: the user's cache folder, then one for temporary files."""
    if sys.platform == "win32":
        place = os.environ.get("LOCALAPPDATA") or _home("AppData", "Local")
    elif sys.platform == "darwin":
        place = _home("Library", "Caches")
    else:
        place = os.environ.get("XDG_CACHE_HOME") or _home(".cache")
    if Path(place).is_absolute():
        yield Path(place) / "gitml"
    yield temporary()


def temporary() -> Path:
    """The user's folder among those for temporary files, where `is_usable` must have a look."""
    return Path(tempfile.gettempdir()) / f"gitml-{_user()}"


def states() -> Iterator[Path]:
    """Where what nobody can make again may be: the state folder, then one for temporary files.

    They need not be there, nor be writable.
    """
    named = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA")
    base = Path(named or _home(".local", "state"))
    if base.is_absolute():
        yield base / "gitml"
    yield temporary()


def _home(*parts: str) -> str:
    """A folder in the user's home; a relative path for a user who has none."""
    return os.path.join(os.path.expanduser("~"), *parts)  # Path.home() raises


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container with a user id that has no name
        return str(getattr(os, "getuid", lambda: 0)())


def is_usable(folder: Path, *, shared: bool = False) -> bool:
    """Whether `folder`, made if need be, can be written; among temporary files, is this user's.

    If it is `shared`, it is made as open as the folder that it is in, else for the user alone.
    """
    try:
        if shared:
            make_folder(folder)
        else:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return is_own(folder) and os.access(folder, os.W_OK)


def is_own(folder: Path) -> bool:
    """Whether `folder` is there and, among temporary files, this user's and no link."""
    try:
        owner = folder.lstat().st_uid
    except OSError:
        return False
    shared = folder.parent == Path(tempfile.gettempdir())
    return not shared or not hasattr(os, "getuid") or owner == os.getuid()
