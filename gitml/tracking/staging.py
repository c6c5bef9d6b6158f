"""Staging: the files that a run logged, kept beside its journals as they were at that moment.

A staged file's name begins with the nonce of its writer, so that it can go with the writer's
journal and no other. What the disk refuses is held in memory, and written when it can be.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from gitml import faults, files
from gitml.errors import StorageError, UsageError, plural, shown
from gitml.tracking import beats
from gitml.tracking.journal import BACKLOG_BYTES, ended_error, warn_not_acknowledged

Describe = Callable[[dict[str, Any], int], None]
Source = Path | BinaryIO


class Taken(NamedTuple):
    """The content of a logged file: as a file of the folder, or in memory."""

    path: str
    file: str
    digest: files.Digest | None
    content: bytes | None


class Staging:
    """The staged files of one writer, in the folder `folder`. Threads may share it.

    `describe(file, time)` is called with each file once it is there: its artifact path, its name
    in the folder, its size and its digests.
    """

    def __init__(self, folder: Path, writer: str, describe: Describe) -> None:
        self._folder = folder
        self._prefix = prefix_of(writer)
        self._describe = describe
        self._mutex = threading.Lock()
        self._queue: list[tuple[Taken, int]] = []  # in the order in which they were logged
        self._ended = False

    def take(self, source: Source, path: str) -> Taken:
        """The content of the file `source`, or the rest of a stream, to be logged as `path`.

        StorageError names the artifact when neither the disk nor the memory has room for it; then
        nothing of it is left.
        """
        reader = source if isinstance(source, Path) else _Reader(source, path)
        name = f"{self._prefix}{secrets.token_hex(8)}"
        try:
            return self._on_disk(reader, path, name)
        except (OSError, StorageError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if not isinstance(cause, OSError):
                raise  # it is not the disk
            content = self._in_memory(reader, path, cause)
            if not self._queue:
                warn_not_acknowledged(cause, self._folder.parent.name, stacklevel=7)
            return Taken(path, name, None, content)

    def log(self, taken: Sequence[Taken], time: int) -> None:
        """Log what was taken, at the moment `time` in ms, after all that was logged before.

        What of it can't be logged goes.
        """
        with self._mutex:
            if self._ended:
                self.drop(taken)
                raise ended_error()
            self._queue += [(item, time) for item in taken]
            try:
                self._catch_up()
            except OSError:
                beats.watch(self)  # it was said when the first was taken
            except BaseException:  # the journal takes no more
                left = [item for item, _ in self._queue if item in taken]
                self._queue = [one for one in self._queue if one[0] not in left]
                self.drop(left)
                raise

    def drop(self, taken: Iterable[Taken]) -> None:
        """Forget what was taken and will not be logged."""
        for item in taken:
            self._remove(item.file)
        self._leave()

    @contextlib.contextmanager
    def workshop(self) -> Iterator[Path]:
        """A new folder in which files are made that are to be logged; it goes with all in it.

        It is on the disk that the staged files are on. Raises StorageError when it can't be made.
        """
        folder = self._folder / f"{self._prefix}{secrets.token_hex(8)}"
        with files.disk(f"make the folder {files.shown_path(folder)}"):
            files.make_folder(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self._leave()

    def _leave(self) -> None:
        """Take the folder away that was perhaps made again after all was recorded."""
        if self._ended:
            with contextlib.suppress(OSError):
                self._folder.rmdir()
                self._folder.parent.rmdir()

    def finish(self) -> None:
        """Log what is held; StorageError names the artifacts that the disk still refuses.

        Nothing can be logged from now on. Called again, it goes on from there.
        """
        with self._mutex:
            self._ended = True
            try:
                self._catch_up()
            except OSError as error:
                names = ", ".join(shown(item.path) for item, _ in self._queue[:5])
                held = plural(len(self._queue), "artifact")
                said = f"{held} could not be brought to the disk, {names}"
                advice = files.remedy(error)
                raise StorageError(
                    f"{said}: {error.strerror or error}{advice and '; '}{advice}"
                ) from None

    def give_up(self) -> list[str]:
        """Forget what is held; the paths of the artifacts."""
        with self._mutex:
            self._ended = True
            lost, self._queue = self._queue, []
        self.drop(item for item, _ in lost)
        return [item.path for item, _ in lost]

    # -- beats.Beating ---------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether nothing is held."""
        return not self._queue

    is_due = True

    def beat(self) -> None:
        """Log what is held, as far as the disk takes it."""
        with self._mutex:
            self._catch_up()

    # -- the disk and the memory -----------------------------------------------------------

    def _on_disk(self, source: Path | _Reader, path: str, name: str) -> Taken:
        files.make_folder(self._folder)
        target = self._folder / name
        try:
            faults.hit("stage.copy")
            digest = (
                files.copy_hashed(source, target)
                if isinstance(source, Path)
                else files.write_hashed(source, target)
            )
            faults.hit("stage.note")
        except BaseException:
            self._remove(name)
            raise
        return Taken(path, name, digest, None)

    def _in_memory(self, source: Path | _Reader, path: str, error: OSError) -> bytes:
        """A file that the disk refuses; when it is `source` that can't be read, that is told."""
        room = BACKLOG_BYTES - sum(len(item.content or b"") for item, _ in self._queue)
        content = None
        if isinstance(source, Path):
            with files.disk(f"read {files.shown_path(source)}"):
                if source.stat().st_size <= room:
                    content = source.read_bytes()
        elif source.rewind():
            content = source.read(room + 1)
        if content is None or len(content) > room:
            remedy = files.remedy(error) or "see to the disk"
            raise StorageError(
                f"artifact {shown(path)} was not kept: {error.strerror or error};"
                f" {remedy} and log it again"
            )
        return content

    def _catch_up(self) -> None:
        while self._queue:
            item, time = self._queue[0]
            if item.content is not None:
                item = self._on_disk(
                    _Reader(BytesIO(item.content), item.path), item.path, item.file
                )
                self._queue[0] = item, time
            assert item.digest is not None
            self._describe(_document(item, item.digest), time)
            self._queue.pop(0)

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self._folder / name).unlink()


