"""Bytes of a stranger that are read forwards, once, and never more of them than was allowed."""

from __future__ import annotations

import io
from typing import BinaryIO

from gitml.errors import FormatError

LONGEST = 1000  # a text that is longer names no module
CUT_OFF = "ends too early"

_CHUNK = 1 << 16


class UnreadableError(FormatError):
    """Why some bytes can't be read to their end, as the end of a sentence about them."""


class Budget:
    """What looking into one file may cost: bytes out of decompressors, steps, names, files."""

    RATIO = 200  # bytes out of a decompressor for each byte of the file
    LEAST = 64 << 20
    MOST = 4 << 30
    STEPS = 5_000_000
    NAMES = 10_000
    MEMBERS = 50_000

    def __init__(self, size: int) -> None:
        self.unpacked = min(self.MOST, max(self.LEAST, self.RATIO * size))
        self.steps = self.STEPS
        self.names = self.NAMES
        self.members = self.MEMBERS

    @property
    def is_spent(self) -> bool:
        """Whether it was not enough."""
        return min(self.unpacked, self.steps, self.names, self.members) < 0

    def unpack(self, count: int) -> None:
        """Pay for `count` bytes that are not in the file as such."""
        self.unpacked -= count
        if self.unpacked < 0:
            raise UnreadableError("unpacks to far more than its size")

    def step(self, count: int = 1) -> None:
        """Pay for instructions of a pickle."""
        self.steps -= count
        if self.steps < 0:
            raise UnreadableError(f"has more than {self.STEPS} instructions")

    def name(self) -> None:
        """Pay for a name that is imported."""
        self.names -= 1
        if self.names < 0:
            raise UnreadableError(f"imports more than {self.NAMES} things")

    def member(self) -> None:
        """Pay for a file in an archive."""
        self.members -= 1
        if self.members < 0:
            raise UnreadableError(f"holds more than {self.MEMBERS} files")


class Metered(io.RawIOBase):
    """A file that is unpacked while it is read, paid for byte by byte."""

    def __init__(self, file: BinaryIO, budget: Budget) -> None:
        self._file = file
        self._budget = budget

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes."""
        part = self._file.read(_CHUNK if size < 0 else size)
        self._budget.unpack(len(part))
        return part


class Stream:
    """A file as numbers of bytes and lines; what is missing of them is an `UnreadableError`.

    With its `size` known, bytes that nobody wants are jumped over.
    """

    __slots__ = ("_at", "_data", "_file", "_left")

    def __init__(self, file: BinaryIO, size: int | None = None) -> None:
        self._file = file
        self._data = b""
        self._at = 0
        self._left = size  # bytes behind the buffer

    def at_end(self) -> bool:
        """Whether there is nothing more."""
        return self._at == len(self._data) and not self._fill()

    def byte(self) -> int:
        """The next byte."""
        if self._at == len(self._data) and not self._fill():
            raise UnreadableError(CUT_OFF)
        self._at += 1
        return self._data[self._at - 1]

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self._at + count
        if end <= len(self._data):
            part = self._data[self._at : end]
            self._at = end
            return part
        parts, count = [self._data[self._at :]], end - len(self._data)
        while count:
            if not self._fill():
                raise UnreadableError(CUT_OFF)
            self._at = min(count, len(self._data))
            parts.append(self._data[: self._at])
            count -= self._at
        return b"".join(parts)

    def text(self, count: int) -> bytes | None:
        """The next `count` bytes; of a text that is too long to be a name nothing."""
        if count <= LONGEST:
            return self.take(count)
        self.skip(count)
        return None

    def line(self) -> bytes | None:
        """What stands before the next newline; of a long line nothing.

        The last line may lack its newline: then it loses its last byte, because Python's own
        unpickler, which joblib uses, reads it so.
        """
        line = b""
        while (end := self._data.find(b"\n", self._at)) < 0:
            if len(line) <= LONGEST:
                line += self._data[self._at :]
            if not self._fill():
                return line[:-1] if len(line) <= LONGEST else None
        if len(line) <= LONGEST:
            line += self._data[self._at : end]
        self._at = end + 1
        return line if len(line) <= LONGEST else None

    def skip(self, count: int) -> None:
        """Leave out the next `count` bytes."""
        here = len(self._data) - self._at
        if count <= here:
            self._at += count
            return
        self._at = len(self._data)
        if self._left is not None and count - here > _CHUNK:
            self._jump(count - here)
        else:
            self._read_over(count - here)

    def _jump(self, count: int) -> None:
        if self._left is None or count > self._left:
            raise UnreadableError(CUT_OFF)
        self._file.seek(count, io.SEEK_CUR)
        self._left -= count

    def _read_over(self, count: int) -> None:
        while count:
            if not self._fill():
                raise UnreadableError(CUT_OFF)
            self._at = min(count, len(self._data))
            count -= self._at

    def _fill(self) -> bool:
        self._data, self._at = self._file.read(_CHUNK), 0
        if self._left is not None:
            self._left -= len(self._data)
        return bool(self._data)
