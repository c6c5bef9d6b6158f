"""A remote behind one of DVC's file systems: s3, gs, azure, ssh, http, webdav, hdfs ...

Configured, authenticated and laid out as DVC does it. `tests/test_storage_contract.py` holds
what this module takes for granted of DVC, whose inner modules promise nothing.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gitml.errors import StorageError
from gitml.storage.folder import StoredObject
from gitml.storage.pointer import is_object_id
from gitml.storage.remote import Remote
from gitml.storage.store import Moved

# File systems on which another reader sees a file while it is being written.
_IN_PLACE = frozenset({"ssh", "sftp", "hdfs", "webhdfs"})
# File systems whose root is the remote's own URL, which nobody makes unless asked.
_ROOTED = frozenset({"webdav", "webdavs"})
# The part of a package's name that is not the scheme.
_PACKAGES = {"https": "http", "webdavs": "webdav"}
_MODIFIED = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")


class CloudStore:
    """A remote behind one of DVC's file systems."""

    def __init__(self, remote: Remote) -> None:
        from dvc_objects.db import ObjectDB

        self._remote = remote
        self._fs, path = file_system(remote)
        self._db = ObjectDB(self._fs, self._fs.join(path, "files", "md5"))
        self._folders: set[str] = set()
        self.jobs: int = self._fs.jobs

    def present(self, md5s: Iterable[str]) -> set[str]:
        """Those of the objects that the remote holds, listed or asked for one by one."""
        wanted = list(md5s)
        return set(self._db.oids_exist(wanted, jobs=self.jobs)) if wanted else set()

    def put(self, md5: str, source: Path, moved: Moved) -> None:
        """Upload the file `source`."""
        path: str = self._db.oid_to_path(md5)
        self._make(self._fs.parent(path))
        in_place = self._fs.protocol in _IN_PLACE
        draft = f"{path}.{os.urandom(8).hex()}.tmp" if in_place else path
        self._fs.put_file(str(source), draft, callback=_callback(moved))
        if in_place:
            self._fs.mv(draft, path)

    def _make(self, folder: str) -> None:
        if folder in self._folders:
            return
        if self._fs.protocol in _ROOTED and not self._folders:
            above, _, name = self._remote.url.rstrip("/").rpartition("/")
            file_system(replace(self._remote, url=above))[0].makedirs(name)
        self._fs.makedirs(folder)
        self._folders.add(folder)

    def get(self, md5: str, target: Path, moved: Moved) -> None:
        """Download the object to the new path `target`."""
        self._fs.get_file(self._db.oid_to_path(md5), str(target), callback=_callback(moved))

    def delete(self, md5: str) -> None:
        """Remove the object."""
        try:
            self._fs.remove(self._db.oid_to_path(md5))
        except FileNotFoundError:
            pass

    def objects(self) -> Iterator[StoredObject]:
        """Every object that the remote holds."""
        try:
            found = self._fs.fs.find(self._db.path, detail=True)
        except FileNotFoundError:
            return
        for path, info in found.items():
            md5 = "".join(path.rsplit("/", 2)[-2:])
            if is_object_id(md5):
                yield StoredObject(md5, info.get("size"), modified(info))


def file_system(remote: Remote) -> tuple[Any, str]:
    """DVC's file system for the remote, and the remote's path in it."""
    from dvc.fs import RemoteMissingDepsError, get_cloud_fs

    try:
        kind, options, path = get_cloud_fs({}, **remote.options, url=remote.url)
        return kind(**options), path
    except (ImportError, RemoteMissingDepsError):
        package = f"dvc-{_PACKAGES.get(remote.scheme, remote.scheme)}"
        raise StorageError(
            f"the DVC remote {remote} needs the package {package}, which is not installed;"
            f" run: pip install {package}"
        ) from None


def _callback(moved: Moved) -> Any:
    from fsspec.callbacks import Callback

    return Callback(hooks={"moved": lambda size, value, **_: moved(value)})


def modified(info: dict[str, Any]) -> float | None:
    """When the object was written, however the backend calls and writes that."""
    for name in _MODIFIED:
        value = info.get(name)
        if isinstance(value, str):
            try:
                value = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
            except ValueError:
                continue
        if isinstance(value, datetime.datetime):
            utc = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
            return utc.timestamp()
        if isinstance(value, (int, float)):
            return float(value)
    return None
