"""A place behind a URL where whole objects are put, listed and read: the gate to fsspec.

Credentials and addresses come from where the scheme's own tools find them, the environment and
their configuration files; fsspec's own configuration (`FSSPEC_S3_ENDPOINT_URL` and so on) counts.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gitml.errors import StorageError
from gitml.storage.cloud import modified
from gitml.urls import without_user_info

# A store that does not answer is given up, so that what waits for it can go on.
_PATIENCE: Mapping[str, dict[str, Any]] = {
    "s3": {
        "config_kwargs": {
            "connect_timeout": 10,
            "read_timeout": 60,
            "retries": {"max_attempts": 2},
        }
    }
}


_FLAT = frozenset("s3 s3a gs gcs az abfs abfss adl oss".split())  # stores without folders


class Thing(NamedTuple):
    """An object: its size in bytes, and when it was written, in seconds since the epoch."""

    size: int
    modified: float


class Bucket:
    """The objects below a URL, by their names relative to it.

    Every method raises StorageError, which names the place without credentials, for whatever the
    store answers.
    """

    def __init__(self, url: str) -> None:
        scheme = url.partition("://")[0].lower()
        self._shown, self._is_flat = without_user_info(url), scheme in _FLAT
        with self._told("opened"):
            from fsspec.core import url_to_fs

            options = _PATIENCE.get(scheme, {})
            self._fs, path = url_to_fs(url, skip_instance_cache=True, **options)
            self._top = str(path).rstrip("/")

    def list(self, below: str) -> dict[str, Thing]:
        """The objects whose name begins with the folder `below`."""
        with self._told("listed"):
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(f"{self._top}/{below}", detail=True)
            except FileNotFoundError:
                return {}
        start = f"{self._top}/".lstrip("/")
        return {
            path.lstrip("/").removeprefix(start): Thing(
                int(info.get("size") or 0), modified(info) or time.time()
            )
            for path, info in found.items()
            if path.lstrip("/").startswith(start) and info.get("type") == "file"
        }

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """What an object holds from byte `start` to before `end`."""
        with self._told("read"):
            data: bytes = self._fs.cat_file(self._path(name), start=start, end=end)
        return data

    def read_or_none(self, name: str) -> bytes | None:
        """A small object; None when it is not there."""
        with self._told("read"):
            try:
                data: bytes = self._fs.cat_file(self._path(name))
            except FileNotFoundError:
                return None
        return data

    def get(self, name: str, target: Path) -> None:
        """Copy an object to the new path `target`."""
        with self._told("read"):
            self._fs.get_file(self._path(name), str(target))

    def put(self, name: str, data: bytes) -> None:
        """Write an object."""
        with self._told("written"):
            self._make(name)
            self._fs.pipe_file(self._path(name), data)

    def put_file(self, name: str, source: Path) -> None:
        """Write an object with the content of a file."""
        with self._told("written"):
            self._make(name)
            self._fs.put_file(str(source), self._path(name))

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects, one after another, those that are there."""
        with self._told("deleted"):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    self._fs.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._top}/{name}"

    def _make(self, name: str) -> None:
        """Make the folder of an object, where there are folders."""
        if not self._is_flat:
            self._fs.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each store has errors of its own
            said = without_user_info(" ".join(f"{error}".split())) or type(error).__name__
            raise StorageError(f"{self._shown} can't be {what}: {said}") from error
