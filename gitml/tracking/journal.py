"""The journal: the crash-safe file of one writer to a live run.

A journal is JSON lines, `{"crc":"<crc32 of the rest>",<the rest>`, one line for each call; the
first key after `crc` names the event (see fold.py for what each means). A line is one `write` on an
append-only descriptor, so a call that has returned survives the death of the process; a background
thread brings the file to the disk about every second, and puts it back when somebody has removed
it. Readers skip a line whose checksum is wrong, and count it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gitml import faults, files, locks
from gitml.errors import StorageError, UsageError, plural
from gitml.tracking import beats

BACKLOG_BYTES = 64 * 1024 * 1024

_TAIL = 4096
_CHUNK = 1 << 20
_STANDARD = 3  # descriptors below are standard input, output and error, whoever closed them

_HEAD = b'{"crc":"%08x",'
_HEAD_LENGTH = 18
_LONG_INTEGER = re.compile(rb"[0-9]{20}")

Event = Mapping[str, Any]


class NotAcknowledgedWarning(UserWarning):
    """A log call is held in memory because the disk refused it; it would not survive a kill."""


class Contents(NamedTuple):
    """What a journal holds: its events in order, its number of lines, and how many are bad."""

    events: list[dict[str, Any]]
    lines: int
    skipped: int


class Journal:
    """The writer of one journal. Its threads share it; a forked child opens its own.

    The file is made with the first event. `prepare` is called before that, for what must be there
    first; when the disk refuses one or the other, both are tried again with the next event.
    """

    def __init__(self, path: Path, prepare: Callable[[], object] = lambda: None) -> None:
        import orjson  # imported once for a run, so that `import gitml` does not pay for it

        self.path = path
        self._prepare = prepare
        self._dumps = orjson.dumps
        self._descriptor = -1
        self._size = 0
        self._mutex = threading.Lock()
        self._backlog: list[bytes] = []
        self._backlog_bytes = 0
        self._smooth = True  # nothing is held back, and the file ends with a whole line
        self._ended = self._closed = False
        self._dirty = False
        self._refusal: OSError | None = None  # what the disk said when it took no more
        self._unsynced: list[Path] = []
        self.was_removed = False  # by somebody, and put back: he may have recorded what it held

    def append(self, event: Event) -> None:
        """Write one event; when this returns without a warning, the event survives a kill."""
        line = self._encode(event)
        with self._mutex:
            if self._smooth:
                try:
                    self._write(line)
                except OSError as error:
                    self._hold(line, error)
            else:
                self._append_late(line)

    def sync_with(self, path: Path) -> None:
        """Bring the file `path` to the disk together with what is appended from now on."""
        with self._mutex:
            self._unsynced.append(path)

    def sync(self) -> None:
        """Bring what was appended to the disk; raises StorageError when that is impossible."""
        with self._mutex:
            self._sync()

    def end(self, event: Event, *, durable: bool = True) -> None:
        """Write the last event, sync if it is to be `durable`, and close.

        An event that comes later is refused. Raises StorageError as long as the disk does not take
        all that was appended; called again, it goes on from there. `abandon` gives that up.
        """
        line = self._encode(event)
        with self._mutex:
            if self._closed:
                return
            if not self._ended:
                self._backlog.append(line)
                self._smooth, self._ended = False, True
            self._sync(durable=durable)
            self.abandon()

    @property
    def held(self) -> int:
        """How many calls are in memory only."""
        return len(self._backlog)

    @property
    def is_closed(self) -> bool:
        """Whether this process will write no more to it."""
        return self._closed

    @property
    def is_due(self) -> bool:
        """Whether there is something that is not on the disk yet."""
        return self._dirty or bool(self._backlog)

    def abandon(self) -> None:
        """Close the descriptor and do nothing else: for a child that inherited it."""
        self._closed = True
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def beat(self) -> None:
        """Sync when something was appended since, and touch the file: the owner's heartbeat."""
        if self.is_due or self._is_removed():
            self._sync_aside()
        if self._descriptor >= 0:
            os.utime(self.path)

    def _encode(self, event: Event) -> bytes:
        return _line(event, self._dumps)

    def _open(self) -> None:
        faults.hit("journal.open")
        self._prepare()
        faults.hit("journal.create")
        descriptor = _opened(self.path)
        self._size = os.fstat(descriptor).st_size
        self._descriptor = descriptor
        self._unsynced += [self.path.parent, self.path.parent.parent]

    def _is_removed(self) -> bool:
        try:
            return self._descriptor >= 0 and not locks.is_named(self._descriptor, self.path)
        except OSError:  # nobody can tell now
            return False

    def _put_back(self) -> None:
        """Write the file that somebody has removed anew; its bytes are still to be had here."""
        self._prepare()
        draft, removed = self.path.with_suffix(".new"), self._descriptor
        descriptor = _opened(draft, os.O_TRUNC)
        try:
            _copy(removed, descriptor, self._size)
            os.replace(draft, self.path)
        except OSError:
            os.close(descriptor)
            draft.unlink(missing_ok=True)
            raise
        self._descriptor = descriptor
        os.close(removed)
        self._unsynced += [self.path.parent, self.path.parent.parent]
        self.was_removed = True

    def _write(self, line: bytes) -> None:
        if self._descriptor < 0:
            self._open()
        faults.hit("journal.append")
        written = os.write(self._descriptor, line)
        while written < len(line):  # on a full disk the next write says so
            written += os.write(self._descriptor, line[written:])
        self._size += len(line)
        if not self._dirty:
            self._dirty = True
            beats.watch(self)

    def _hold(self, line: bytes, error: OSError | None = None) -> None:
        if self._backlog_bytes + len(line) > BACKLOG_BYTES:
            what = files.remedy(self._refusal) or "free some disk space"
            raise StorageError(
                f"the disk refuses the journal and {BACKLOG_BYTES >> 20} MB of log calls are held"
                f" in memory; this call was not kept; {what}"
            )
        self._smooth, self._refusal = False, error or self._refusal
        self._backlog.append(line)
        self._backlog_bytes += len(line)
        beats.watch(self)
        if error is not None:
            warn_not_acknowledged(error, self.path.parent.name, stacklevel=6)

    def _append_late(self, line: bytes) -> None:
        if self._ended:
            raise ended_error()
        self._hold(line)
        try:
            self._catch_up()
        except OSError:
            pass  # it was said when the first call was held

    def _catch_up(self) -> None:
        """Write what is held in memory, as far as the disk takes it; half a line never stays."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, self._size)
        while self._backlog:
            self._write(self._backlog[0])
            self._backlog_bytes -= len(self._backlog.pop(0))
        self._smooth = not self._ended

    def _sync(self, *, durable: bool = True) -> None:
        try:
            with self._to_sync() as (descriptor, paths):
                if durable:
                    _bring_to_disk(descriptor, paths)
        except OSError as error:
            raise self._not_synced(error) from None

    def _sync_aside(self) -> None:
        """Sync while other threads go on appending: the disk may take long."""
        try:
            with contextlib.ExitStack() as stack:
                with self._mutex:
                    descriptor, paths = stack.enter_context(self._to_sync())
                _bring_to_disk(descriptor, paths)
        except OSError as error:
            raise self._not_synced(error) from None

    @contextlib.contextmanager
    def _to_sync(self) -> Iterator[tuple[int, list[Path]]]:
        """What is to be synced: a descriptor of its own, and files. On an error it stays to be."""
        if self._is_removed():
            self._put_back()
        if self._backlog:
            self._catch_up()
        paths, self._unsynced, self._dirty = self._unsynced, [], False
        descriptor = os.dup(self._descriptor) if self._descriptor >= 0 else -1
        try:
            faults.hit("journal.sync")
            yield descriptor, paths
        except OSError:
            self._unsynced, self._dirty = [*paths, *self._unsynced], True
            raise
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _not_synced(self, error: OSError) -> StorageError:
        held = plural(len(self._backlog), "log call") if self._backlog else "log calls"
        advice = files.remedy(error)
        return StorageError(
            f"{held} could not be brought to the disk in {self.path.name}:"
            f" {error.strerror or error}{advice and '; '}{advice}"
        )


def _bring_to_disk(descriptor: int, paths: list[Path]) -> None:
    try:
        files.sync_all(paths)
    except FileNotFoundError:  # some are stored by now, which synced them
        files.sync_all([path for path in paths if path.exists()])
    if descriptor >= 0:
        _fdatasync(descriptor)


def warn_not_acknowledged(error: Exception, run_id: str, stacklevel: int) -> None:
    """Tell the user that the disk refused a log call, which is held in memory."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    warnings.warn(
        f"{reason}: log calls of run {run_id} are held in memory and not acknowledged until the"
        " disk takes them",
        NotAcknowledgedWarning,
        stacklevel=stacklevel,
    )


