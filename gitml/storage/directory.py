"""A remote that is a folder, on this machine or mounted.

It is written here, without DVC: importing its file systems takes longer than copying a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from gitml import files
from gitml.storage.folder import RESTORE, ObjectFolder, RemoteError, StoredObject
from gitml.storage.remote import Remote
from gitml.storage.store import Moved


class DirectoryStore:
    """A remote that is a folder, on this machine or mounted."""

    jobs = 4  # most of the time is spent waiting for the disk

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._folder = ObjectFolder(
            Path(remote.url), group=remote.options.get("shared", "").lower() == "group"
        )

    def present(self, md5s: Iterable[str]) -> set[str]:
        """Those of the objects that the remote holds."""
        return {md5 for md5 in md5s if self._folder.has(md5)}

    def put(self, md5: str, source: Path, moved: Moved) -> None:
        """Store the file `source`, on the disk when this returns."""
        staged = self._folder.temporary()
        try:
            files.copy(source, staged)
            self._folder.take([(staged, md5)])
        except BaseException:
            staged.unlink(missing_ok=True)
            raise
        moved(self._folder.path(md5).stat().st_size)

    def get(self, md5: str, target: Path, moved: Moved) -> None:
        """Copy the object to the new path `target`."""
        if not self._folder.root.is_dir():
            raise RemoteError(
                f"the folder of the DVC remote {self._remote} is not there",
                f"mount it or move it back, or, if it is lost, {RESTORE}",
            )
        if not self._folder.has(md5):
            raise FileNotFoundError(md5)
        files.copy(self._folder.path(md5), target)
        moved(target.stat().st_size)

    def delete(self, md5: str) -> None:
        """Remove the object."""
        self._folder.remove(md5)

    def objects(self) -> Iterator[StoredObject]:
        """Every object that the remote holds."""
        return self._folder.objects()
