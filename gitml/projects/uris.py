"""The URI of a project: a folder, a git repository or a run. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from gitml.errors import UsageError, shown
from gitml.urls import without_user_info

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:(?!\\)")  # one letter is a drive
_TRANSPORT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*::")
_RUN = re.compile(r"runs:/+([^/]+)")
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_WEB = re.compile(rf"(https?)://({_HOST})(?::\d{{1,5}})?(/.*)?", re.IGNORECASE)
_SSH = re.compile(rf"(?:[A-Za-z0-9_][\w.-]*@)?{_HOST}(?::\d{{1,5}})?/(?!-).*", re.ASCII)
_SCP = re.compile(rf"[A-Za-z0-9_][\w.-]*@{_HOST}:(?![-:]).+", re.ASCII)
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_MOST = 2000  # characters


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of this machine, and one below it."""

    path: str
    subdirectory: str = ""


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository at a URL, and a folder in it."""

    url: str
    subdirectory: str = ""


@dataclass(frozen=True, slots=True)
class OfRun:
    """The code of a run, and a folder in it; None for the one that the run itself had."""

    run: str
    subdirectory: str | None = None


def parse(uri: str) -> Folder | Repository | OfRun:
    """What a URI names. Raises UsageError for what is none, or would do more than name a place."""
    if not uri.isprintable() or not uri or len(uri) > _MOST:
        raise UsageError(f"{shown(uri)} is no project; name a folder, a git URL or runs:/RUN")
    place, has_part, part = uri.partition("#")
    subdirectory = _subdirectory(part)
    if place.startswith("runs:"):
        found = _RUN.fullmatch(place)
        if found is None:
            raise UsageError(f"{shown(uri)} is no run; write runs:/RUN, such as runs:/latest")
        return OfRun(found[1], subdirectory if has_part else None)
    if _SCP.fullmatch(place) or _SCHEME.match(place) or _TRANSPORT.match(place):
        return Repository(_checked(place), subdirectory)
    return Folder(place, subdirectory)


def _subdirectory(text: str) -> str:
    path = PurePosixPath(text.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or any(":" in part for part in path.parts):
        raise UsageError(f"the subdirectory {shown(text)} is outside the project")
    return "" if str(path) == "." else str(path)


def _checked(url: str) -> str:
    """A URL of git's that only names a place: it starts nothing, and holds no secret."""
    scheme, _, rest = url.partition("://")
    if any(char.isspace() for char in url) or _TRANSPORT.match(url):
        raise _refused(url)
    if _SCP.fullmatch(url):
        return url
    if scheme == "file":
        if not rest.startswith("/") or rest.startswith("//"):
            raise _refused(url)
        return url
    if without_user_info(url, frozenset({"ssh"})) != url:
        raise UsageError(
            f"{shown(without_user_info(url))}: leave user name and password out of the URL, to a"
            " credential helper of git"
        )
    if scheme == "ssh" and _SSH.fullmatch(rest):
        return url
    found = _WEB.fullmatch(url)
    if found and found[1] == "http" and found[2] not in _LOOPBACK:
        raise UsageError(f"{shown(url)}: code that is run comes by https, not http")
    if found and found[1] in ("http", "https"):
        return url
    raise _refused(url)


def _refused(url: str) -> UsageError:
    return UsageError(
        f"{shown(url)} is no git URL that can be run; write https://, ssh://, file:/// or"
        " user@host:path"
    )
