"""Programs are run to their end, followed line by line, and stopped when they take too long."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gitml import locks, process
from tests.trainings import environment

SPEAKER = (
    "import sys; print('one', flush=True); print('two', file=sys.stderr, flush=True); sys.exit(3)"
)


def test_a_program_is_followed_line_by_line(tmp_path: Path) -> None:
    """Both streams come in their order, without newlines, and are there at the end as bytes."""
    heard: list[str] = []
    done = process.follow([sys.executable, "-c", SPEAKER], heard.append, cwd=tmp_path)
    assert heard == ["one", "two"]
    assert done.returncode == 3
    assert done.stdout.split() == [b"one", b"two"]


def test_lines_come_while_the_program_runs(tmp_path: Path) -> None:
    """A line is told before the program ends: this one waits for the answer to it."""
    answer = tmp_path / "answer"
    code = (
        "import pathlib, sys, time; print('asked', flush=True)\n"
        "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n"
        "print('answered')"
    )
    heard: list[str] = []

    def hear(line: str) -> None:
        heard.append(line)
        answer.touch()

    process.follow([sys.executable, "-c", code, str(answer)], hear)
    assert heard == ["asked", "answered"]


def test_who_no_longer_listens_ends_the_program(tmp_path: Path) -> None:
    """An error of the listener is the caller's, and the program does not live on."""
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    heard: list[int] = []

    def refuse(line: str) -> None:
        heard.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.follow([sys.executable, "-c", code], refuse)
    if sys.platform != "win32":
        with pytest.raises(ProcessLookupError):
            os.kill(heard[0], 0)


def test_a_program_that_hangs_is_ended() -> None:
    """One that takes longer than it may is stopped, and the error names it."""
    with pytest.raises(TimeoutError, match=r"did not end within 0\.2 s"):
        process.run([sys.executable, "-c", "import time; time.sleep(600)"], timeout=0.2)


def test_a_program_can_take_the_place_of_another() -> None:
    """The new one has the old one's streams, what it was told, and the last word on the end."""
    code = (
        "import sys; from gitml import process; print('old')\n"
        "script = 'import os, sys; print(os.environ[\"A\"], os.getpid()); sys.exit(7)'\n"
        "process.replace([sys.executable, '-c', script], env={'A': 'new'})"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment()
    ) as old:
        out, _ = old.communicate()
    assert old.returncode == 7
    first, second = out.splitlines()
    assert first == "old"
    assert sys.platform == "win32" or second == f"new {old.pid}"


def test_a_program_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    """Who calls a program that is not installed gets to know."""
    for call in (process.run, lambda argv: process.follow(argv, print)):
        with pytest.raises(OSError, match="nothing"):
            call([str(tmp_path / "nothing")])


@pytest.mark.skipif(sys.platform == "win32", reason="a lock is not handed on there")
def test_a_lock_is_held_as_long_as_what_it_was_handed_to_lives(tmp_path: Path) -> None:
    """What goes on in the background is seen by its lock, also when its starter let go of it."""
    lock, end = tmp_path / "lock", tmp_path / "end"
    descriptor = locks.acquire(lock)
    assert descriptor is not None
    code = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.01)"
    process.detach([sys.executable, "-c", code, str(end)], lock=descriptor)
    os.close(descriptor)
    assert locks.is_held(lock)
    end.touch()
    while locks.is_held(lock):
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="the environment of others is not to be seen")
def test_processes_are_found_by_what_they_were_told() -> None:
    """Those with a variable of that value end, with their children; others go on."""
    code = "import time; print(flush=True); time.sleep(600)"
    argv = [sys.executable, "-c", code]
    told = [{**os.environ, "GITML_RUN_ID": value} for value in ("mine", "other")]
    mine, other = (subprocess.Popen(argv, env=it, stdout=subprocess.PIPE) for it in told)
    with mine, other:
        try:
            for one in (mine, other):
                assert one.stdout is not None
                one.stdout.readline()
            assert process.stop_marked("GITML_RUN_ID", ["mine", "none"]) == 1
            assert mine.poll() is not None
            assert other.poll() is None
        finally:
            mine.kill()
            other.kill()
