"""Locks on files: exclusive, gone with their holder, and safe to remove."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gitml import locks
from gitml.errors import StorageError
from tests import trainings

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and flock")

HOLDER = """
import sys, time
from pathlib import Path
from gitml import locks

descriptor = locks.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """A process that holds the lock until it is ended."""
    process = subprocess.Popen(
        (sys.executable, "-c", HOLDER, str(path)), env=trainings.environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    """Kill the holder."""
    process.kill()
    process.communicate()


def test_a_lock_is_held_by_one_and_goes_with_him(tmp_path: Path) -> None:
    """Nobody else gets the lock while its holder lives, and anybody does once he is dead."""
    path = tmp_path / "lock"
    process = holder(path)
    assert locks.acquire(path) is None
    assert locks.is_held(path)
    end(process)
    assert not locks.is_held(path)
    descriptor = locks.acquire(path)
    assert descriptor is not None
    locks.release(descriptor)


def test_whoever_waits_too_long_is_told_what_for(tmp_path: Path) -> None:
    """Waiting ends with an error that names the file."""
    path = tmp_path / "lock"
    process = holder(path)
    with pytest.raises(StorageError, match=r"has held .*lock"), locks.held(path, seconds=0.05):
        pass
    end(process)


@posix
def test_to_look_is_not_to_hold(tmp_path: Path) -> None:
    """Two who look at a free lock at the same time both see that it is free."""
    path = tmp_path / "lock"
    path.touch()
    seen = []

    def look() -> None:
        seen.extend(locks.is_held(path) for _ in range(2000))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {False}


def test_a_lock_that_is_not_there_is_not_held_and_not_made(tmp_path: Path) -> None:
    """Looking at a lock makes no file."""
    assert not locks.is_held(tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []


COUNTING = """
import sys
from pathlib import Path
from gitml import locks

path, counter = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(200):
    with locks.held(path, remove=True):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def test_removing_the_file_lets_nobody_in_twice(tmp_path: Path) -> None:
    """A lock whose file goes with it keeps processes apart all the same."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    argv = (sys.executable, "-c", COUNTING, str(tmp_path / "lock"), str(counter))
    env = trainings.environment()
    processes = [subprocess.Popen(argv, env=env) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert counter.read_text() == "800"
    assert not (tmp_path / "lock").exists()


@posix
def test_a_forked_child_does_not_keep_a_lock_that_was_let_go(tmp_path: Path) -> None:
    """A child that was forked while a lock was held does not hold it for the rest of its life."""
    path = tmp_path / "lock"
    descriptor = locks.acquire(path)
    assert descriptor is not None
    argv = (sys.executable, "-c", "import sys; sys.stdin.read()")
    child = subprocess.Popen(argv, pass_fds=(descriptor,), stdin=subprocess.PIPE)
    locks.release(descriptor)
    assert not locks.is_held(path)
    child.communicate(b"")


@posix
def test_a_file_system_without_locks_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no locks, whoever asks gets one: the ledger compares before it swaps."""
    import fcntl

    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with locks.held(tmp_path / "lock"):
        assert not locks.is_held(tmp_path / "lock")