def ended_error() -> UsageError:
    """The error of a log call that comes after the end of its run."""
    return UsageError("the run has ended; start_run with its run_id goes on with it")


def line_of(event: Event) -> bytes:
    """An event as a line of a journal."""
    import orjson

    return _line(event, orjson.dumps)


def _line(event: Event, dumps: Callable[[Event], bytes]) -> bytes:
    try:
        body = dumps(event)[1:]
    except TypeError:  # an integer of more than 64 bits, or a lone surrogate
        body = json.dumps(event, allow_nan=False, separators=(",", ":")).encode()[1:]
    return b'{"crc":"%08x",%b\n' % (zlib.crc32(body), body)


def read(path: Path, start: int = 0) -> Contents:
    """What the journal `path` holds from line number `start` on.

    Lines that were torn or damaged are skipped and counted.
    """
    lines = path.read_bytes().split(b"\n")
    tail = lines.pop()  # empty unless the last line was torn
    lines = lines[start:]
    good = [line for line in lines if is_whole(line)]
    return Contents(_events(good), len(lines), len(lines) - len(good) + bool(tail))


def first(path: Path) -> dict[str, Any] | None:
    """The first event of a journal; None when it was never wholly written."""
    with path.open("rb") as file:
        line = file.readline().removesuffix(b"\n")
    return _events([line])[0] if is_whole(line) else None


