"""Processes of this Python that do a function's work; the only module that makes any.

A pipe joins each of them to its parent. The function can say something through it; when the
parent's end is closed, or the parent is gone, the other gets SIGTERM.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from gitml.errors import GitmlError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Say = Callable[[bytes], None]
Work = Callable[[Say], None]
"""What a process does; it can be pickled. What it raises of gitml's errors is said."""


class Sibling:
    """A process that does the work; it starts at once, in an interpreter of its own."""

    def __init__(self, work: Work) -> None:
        import multiprocessing

        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=_live, args=(work, theirs))
        self._process.start()
        theirs.close()
        self.pid = self._process.pid or 0

    @property
    def code(self) -> int | None:
        """How it ended: its status, or the signal as a negative number; None while it lives."""
        return self._process.exitcode

    def heard(self) -> list[bytes]:
        """What it has said since the last time."""
        said = []
        with contextlib.suppress(EOFError, OSError):
            while self._line.poll():
                said.append(self._line.recv_bytes())
        return said

    def end(self) -> None:
        """Ask it to end."""
        self._line.close()

    def wait(self, seconds: float) -> int | None:
        """Its status, None when it still lives after that time."""
        self._process.join(seconds)
        return self._process.exitcode

    def kill(self) -> None:
        """Leave nothing of it."""
        self._line.close()
        self._process.kill()
        self._process.join()


def wait_for_any(siblings: Iterable[Sibling], seconds: float) -> None:
    """Wait until one of them ends, for so many seconds at most."""
    from multiprocessing.connection import wait

    sentinels = [sibling._process.sentinel for sibling in siblings]
    if sentinels:
        wait(sentinels, seconds)
    else:
        time.sleep(seconds)


def _live(work: Work, line: Connection[Any, Any]) -> None:
    """Do the work of a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells the parent, too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    threading.Thread(target=_hear_the_end, args=(line,), daemon=True).start()
    try:
        work(line.send_bytes)
    except GitmlError as error:
        with contextlib.suppress(OSError):
            line.send_bytes(str(error).encode())
        sys.exit(error.exit_code)


def _hear_the_end(line: Connection[Any, Any]) -> None:
    with contextlib.suppress(EOFError, OSError):
        line.recv_bytes()
    signal.raise_signal(signal.SIGTERM)
