"""The repositories whose projects may run unasked: those that the user has agreed to once."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from gitml import caches, git
from gitml.documents import dump_json, load_json, write_atomic
from gitml.errors import FormatError, StorageError
from gitml.files import shown_path

_FILE = "projects.json"
_REMOTE = re.compile(r"remote\..+\.(?:push)?url")


def is_known(repo: git.Repository, url: str, access: Collection[str] = ()) -> bool:
    """Whether a URL is that of one of the repository's remotes, or was agreed to.

    Then it was together with all of `access`: what a container of it has of this machine.
    """
    named = (value for key, value in git.settings(repo).items() if _REMOTE.fullmatch(key))
    known = _read()
    agreed = {_normal(url), *(_with(url, one) for one in access)}
    return _normal(url) in set(map(_normal, named)) or agreed <= known


def _with(url: str, access: str) -> str:
    return f"{_normal(url)} {access}"


def remember(url: str, access: Collection[str] = ()) -> None:
    """From now on a URL is known, with this access. StorageError when that can't be kept."""
    base = next(filter(caches.is_usable, caches.states()), None)
    if base is None:
        raise StorageError("can't write to the user's state folder; make it writable")
    path = base / _FILE
    try:
        known = sorted({*_read(), _normal(url), *(_with(url, one) for one in access)})
        write_atomic(path, dump_json({"schema": 1, "known": known}))
    except OSError as error:
        raise StorageError(f"can't write {shown_path(path)}: {error.strerror}") from None


def _read() -> frozenset[str]:
    """What was agreed to; nothing, if no file can be read."""
    own = filter(caches.is_own, caches.states())
    return frozenset(url for base in own for url in _listed(base))


def _listed(base: Path) -> Iterator[str]:
    with contextlib.suppress(OSError, FormatError):
        document = load_json((base / _FILE).read_bytes(), _FILE)
        known = document.get("known") if isinstance(document, dict) else None
        if isinstance(known, list):
            yield from (url for url in known if isinstance(url, str))


def _normal(url: str) -> str:
    """A URL in one form: a host in any case, with `.git` or a slash at its end or without."""
    scheme, sign, rest = url.rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{sign}{host.lower()}{slash}{path}".rstrip("/").removesuffix(".git")
