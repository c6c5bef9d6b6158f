"""Reading a spool: which journals are in it, what is new in them, and whether their writers live.

What is there may be anybody's: names that gitml does not give are passed over, links are not
followed, and nothing is taken for what it says it is; see screening.py for what is inside.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gitml.errors import GitmlError, StorageError, shown
from gitml.files import shown_path
from gitml.storage import Bucket
from gitml.tracking import courier, jobs, journal, live, screening
from gitml.tracking.names import is_run_id
from gitml.tracking.spool import Spool
from gitml.tracking.staging import prefix_of

_FIRST = 1 << 22  # bytes that a first line may have
_READ = os.O_RDONLY
for _flag in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"):
    _READ |= getattr(os, _flag, 0)


ENDED, UNKNOWN = courier.ENDED, "unknown"
_OBJECT = re.compile(
    rf"live/(?P<run>[0-9a-f]{{32}})/(?:files/(?P<file>{screening.STAGED})"
    rf"|(?P<writer>{screening.WRITER})\.(?:jsonl/(?P<offset>[0-9]{{12}})|(?P<mark>beat|ended|dead)))"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A journal in a spool: how many bytes it has, and when its writer was last heard of.

    `seen` is in seconds since the epoch, as the spool tells. The `state` is ENDED when the writer
    said that it says no more, DEAD or ALIVE when this machine knows, else UNKNOWN.
    """

    run_id: str
    writer: str
    size: int
    seen: float
    state: str

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be written."""
        return self.state in (ENDED, live.DEAD)


class Depot(Protocol):
    """A spool as its collector sees it."""

    def journals(self) -> Mapping[str, list[Found]]:
        """The journals that are there now, by run id, oldest run first."""

    def head(self, found: Found) -> bytes:
        """The beginning of a journal, its first line in any case."""

    def read(self, found: Found, start: int) -> bytes:
        """What a journal holds from byte `start` to the size that it was found with."""

    def fetch(self, run_id: str, name: str, target: Path, size: int) -> None:
        """Copy a staged file to the new path `target`; StorageError when it has another size."""

    def delete(self, found: Found) -> None:
        """Remove a journal and what was staged with it; the run's folder with the last of them."""

    def sweep(self, before: float) -> None:
        """Remove the notes of jobs that were written before a time."""


@dataclass(frozen=True, slots=True)
class FolderDepot:
    """The spool in a folder; `over` when whatever wrote there is known to have ended."""

    home: Path
    over: bool = False

    def journals(self) -> Mapping[str, list[Found]]:
        """The journals that are there now, by run id, oldest run first."""
        if not self.home.is_dir():
            raise StorageError(f"there is no folder {shown_path(self.home)} to collect from")
        found = {}
        for name in sorted(_folder_names(self.home / "live")):
            if is_run_id(name) and (here := list(self._journals(name))):
                found[name] = here
        return found

    def _journals(self, run_id: str) -> Iterator[Found]:
        folder = self.home / "live" / run_id
        for name in sorted(_folder_names(folder)):
            writer = live.Writer(folder / name)
            if name.endswith(".jsonl") and screening.is_writer(writer.name):
                with contextlib.suppress(OSError):
                    state = writer.journal.lstat()
                    if stat.S_ISREG(state.st_mode):
                        # a dead writer has written all: the size is asked for after the state
                        word, seen = self._state(writer), min(state.st_mtime, time.time())
                        size = writer.journal.lstat().st_size
                        yield Found(run_id, writer.name, size, seen, word)

    def _state(self, writer: live.Writer) -> str:
        word = _state(writer)
        return live.DEAD if self.over and word != ENDED else word

    def head(self, found: Found) -> bytes:
        """The beginning of a journal, its first line in any case."""
        return _head(self._path(found))

    def _path(self, found: Found) -> Path:
        return self.home / "live" / found.run_id / f"{found.writer}.jsonl"

    def read(self, found: Found, start: int) -> bytes:
        """What a journal holds from byte `start` to the size that it was found with."""
        with _opened(self._path(found)) as descriptor:
            os.lseek(descriptor, start, os.SEEK_SET)
            parts, left = [], found.size - start
            while left > 0 and (part := os.read(descriptor, left)):
                parts.append(part)
                left -= len(part)
        return b"".join(parts)

    def fetch(self, run_id: str, name: str, target: Path, size: int) -> None:
        """Copy a staged file to the new path `target`; StorageError when it has another size."""
        source = self.home / "live" / run_id / "files" / name
        with _opened(source) as descriptor, target.open("xb") as file:
            if os.fstat(descriptor).st_size != size:
                raise StorageError(f"the staged file {shown(name)} is not the one that was logged")
            left = size
            while left > 0 and (part := os.read(descriptor, min(left, 1 << 20))):
                file.write(part)
                left -= len(part)

    def delete(self, found: Found) -> None:
        """Remove a journal and what was staged with it; the run's folder with the last of them."""
        folder = self.home / "live" / found.run_id
        for name in _folder_names(folder / "files"):
            if name.startswith(prefix_of(found.writer)) and screening.is_staged(name):
                (folder / "files" / name).unlink(missing_ok=True)
        for suffix in (".lock", ".jsonl"):  # the journal last: the rest is found by it
            (folder / f"{found.writer}{suffix}").unlink(missing_ok=True)
        for empty in (folder / "files", folder):
            with contextlib.suppress(OSError):  # another writer has files in it
                empty.rmdir()

    def sweep(self, before: float) -> None:
        """Remove the notes of jobs that were written before a time."""
        folder = self.home / "jobs"
        for name in _folder_names(folder):
            with contextlib.suppress(OSError):
                if jobs.is_note(name) and (folder / name).lstat().st_mtime < before:
                    (folder / name).unlink()


