"""Staging: the files that a run logged, kept beside its journals as they were at that moment.

A staged file's name begins with the nonce of its writer, so that it can go with the writer's
journal and no other. What the disk refuses is held in memory, and written when it can be.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from gitml import faults, files
from gitml.errors import GitmlError, StorageError, shown
from gitml.tracking.journal import BACKLOG_BYTES, warn_not_acknowledged

Describe = Callable[[dict[str, Any], int], None]


class _Held(NamedTuple):
    """A logged file in memory: its artifact path, its content, and when it was logged in ms."""

    path: str
    content: bytes
    time: int


class Staging:
    """The staged files of one writer, in the folder `folder`.

    `describe(file, time)` is called with each file once it is there: its artifact path, its name
    in the folder, its size and its digests.
    """

    def __init__(self, folder: Path, writer: str, describe: Describe) -> None:
        self._folder = folder
        self._prefix = prefix_of(writer)
        self._describe = describe
        self._held: list[_Held] = []

    def add(self, source: Path, path: str, time: int) -> None:
        """Keep the content of the file `source` as the artifact `path`."""
        self.catch_up()
        if not self._held:
            try:
                self._keep(source, path, time)
            except (OSError, StorageError) as error:
                if isinstance(error, StorageError) and not isinstance(error.__cause__, OSError):
                    raise  # it is not the disk
                self._held.append(self._in_memory(source, path, time, error))
                warn_not_acknowledged(error, stacklevel=6)
        else:
            self._held.append(self._in_memory(source, path, time, None))

    def catch_up(self) -> None:
        """Write the files that are held in memory, as far as the disk takes them."""
        while self._held:
            path, content, time = self._held[0]
            try:
                self._write(content, path, time)
            except OSError:
                return
            self._held.pop(0)

    def finish(self) -> None:
        """Write what is held; StorageError names the artifacts that could not be kept."""
        self.catch_up()
        if self._held:
            names = ", ".join(shown(item.path) for item in self._held[:5])
            raise StorageError(
                f"{len(self._held)} artifacts could not be kept, the disk refused them: {names}"
            )

    def _keep(self, source: Path, path: str, time: int) -> None:
        target = self._target()
        faults.hit("stage.copy")
        digest = files.copy_hashed(source, target)
        faults.hit("stage.note")
        self._tell(target, path, digest, time)

    def _write(self, content: bytes, path: str, time: int) -> None:
        target = self._target()
        faults.hit("stage.copy")
        try:
            target.write_bytes(content)
        except OSError:
            target.unlink(missing_ok=True)
            raise
        self._tell(target, path, files.hash_file(target), time)

    def _target(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{self._prefix}{secrets.token_hex(8)}"

    def _tell(self, target: Path, path: str, digest: files.Digest, time: int) -> None:
        staged = {
            "path": path,
            "file": target.name,
            "size": digest.size,
            "sha256": digest.sha256,
            "md5": digest.md5,
        }
        self._describe(staged, time)

    def _in_memory(
        self, source: Path, path: str, time: int, error: OSError | GitmlError | None
    ) -> _Held:
        """A file that can't be staged now; when it is `source` that can't be read, that is told."""
        room = BACKLOG_BYTES - sum(len(item.content) for item in self._held)
        with files.disk(f"read {files.shown_path(source)}"):
            if source.stat().st_size > room:
                raise error or StorageError(
                    f"the disk refuses artifacts and {BACKLOG_BYTES >> 20} MB of them are held in"
                    f" memory; artifact {shown(path)} was not kept; free some disk space"
                )
            return _Held(path, source.read_bytes(), time)


def prefix_of(writer: str) -> str:
    """How the names of the staged files of a writer begin."""
    return writer.rpartition("-")[2] + "-"


def clear(folder: Path, writer: str) -> None:
    """Remove what is left of a writer's staged files, and the folder with the last of them."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if name.startswith(prefix_of(writer)):
            (folder / name).unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError:
        pass  # another writer has files in it
