"""The log of a container as it was said, from a cluster that breaks off now and then. Pure.

Each line comes behind its time. After a break the log is asked for from a while before, and what
had come is passed over: all up to the last line, or, should that be gone, up to its time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

_MARGIN = 60  # seconds that a line may be late
_STAMP = 64  # bytes that a time has at most

_Key = tuple[bytes, bytes]


class Log:
    """What came of a container's log so far; `tell` hears each line once, with its newline.

    `lines` is how many came.
    """

    def __init__(self, tell: Callable[[bytes], None]) -> None:
        self._tell, self.lines = tell, 0
        self._last, self._times = b"", 0  # the last line, and how often it has come just so
        self._newest: _Key = b"", b""
        self._came = 0.0

    @property
    def seconds(self) -> int | None:
        """How far back the next reading has to begin; None for the beginning."""
        return int(time.monotonic() - self._came) + _MARGIN if self._last else None

    def read(self, blocks: Iterable[bytes], *, is_over: bool) -> None:
        """Read the log until it ends, or breaks off with an exception.

        `is_over` says that the container had ended before: then a line without a newline is whole.
        """
        rest, left = b"", self._times
        for block in blocks:
            *lines, rest = (rest + block).split(b"\n")
            for line in (one + b"\n" for one in lines):
                left = self._left(line, left)
                if not left:
                    self._new(line)
                left = max(left, 0)
        if rest and is_over and not self._left(rest, left):
            self._new(rest)

    def _left(self, line: bytes, left: int) -> int:
        """How often the last line has still to come; below zero when this was it."""
        if left and line == self._last:
            return left - 1 or -1
        return left if left and _key(line) <= self._newest else 0

    def _new(self, line: bytes) -> None:
        self._times = self._times + 1 if line == self._last else 1
        self._last, self._came = line, time.monotonic()
        self._newest = max(self._newest, _key(line))
        self.lines += 1
        stamp, sign, text = line.partition(b" ")
        self._tell(text if sign and _key(line) != _NONE and len(stamp) <= _STAMP else line)


_NONE: _Key = (b"", b"")


def _key(line: bytes) -> _Key:
    """A line's time, in an order that its text has not: Go leaves out zeros at the end."""
    whole, _, rest = line.partition(b" ")[0].removesuffix(b"Z").partition(b".")
    return (whole, rest.ljust(9, b"0")) if whole[:4].isdigit() and b"T" in whole else _NONE
