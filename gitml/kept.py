"""A program that leaves nothing behind: all that it has started ends with it, wherever it went.

On Linux a process can be the one to which the orphans among its descendants are given. So no
descendant gets out of reach, by a session of its own or by parents that end: a keeper of that kind
starts the program, and at the end, or when it is told to end, kills its children until there are
none.

    python -m gitml.kept ARGV...
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from gitml import process

SECONDS = 10.0  # after which it gives up on a program that starts processes faster than they die
_SUBREAPER = 36  # <linux/prctl.h>


def command(argv: Sequence[str]) -> list[str]:
    """The argv that starts a program so; the same where there is no Linux."""
    if sys.platform != "linux":
        return list(argv)
    return [sys.executable, "-I", "-m", __name__, *argv]


def main(argv: Sequence[str]) -> int:
    """Run a program with this process's streams and descriptors; its exit code."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0):
        sys.stderr.write(f"orphans can't be had here: {os.strerror(ctypes.get_errno())}\n")
        return 3
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        return _ended(process.begin(argv))
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _leave_nothing(time.monotonic() + SECONDS)


def _end(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _ended(program: int) -> int:
    """Wait for the end of the program, and bury meanwhile what it has left."""
    while True:
        found, status = os.waitpid(-1, 0)
        if found == program:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _leave_nothing(deadline: float) -> None:
    """Kill the children; the children of those are then this process's."""
    with contextlib.suppress(ChildProcessError):  # there is none left
        while time.monotonic() < deadline:
            for child in _children():
                with contextlib.suppress(OSError):
                    os.kill(child, signal.SIGKILL)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _children() -> Iterator[int]:
    """The children of this process, the youngest first: it may be about to be followed by one."""
    me = os.getpid()
    for pid in sorted((int(it) for it in os.listdir("/proc") if it.isdigit()), reverse=True):
        with contextlib.suppress(OSError):
            told = Path("/proc", str(pid), "stat").read_bytes()
            if int(told.rpartition(b")")[2].split()[1]) == me:
                yield pid


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
