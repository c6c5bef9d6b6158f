"""Data at a URL that no pointer names, through DVC's file systems: a file, or a folder of files."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from gitml.errors import StorageError, UsageError, shown
from gitml.files import disk
from gitml.storage import dvc_config
from gitml.storage.cloud import file_system
from gitml.storage.remote import Remote, may_be_read, public_url
from gitml.storage.transfer import reported


def download(root: Path, url: str, folder: Path) -> Path:
    """Fetch what is at a URL into a folder, under its last name; the path where it is then.

    Options and credentials are those of the user, and of a DVC remote of the project at `root` that
    is in the same place. Raises `UsageError` for a URL that would do more than name data, or holds
    a secret, and `StorageError` when nothing can be had there.
    """
    if not may_be_read(url):
        raise UsageError(
            f"{shown(public_url(url))} is no URL that gitml fetches data from; it takes http,"
            " https, s3, gs, azure, oss, ssh, webdav and webhdfs, without login, query and fragment"
        )
    remote = _remote(root, url)
    target = folder / (PurePosixPath(urlsplit(url).path).name or "data")
    with reported(remote, "fetch"), disk(f"write {target.name}"):
        system, path = file_system(remote)
        for source, part in _files(system, path, url):
            place = target.joinpath(*part.parts)
            place.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(source, str(place))
    return target


def _files(system: Any, path: str, url: str) -> list[tuple[str, PurePosixPath]]:
    """The files at a path of a file system, and where they are below it."""
    if not system.exists(path):
        raise StorageError(f"there is nothing at {shown(url)}")
    if not system.isdir(path):
        return [(path, PurePosixPath())]
    found = []
    for source in sorted(system.find(path)):
        part = PurePosixPath(*system.relparts(source, path))
        if part.is_absolute() or ".." in part.parts:
            raise StorageError(f"{shown(url)} has a file whose name leads out of it")
        if not source.endswith("/"):
            found.append((source, part))
    return found


def _remote(root: Path, url: str) -> Remote:
    """The URL with the options of a remote of the project that is on the same host, or bucket."""
    wanted = urlsplit(url)
    for known in dvc_config.remotes(root):
        place = urlsplit(known.url)
        if (place.scheme, place.netloc) == (wanted.scheme, wanted.netloc) and not known.starting:
            return Remote("data", url, known.options)
    return Remote("data", url)
