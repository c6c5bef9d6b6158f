"""Live runs: whose process lives, as far as this machine can tell."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gitml import locks
from gitml.tracking import live
from gitml.tracking.names import new_run_id

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs fork")


@pytest.fixture
def writer(tmp_path: Path) -> live.Writer:
    """A writer whose journal was just written, and whose lock nobody holds."""
    run = live.folder(tmp_path, new_run_id())
    run.folder.mkdir(parents=True)
    made = run.new_writer()
    made.journal.touch()
    made.lock.touch()
    return made


@pytest.fixture
def dead() -> live.Owner:
    """The owner of a process that has ended."""
    process = subprocess.Popen((sys.executable, "-c", "pass"))
    process.wait()
    return replace(live.this_process(), pid=process.pid)


def test_this_process_lives(writer: live.Writer) -> None:
    """A process that is there, and was started when the journal says, is alive."""
    assert writer.state(live.this_process()) == live.ALIVE


def test_a_process_that_is_gone_is_dead(writer: live.Writer, dead: live.Owner) -> None:
    """A process that is not there any more is dead at once."""
    assert writer.state(dead) == live.DEAD


def test_a_pid_that_was_given_again_is_another_process(writer: live.Writer) -> None:
    """A process of the same pid that was started at another time is not the owner."""
    assert writer.state(replace(live.this_process(), started="long ago")) == live.DEAD


@posix
def test_a_process_that_nobody_has_waited_for_is_dead(writer: live.Writer) -> None:
    """A zombie writes no more."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    while (
        Path(f"/proc/{child}/stat").exists()
        and b") Z" not in Path(f"/proc/{child}/stat").read_bytes()
    ):
        time.sleep(0.001)
    assert writer.state(replace(live.this_process(), pid=child)) == live.DEAD
    os.waitpid(child, 0)


def test_whoever_holds_the_lock_lives(writer: live.Writer, dead: live.Owner) -> None:
    """The lock outweighs the pid, which another container counts otherwise."""
    descriptor = locks.acquire(writer.lock)
    assert descriptor is not None
    assert writer.state(dead) == live.ALIVE
    locks.release(descriptor)
    assert writer.state(dead) == live.DEAD


@pytest.mark.parametrize("elsewhere", [{"host": "other"}, {"boot": "another"}], ids=str)
def test_a_writer_elsewhere_is_judged_by_its_heartbeat(
    writer: live.Writer, dead: live.Owner, elsewhere: dict[str, str]
) -> None:
    """A process of another host or boot lives as long as its journal is touched; never dead."""
    owner = replace(dead, **elsewhere)
    assert writer.state(owner) == live.ALIVE
    silent = time.time() - live.HEARTBEAT_LIMIT - 1
    os.utime(writer.journal, (silent, silent))
    assert writer.state(owner) == live.GONE


def test_runs_are_found_by_their_ids(tmp_path: Path) -> None:
    """Folders of other names are none of gitml's; the runs come oldest first."""
    ids = [new_run_id() for _ in range(3)]
    for name in (*reversed(ids), "something", f"{ids[0]}.lock", ids[0].upper()):
        (tmp_path / "live" / name).mkdir(parents=True, exist_ok=True)
    assert [run.run_id for run in live.runs(tmp_path)] == sorted(ids)
    assert list(live.runs(tmp_path / "nowhere")) == []


def test_two_writers_of_one_process_have_two_journals(tmp_path: Path) -> None:
    """A writer's name is its own, also within one process."""
    run = live.folder(tmp_path, new_run_id())
    assert run.new_writer() != run.new_writer()


def test_an_owner_is_read_as_it_was_written() -> None:
    """The owner survives the way through the journal."""
    owner = live.this_process()
    assert live.owner_from_document(live.owner_to_document(owner)) == owner
    assert owner.pid == os.getpid()
    assert owner.started
    assert owner.boot