def _document(item: Taken, digest: files.Digest) -> dict[str, Any]:
    return {
        "path": item.path,
        "file": item.file,
        "size": digest.size,
        "sha256": digest.sha256,
        "md5": digest.md5,
    }


class _Reader:
    """A stream of bytes; that it can't be read is told apart from what the disk refuses."""

    def __init__(self, stream: BinaryIO, path: str) -> None:
        self._stream, self._path = stream, path
        try:
            self._start = stream.tell()
        except (OSError, AttributeError, ValueError):  # a pipe, a socket, or no more than `read`
            self._start = -1

    def read(self, size: int) -> bytes:
        """At most `size` bytes."""
        try:
            part: object = self._stream.read(size)
        except OSError as error:
            said = error.strerror or error
            raise StorageError(f"can't read artifact {shown(self._path)}: {said}") from None
        if isinstance(part, str):
            raise UsageError("log_stream needs a stream of bytes, not of text")
        return cast(bytes, part)

    def rewind(self) -> bool:
        """Go back to where the stream was at first; whether that is possible."""
        try:
            return self._start >= 0 and self._stream.seek(self._start) == self._start
        except (OSError, AttributeError, ValueError):
            return False


def prefix_of(writer: str) -> str:
    """How the names of the staged files of a writer begin."""
    return writer.rpartition("-")[2] + "-"


def clear(folder: Path, writer: str) -> None:
    """Remove what is left of a writer's staged files, and the folder with the last of them."""
    if folder.is_symlink():
        return  # where it leads nothing is gitml's
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if name.startswith(prefix_of(writer)):
            _clear(folder / name)
    try:
        folder.rmdir()
    except OSError:
        pass  # another writer has files in it


def _clear(path: Path) -> None:
    """Remove a staged file, or a workshop that a killed process left."""
    try:
        path.unlink(missing_ok=True)
    except OSError:  # of a folder, Windows and macOS say that it is not permitted
        if not path.is_dir():
            raise
        shutil.rmtree(path)
