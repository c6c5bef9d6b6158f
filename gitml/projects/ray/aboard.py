"""On the cluster: what Ray starts as a job's entry point.

`python -m gitml.projects.ray.aboard` runs the command that was sent along. What that says goes on
as text that Ray can read, for one byte that is none would end Ray's following of it.
"""

from __future__ import annotations

import codecs
import json
import os
import shutil
import signal
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

from gitml.projects.output import Sink
from gitml.projects.program import Program
from gitml.projects.ray.cargo import COMMAND, ERRAND


def main() -> int:
    """Run the command to its end; the exit code of this process, or a signal, is its end."""
    for number in (signal.SIGINT, signal.SIGTERM):  # Ray tells all below, too: wait for them
        signal.signal(number, lambda number, frame: None)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # Ray's processes are deaf to some
    argv = _command()
    shell = shutil.which("bash") or "sh"
    sink = _as_text(sys.stdout.fileno())
    code = Program([shell, *argv[1:]], Path.cwd(), None, (sink, sink), 0).wait("main").code
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _command() -> list[str]:
    found = find_spec(ERRAND)
    assert found is not None
    assert found.origin is not None
    argv: list[str] = json.loads(Path(found.origin).with_name(COMMAND).read_text("utf-8"))
    return argv


def _as_text(descriptor: int) -> Sink:
    """A sink that writes UTF-8, with a mark in the place of each byte that is none."""
    decoder, mutex = codecs.getincrementaldecoder("utf-8")("replace"), threading.Lock()

    def write(data: bytes) -> None:
        with mutex:
            left = decoder.decode(data).encode()
            while left:
                left = left[os.write(descriptor, left) :]

    return write


if __name__ == "__main__":
    sys.exit(main())
