"""The spool: where runs are written when there is no repository, by jobs, containers and workers.

`GITML_SPOOL` names a folder, or a URL behind which one is. In a folder there is

    live/<run id>/...     as in a repository's gitml folder: journals, locks, staged files
    jobs/<key>.json       which run the ranks of one job write; see jobs.py

For a URL the same is written into a folder of this machine, and courier.py carries it there.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from gitml import config
from gitml.errors import UsageError, shown
from gitml.tracking import live
from gitml.tracking.place import Place
from gitml.urls import without_user_info

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//.)?")  # one letter is a drive
_SETTINGS = config.Config()


@dataclass(frozen=True, slots=True)
class Spool:
    """Where runs go when there is no repository: the folder `home`.

    With a `url`, what is in the folder is carried there.
    """

    home: Path
    url: str | None = None

    def __str__(self) -> str:
        return without_user_info(self.url) if self.url else str(self.home)

    @property
    def settings(self) -> config.Config:
        """The settings that hold there: there is no gitml.yaml."""
        return _SETTINGS

    def live_run(self, run_id: str) -> live.LiveRun:
        """The folder of a run."""
        return live.folder(self.home, run_id)


Where = Place | Spool  # where the runs of a process are written


def named() -> Spool | None:
    """The spool that GITML_SPOOL names; None when it is not set."""
    told = config.variables().spool
    return None if told is None else spool_of(told)


@lru_cache(maxsize=4)
def spool_of(text: str) -> Spool:
    """The spool at a folder or URL; UsageError for a URL that has no place in it."""
    url = url_of(text)
    if url is None:
        return Spool(folder_of(text))
    return Spool(_own_folder(sha256(url.encode()).hexdigest()[:16]), url)


def url_of(text: str) -> str | None:
    """The URL that names a spool elsewhere; None for a folder, as a path or a file: URL."""
    found = _SCHEME.match(text)
    if found is None or found[1].lower() == "file":
        return None
    if found[2] is None:
        raise UsageError(f"the spool {shown(text)} is neither a folder nor a URL such as s3://a/b")
    return text.rstrip("/")


def folder_of(text: str) -> Path:
    """The folder that names a spool, as a path or a file: URL."""
    if text.lower().startswith("file:"):
        from urllib.request import url2pathname

        text = url2pathname(re.sub(r"(?i)file:(//(localhost)?)?", "", text, count=1))
    return Path(text).expanduser().absolute()


def _own_folder(name: str) -> Path:
    """A folder of this user's for what is on its way; nobody else may write there."""
    owner = f"-{os.getuid()}" if sys.platform != "win32" else ""
    top = Path(tempfile.gettempdir()) / f"gitml-spool{owner}"
    try:
        top.mkdir(mode=0o700, exist_ok=True)
        if not _is_mine(top):  # somebody has made it to read, or to change, what is written
            top = Path(tempfile.mkdtemp(prefix="gitml-spool-"))
    except OSError:
        pass  # the journal meets the same, and says so
    return top / name


def _is_mine(folder: Path) -> bool:
    state = folder.lstat()
    if sys.platform == "win32":
        return stat.S_ISDIR(state.st_mode)
    own = state.st_uid == os.getuid() and not state.st_mode & 0o022
    return stat.S_ISDIR(state.st_mode) and own
