"""A folder of objects in DVC's layout, `files/md5/<2 hex>/<30 hex>`, read-only files.

The local cache and a directory remote are such folders. Any number of processes may write into
one: an object appears whole, by a rename, and has the same bytes whoever writes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gitml import files
from gitml.errors import StorageError
from gitml.files import disk, shown_path
from gitml.storage.pointer import check_object_id, is_object_id

RESTORE = "run in a clone that has it: gitml push --artifacts"  # how an object comes back

_TEMPORARY = ".gitml-"
_DAY = 24 * 3600


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that a cache or remote holds: size in bytes, time in seconds since the epoch.

    Both are None where a remote does not tell.
    """

    md5: str
    size: int | None
    modified: float | None


class RemoteError(StorageError):
    """A remote can't give what it should: `what` is wrong, and `advice` what to do about it."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what}; {advice}")
        self.what = what
        self.advice = advice


class ObjectError(RemoteError):
    """One object is not there, or not what its id says; the others may be well."""


class ObjectFolder:
    """The objects under `root`; with `group`, folders are made for a whole group to write in."""

    def __init__(self, root: Path, *, group: bool = False) -> None:
        self.root = root
        self._objects = root / "files" / "md5"
        self._group = group

    def path(self, md5: str) -> Path:
        """Where the object is, or would be."""
        check_object_id(md5)
        return self._objects / md5[:2] / md5[2:]

    def has(self, md5: str) -> bool:
        """Whether the object is there, as a file of its own; its bytes are not looked at."""
        try:
            return stat.S_ISREG(self.path(md5).lstat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def temporary(self) -> Path:
        """A new path on the same file system as the objects, for a file that becomes one."""
        with disk(f"write in {shown_path(self.root)}"):
            for folder in self._make(self._objects):
                files.sync(folder)
        return self._objects / f"{_TEMPORARY}{os.urandom(8).hex()}"

    def take(self, staged: Iterable[tuple[Path, str]], *, durable: bool = True) -> None:
        """Move files in under their ids; they must have been hashed.

        When this returns they survive a power loss, unless they need not be `durable`. Raises
        `StorageError`; what was moved until then stays.
        """
        folders, listed = set[Path](), list(staged)
        with disk(f"store artifacts in {shown_path(self.root)}"):
            files.sync_all([path for path, _ in listed] if durable else [])
        for path, md5 in listed:
            target = self.path(md5)
            with disk(f"store {md5} in {shown_path(self.root)}"):
                folders.update(self._make(target.parent))
                self._move(path, target, durable)
            folders.add(target.parent)
        with disk(f"write in {shown_path(self.root)}"):
            files.sync_all(list(folders) if durable else [])

    def _make(self, folder: Path) -> list[Path]:
        """Make a folder and those above it; the folders that have got a new entry."""
        if folder.is_dir():
            return []
        changed = self._make(folder.parent)
        folder.mkdir(exist_ok=True)
        files.share(folder)
        if self._group:
            folder.chmod(0o2775)
        return [*changed, folder.parent]

    def _move(self, path: Path, target: Path, durable: bool) -> None:
        try:
            with contextlib.suppress(PermissionError):  # it is a colleague's, whose run died
                path.chmod(0o444)
            replace(path, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            near = self.temporary()  # staged on another file system
            files.copy(path, near)
            if durable:
                files.sync(near)
            self._move(near, target, durable)
            _remove(path)

    def remove(self, md5: str) -> None:
        """Remove the object; no error when it is not there. Raises OSError."""
        _remove(self.path(md5))

    def objects(self) -> Iterator[StoredObject]:
        """Every object there is."""
        for folder in _entries(self._objects):
            is_own = folder.is_dir(follow_symlinks=False)
            for entry in _entries(folder.path) if is_own else ():
                md5 = folder.name + entry.name
                if len(folder.name) == 2 and is_object_id(md5):
                    status = entry.stat()
                    yield StoredObject(md5, status.st_size, status.st_mtime)

    def sweep(self, age: float = _DAY) -> None:
        """Remove what writers that died have left, once it is `age` seconds old."""
        limit = time.time() - age
        for entry in _entries(self._objects):
            if entry.name.startswith(_TEMPORARY) and entry.stat().st_mtime < limit:
                with contextlib.suppress(OSError):
                    _remove(Path(entry.path))


def _entries(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as found:
        yield from found


def replace(path: Path, target: Path) -> None:
    """Rename `path` to `target`, which may be a read-only file; raises OSError."""
    try:
        path.replace(target)
    except PermissionError:
        if os.name != "nt" or not target.exists():
            raise
        # Windows replaces no read-only file, nor one that is open: the same bytes are there
        if target.stat().st_size == path.stat().st_size:
            _remove(path)
        else:
            target.chmod(0o666)
            path.replace(target)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        path.chmod(0o666)  # Windows removes no read-only file
        path.unlink(missing_ok=True)
