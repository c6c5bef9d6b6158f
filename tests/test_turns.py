"""Turns at a lock: first come, first served, whoever dies in the line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gitml import locks, turns
from gitml.errors import StorageError
from tests import trainings
from tests.test_locks import end, holder

WAITING = """
import sys
from pathlib import Path
from gitml import turns

with turns.held(Path(sys.argv[1])), open(sys.argv[2], "a") as served:
    served.write(sys.argv[3])
"""


def waiting(path: Path, name: str) -> subprocess.Popen[bytes]:
    """A process that stands in the line and writes its name once it is served."""
    line = path.with_suffix(".line")
    before = len(standing(line))
    argv = (sys.executable, "-c", WAITING, str(path), str(path.with_name("served")), name)
    process = subprocess.Popen(argv, env=trainings.environment())
    while len(standing(line)) == before:
        time.sleep(0.001)
    return process


def standing(line: Path) -> list[str]:
    """The files of those who stand in the line."""
    return os.listdir(line) if line.is_dir() else []


def test_who_came_first_is_served_first(tmp_path: Path) -> None:
    """However long each has slept when the lock comes free, the order is that of coming."""
    path = tmp_path / "x.lock"
    first = holder(path)
    others = [waiting(path, name) for name in "abcdefgh"]
    end(first)
    assert [process.wait() for process in others] == [0] * 8
    assert (tmp_path / "served").read_text() == "abcdefgh"
    assert standing(tmp_path / "x.line") == []


def test_who_comes_last_does_not_go_before_who_waits(tmp_path: Path) -> None:
    """A lock that is free is his who stands in the line, though he sleeps at the moment."""
    path, line = tmp_path / "x.lock", tmp_path / "x.line"
    line.mkdir()
    sleeper = holder(line / "00000000000000000001-1-x")
    with pytest.raises(StorageError, match=r"has held .*x\.lock"), turns.held(path, seconds=0.05):
        pass
    end(sleeper)
    with turns.held(path, seconds=0.05):
        assert locks.is_held(path)


def test_the_dead_hold_nobody_up(tmp_path: Path) -> None:
    """Those who were killed while they waited are taken out of the line by who comes after."""
    path = tmp_path / "x.lock"
    first = holder(path)
    dead = [waiting(path, name) for name in "abc"]
    last = waiting(path, "d")
    for process in dead:
        process.kill()
        process.wait()
    end(first)
    assert last.wait() == 0
    assert (tmp_path / "served").read_text() == "d"
    assert standing(tmp_path / "x.line") == []


def test_where_nobody_can_stand_the_lock_is_had_all_the_same(tmp_path: Path) -> None:
    """A disk that takes no more files makes the order a matter of luck, and nothing else."""
    (tmp_path / "x.line").write_text("in the way")
    path = tmp_path / "x.lock"
    with pytest.raises(StorageError), turns.held(path), turns.held(path, seconds=0.05):
        pass
    with turns.held(path):
        assert locks.is_held(path)
