"""A program of which nothing is left, whatever it has started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gitml import kept

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="is a matter of Linux")

# It says the ids of what it started: a child, one in a session of its own, and an orphan's orphan.
STARTS = """
import os, sys, time

def say():
    with open(sys.argv[1], "a") as file:
        file.write(f"{os.getpid()}\\n")

def orphan():
    if not os.fork():
        os.setsid()
        if not os.fork():
            say()
            time.sleep(600)
        os._exit(0)

for of_its_own in (False, True):
    if not os.fork():
        os.setsid() if of_its_own else None
        say()
        orphan()
        time.sleep(600)
while len(open(sys.argv[1]).readlines()) < 4:
    time.sleep(0.01)
"""


def started(tmp_path: Path, code: str) -> subprocess.Popen[bytes]:
    """A program that is kept, in a group of its own."""
    told = tmp_path / "pids"
    told.touch()
    argv = kept.command([sys.executable, "-c", code, str(told)])
    return subprocess.Popen(argv, start_new_session=True)


def alive(tmp_path: Path) -> list[int]:
    """Which of those that it told of live."""
    pids = map(int, (tmp_path / "pids").read_text().split())
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_nothing_is_left_at_its_end(tmp_path: Path) -> None:
    """Neither children nor orphans, in whatever session; its exit code is the program's."""
    one = started(tmp_path, f"{STARTS}\nsys.exit(7)")
    assert one.wait(60) == 7
    assert len((tmp_path / "pids").read_text().split()) == 4
    assert alive(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_is_left_when_it_is_told_to_end(tmp_path: Path, number: int) -> None:
    """The program has no say in that."""
    one = started(tmp_path, f"import signal\nsignal.signal({number}, signal.SIG_IGN)\n{STARTS}"
                            "\ntime.sleep(600)")  # fmt: skip
    while len((tmp_path / "pids").read_text().split()) < 4:
        time.sleep(0.01)
    assert len(alive(tmp_path)) == 4
    os.kill(one.pid, number)
    assert one.wait(60) == 128 + number
    assert alive(tmp_path) == []


def test_one_that_is_always_another_is_found(tmp_path: Path) -> None:
    """A process that lives for a moment and is followed by its child."""
    code = """
import os, sys
if not os.fork():
    os.setsid()
    while True:
        if os.fork():
            os._exit(0)
        with open(sys.argv[1], "w") as file:
            file.write(str(os.getpid()))
while not os.path.getsize(sys.argv[1]):
    pass
"""
    assert started(tmp_path, code).wait(60) == 0
    last = (tmp_path / "pids").read_text()
    time.sleep(0.2)
    assert (tmp_path / "pids").read_text() == last


def test_a_program_that_is_not_there_is_told() -> None:
    """By the exit code of what can't be had."""
    done = subprocess.run(kept.command(["/no/such/program"]), capture_output=True, check=False)
    assert (done.returncode, b"No such file" in done.stderr) == (3, True)