def has_ended(path: Path) -> bool:
    """Whether the journal's last line is an end: its writer says no more, though it may live."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL))
        last = file.read().removesuffix(b"\n").rpartition(b"\n")[2]
    return last[_HEAD_LENGTH:].startswith(b'"end":') and is_whole(last)


def _events(lines: list[bytes]) -> list[dict[str, Any]]:
    import orjson

    data = b"[%b]" % b",".join(lines)
    if _LONG_INTEGER.search(data) is None:  # orjson would make it a float
        with contextlib.suppress(orjson.JSONDecodeError):  # a lone surrogate
            return orjson.loads(data)  # type: ignore[no-any-return]
    return [json.loads(line) for line in lines]


def is_whole(line: bytes) -> bool:
    """Whether a line, without its newline, is what was written, as its checksum tells."""
    rest = line[_HEAD_LENGTH:]
    return line[:_HEAD_LENGTH] == _HEAD % zlib.crc32(rest)


def _opened(path: Path, more: int = 0) -> int:
    """Open a journal to append to, and to read what it holds should somebody remove it."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _BINARY | more, 0o644)
    return _above_standard(descriptor) if descriptor < _STANDARD else descriptor


def _copy(source: int, target: int, size: int) -> None:
    """Append the first `size` bytes of a file to another."""
    at = 0
    while at < size:
        part = os.pread(source, min(size - at, _CHUNK), at)
        if not part:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        at += os.write(target, part)


def _above_standard(descriptor: int) -> int:
    """The file under a descriptor that no `print` of a library writes to."""
    higher = os.dup(descriptor)
    try:
        return higher if higher >= _STANDARD else _above_standard(higher)
    finally:
        os.close(descriptor)


_BINARY: int = getattr(os, "O_BINARY", 0)
_fdatasync = getattr(os, "fdatasync", os.fsync)