def depot_of(spool: Spool, *, over: bool = False) -> Depot:
    """The spool as a collector sees it; `over` tells that nobody writes there any more."""
    return BucketDepot(Bucket(spool.url), over) if spool.url else FolderDepot(spool.home, over)


@dataclass(slots=True)
class BucketDepot:
    """The spool behind a URL; see courier.py for what is where. `over` is as of a folder.

    `parts` are the segments of each journal, by the byte at which they begin, and `staged` the
    sizes of the staged files.
    """

    bucket: Bucket
    over: bool = False
    parts: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)
    staged: dict[tuple[str, str], int] = field(default_factory=dict)

    def journals(self) -> Mapping[str, list[Found]]:
        """The journals that are there now, by run id, oldest run first."""
        self.parts, self.staged = {}, {}
        seen: dict[tuple[str, str], float] = {}
        marks: dict[tuple[str, str], str] = {}
        for name, thing in self.bucket.list("live").items():
            found = _OBJECT.fullmatch(name)
            if found is None or not is_run_id(found["run"]):
                continue
            if found["file"]:
                self.staged[found["run"], found["file"]] = thing.size
                continue
            key = found["run"], found["writer"]
            seen[key] = max(seen.get(key, 0.0), min(thing.modified, time.time()))
            if found["offset"]:
                self.parts.setdefault(key, {})[int(found["offset"])] = thing.size
            elif found["mark"] != "beat":
                marks[key] = found["mark"]
        runs: dict[str, list[Found]] = {}
        for key in sorted(self.parts):
            size = courier.contiguous(self.parts[key])
            state = marks.get(key, live.DEAD if self.over else UNKNOWN)
            runs.setdefault(key[0], []).append(Found(*key, size, seen[key], state))
        return runs

    def head(self, found: Found) -> bytes:
        """The beginning of a journal, its first line in any case."""
        if not found.size:
            return b""
        return self.bucket.read(courier.segment(found.run_id, found.writer, 0), 0, _FIRST)

    def read(self, found: Found, start: int) -> bytes:
        """What a journal holds from byte `start` to the size that it was found with."""
        parts = []
        for offset, size in sorted(self.parts[found.run_id, found.writer].items()):
            end = min(offset + size, found.size)
            if end > start and offset <= start:
                name = courier.segment(found.run_id, found.writer, offset)
                data = self.bucket.read(name, start - offset, end - offset)
                if len(data) != end - start:
                    raise StorageError(f"{shown(name)} changes while it is read; collect again")
                parts.append(data)
                start = end
        return b"".join(parts)

    def fetch(self, run_id: str, name: str, target: Path, size: int) -> None:
        """Copy a staged file to the new path `target`; StorageError when it has another size."""
        if self.staged.get((run_id, name)) != size:
            raise StorageError(f"the staged file {shown(name)} is not the one that was logged")
        self.bucket.get(f"live/{run_id}/files/{name}", target)

    def delete(self, found: Found) -> None:
        """Remove a journal and what was staged with it."""
        folder, prefix = f"live/{found.run_id}", prefix_of(found.writer)
        names = [
            f"{folder}/files/{name}"
            for run_id, name in self.staged
            if run_id == found.run_id and name.startswith(prefix)
        ]
        offsets = sorted(self.parts[found.run_id, found.writer], reverse=True)
        names += [courier.segment(found.run_id, found.writer, it) for it in offsets if it]
        names += [f"{folder}/{found.writer}.{mark}" for mark in ("beat", ENDED, live.DEAD)]
        # the first segment last: the rest is found by it
        self.bucket.remove([*names, courier.segment(found.run_id, found.writer, 0)])

    def sweep(self, before: float) -> None:
        """Remove the notes of jobs that were written before a time."""
        found = self.bucket.list("jobs").items()
        self.bucket.remove(
            [
                name
                for name, thing in found
                if thing.modified < before and jobs.is_note(name.removeprefix("jobs/"))
            ]
        )


def _state(writer: live.Writer) -> str:
    """What this machine can tell of a writer."""
    if journal.has_ended(writer.journal):
        return ENDED
    try:
        first = _head(writer.journal).partition(b"\n")[0]
        told = screening.beginning(first, writer.journal.parent.name)
    except GitmlError:  # it is told when the journal is read
        return UNKNOWN
    here = live.this_process()
    if told is None or (told.owner.host, told.owner.boot) != (here.host, here.boot):
        return UNKNOWN
    return writer.state(told.owner)


def _head(path: Path) -> bytes:
    with _opened(path) as descriptor:
        return os.read(descriptor, _FIRST)


def _folder_names(folder: Path) -> list[str]:
    """The names in a folder that is one; none in what is a link, or is not there."""
    try:
        return os.listdir(folder) if stat.S_ISDIR(folder.lstat().st_mode) else []
    except OSError:
        return []


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A regular file of the spool, open for reading; StorageError when it is not there."""
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        raise StorageError(f"can't read {shown_path(path)}: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StorageError(f"{shown_path(path)} is no regular file")
        yield descriptor
    finally:
        os.close(descriptor)
