"""The local cache of run artifacts: a folder of objects, and the manifests of folders.

It lies in the common git directory, apart from the project's own DVC cache, so that a stock
`dvc gc` never sees it. Recording writes here and imports nothing of DVC for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from gitml import faults
from gitml.errors import StorageError
from gitml.files import disk, hash_file, make_folder, shown_path
from gitml.storage.folder import RESTORE, ObjectError, ObjectFolder, StoredObject, replace
from gitml.storage.manifest import Entry, manifest_bytes, manifest_id, parse_manifest
from gitml.storage.pointer import Pointer, is_dir


class Cache(ObjectFolder):
    """The cache under `root`, normally `<common git directory>/gitml/cache`."""

    def objects(self) -> Iterator[StoredObject]:
        """Every object there is; none behind a link, where they would be those of others."""
        places = (self.root, self._objects.parent, self._objects)
        return iter(()) if any(map(Path.is_symlink, places)) else super().objects()

    def add_file(self, staged: Path, md5: str) -> None:
        """Move the file `staged` in, whose md5 the caller has just computed.

        When this returns the object survives a power loss. Raises `StorageError`.
        """
        self.add_files([(staged, md5)])

    def add_files(self, staged: Iterable[tuple[Path, str]]) -> None:
        """Move many files in, as `add_file` does, with fewer waits for the disk."""
        with disk(f"store artifacts in {shown_path(self.root)}"):
            faults.hit("cache.add")
        self.take(staged)

    def add_tree(self, entries: Iterable[tuple[str, str, int]]) -> Pointer:
        """Write the manifest of a folder whose files are in the cache.

        `entries` are (path with `/` relative to the folder, md5, size in bytes), in any order.
        Raises `FormatError` for a path that no reader would take.
        """
        listed = list(entries)
        data = manifest_bytes(Entry(relpath, md5) for relpath, md5, _ in listed)
        pointer = Pointer(manifest_id(data), sum(size for *_, size in listed), len(listed))
        staged = self.temporary()
        with disk(f"write in {shown_path(self.root)}"):
            staged.write_bytes(data)
        self.add_file(staged, pointer.md5)
        return pointer

    def manifest(self, md5: str) -> list[Entry]:
        """The files of the folder `md5`; raises `StorageError` when the cache lacks it."""
        return parse_manifest(self.content(md5), f"the folder {md5}")

    def content(self, md5: str) -> bytes:
        """The bytes of the object, which have proved to be what its id says; else StorageError."""
        data = self._read(md5)
        if hashlib.md5(data, usedforsecurity=False).hexdigest() != md5[:32]:
            raise self.damaged(md5)
        return data

    def _read(self, md5: str) -> bytes:
        try:
            with disk(f"read {md5} in {shown_path(self.root)}"):
                return self.path(md5).read_bytes()
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise lacking(md5) from None
            raise

    def verified(self, md5: str) -> Path:
        """The path of the object, once its bytes have proved to be what its id says."""
        if not self.has(md5):
            raise lacking(md5)
        path = self.path(md5)
        if hash_file(path).md5 != md5[:32]:
            raise self.damaged(md5)
        return path

    def admit(self, path: Path, md5: str, origin: str) -> None:
        """Move a file in that came from `origin`, if its bytes are what `md5` says.

        Raises `ObjectError` when they are not.
        """
        actual = hash_file(path).md5
        if actual != md5[:32]:
            raise ObjectError(
                f"the object {md5} in {origin} is damaged, its md5 is {actual}",
                f"remove it there, then {RESTORE}",
            )
        # what a power loss takes is found damaged when it is read, and can be fetched again
        self.take([(path, md5)], durable=False)

    def damaged(self, md5: str) -> StorageError:
        """Set a damaged object aside, so that a fetch can bring it again; the error to raise."""
        aside = self.root / "damaged" / md5
        with disk(f"move the damaged object {md5} in {shown_path(self.root)}"):
            make_folder(aside.parent)
            replace(self.path(md5), aside)
        return StorageError(
            f"the object {md5} in the local cache is damaged; it is now {shown_path(aside)}:"
            " fetch it again from the remote"
        )


def lacking(md5: str) -> StorageError:
    """The error for an object that is not in the cache."""
    what = "folder" if is_dir(md5) else "file"
    return StorageError(f"the {what} {md5} is not in the local cache; run: gitml pull --artifacts")
