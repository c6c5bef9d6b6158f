"""A spool behind a network that fails: no training waits for it, and what was kept is not lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitml import locks
from gitml.tracking import courier, store
from gitml.tracking.collecting import RECORDED, RUNNING, collect
from gitml.tracking.place import Place
from gitml.tracking.spool import Spool
from tests import invariants, trainings
from tests.invariants import UserState
from tests.spools import ONE, OPEN, collected, run, shown, told
from tests.waiting import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL")

SHORT_EXIT = """
from gitml.tracking import spooling
spooling._EXIT_SECONDS = 1.0
"""


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address where nobody answers: connections are taken, and nothing is said."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _couriers_end(node: Path) -> Iterator[None]:
    """What a test leaves running ends with it."""
    yield
    for lock in node.glob("gitml-spool-*/*/courier.lock"):
        pid = lock.with_name("courier.pid")
        if locks.is_held(lock) and pid.exists():
            os.kill(int(pid.read_text()), signal.SIGKILL)


def home(node: Path) -> Path:
    """Where what is on its way is kept on the node."""
    (found,) = (path for path in node.glob("gitml-spool-*/*") if path.is_dir())
    return found


def courier_of(node: Path) -> int:
    """The process that carries what is written on the node."""
    return int((home(node) / "courier.pid").read_text())


def test_a_network_that_does_not_answer_stops_no_training(
    node: Path, spool_bucket: Spool, clone: Place, nowhere: str
) -> None:
    """The script ends as ever; a line says what is left, and that command brings it there later."""
    script = trainings.write(node, SHORT_EXIT + ONE)
    began = time.monotonic()
    done = trainings.run(script, cwd=node, env=told(node, spool_bucket, AWS_ENDPOINT_URL=nowhere))
    assert done.code == 0
    assert time.monotonic() - began < 30
    assert "NotSentWarning" in done.stderr
    assert f"gitml collect {home(node)} --to {spool_bucket.url}" in done.stderr
    assert collect(clone, spool_bucket) == []
    os.kill(courier_of(node), signal.SIGKILL)
    until(lambda: not locks.is_held(home(node) / "courier.lock"))
    repo = Path(str(clone.repo.root))
    before = UserState.of(repo)
    assert shown(node, "collect", str(home(node)), "--to", str(spool_bucket.url)) == ""
    assert list((home(node) / "live").iterdir()) == []
    assert [one.word for one in collect(clone, spool_bucket)] == [RECORDED]
    invariants.check(repo, done.acknowledged, before)


def test_a_killed_training_loses_nothing_of_what_was_acknowledged(
    node: Path, spool_bucket: Spool, clone: Place
) -> None:
    """The courier outlives it, brings the rest, and says that the writer is dead."""
    script = trainings.write(node, OPEN)
    process = trainings.start(script, cwd=node, env=told(node, spool_bucket))
    assert process.stdout is not None
    call = json.loads(process.stdout.readline())
    process.kill()
    process.communicate()
    until(lambda: collected(clone, spool_bucket, RECORDED))
    found = store.record(clone, call["run"])
    assert (found.status, found.metrics["loss"].count) == ("KILLED", 1)


def test_a_courier_that_dies_is_replaced(node: Path, spool_bucket: Spool, clone: Place) -> None:
    """The training has another at its end in any case, which sends nothing twice."""
    script = trainings.write(node, OPEN)
    process = trainings.start(script, cwd=node, env=told(node, spool_bucket))
    until(lambda: collected(clone, spool_bucket, RUNNING))
    os.kill(courier_of(node), signal.SIGKILL)
    (node / "stop").touch()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert [one.word for one in collect(clone, spool_bucket)] == [RECORDED]
    invariants.check_acknowledged(
        invariants.stored(Path(str(clone.repo.root))), trainings.calls(out), 0
    )


def test_a_store_that_is_not_installed_is_told(node: Path, spool_bucket: Spool) -> None:
    """What stands in the courier's way is in the line at the exit."""
    other = Spool(spool_bucket.home, "gs://bucket/spool")
    script = trainings.write(node, SHORT_EXIT.replace("1.0", "8.0") + ONE)
    done = trainings.run(script, cwd=node, env=told(node, other))
    assert done.code == 0
    assert "gcs" in done.stderr
    assert "gitml collect" in done.stderr


def test_keys_stay_on_the_node(node: Path, spool_bucket: Spool, clone: Place) -> None:
    """Neither the run nor a message names a password that the URL of the spool holds."""
    secret = Spool(spool_bucket.home, "s3://user:geheim@bucket/spool")
    assert "geheim" not in str(secret)
    run(node, spool_bucket, ONE)
    collect(clone, spool_bucket)
    for path in Path(str(clone.repo.root)).rglob("*.json*"):
        assert "geheim" not in path.read_text("utf-8", "replace")


def test_segments_without_a_gap_are_a_journal() -> None:
    """What lies behind a gap has not arrived; what overlaps is no segment."""
    assert courier.contiguous({}) == 0
    assert courier.contiguous({0: 10, 10: 5, 15: 1}) == 16
    assert courier.contiguous({0: 10, 11: 5}) == 10
    assert courier.contiguous({5: 10}) == 0
    assert courier.contiguous({0: 10, 5: 7, 10: 0}) == 10


def test_two_couriers_of_one_folder_are_one(node: Path, spool_bucket: Spool) -> None:
    """The second ends at once."""
    folder = node / "home"
    folder.mkdir()
    lock = locks.acquire(folder / "courier.lock")
    assert lock is not None
    try:
        done = subprocess.run(
            (sys.executable, "-m", "gitml.tracking.courier", str(folder)),
            env=trainings.environment({"GITML_SPOOL": str(spool_bucket.url)}),
            cwd=node, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")
    finally:
        locks.release(lock)
