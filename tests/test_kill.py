"""Trainings that are killed at random moments, with all that they started."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import invariants, trainings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no process groups")

BATCH = 5
CALLS = 90  # a kill comes within so many calls, which are those of three runs


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """As many batches as `--kills` asks for."""
    kills = metafunc.config.getoption("--kills")
    if "batch" in metafunc.fixturenames:
        metafunc.parametrize("batch", range(max(1, -(-kills // BATCH))))


def test_what_was_acknowledged_survives_a_kill(
    repo: Path, batch: int, record_property: Callable[[str, object], None]
) -> None:
    """Whenever a training is killed, every call that had returned is recorded exactly once."""
    rng = random.Random()
    script = trainings.write(repo, trainings.MANY_RUNS)
    before = invariants.UserState.of(repo)
    acknowledged = []
    for _ in range(BATCH):
        calls = killed(script, repo, rng)
        acknowledged += calls
        invariants.check(repo, calls, before)
    runs = invariants.check(repo, acknowledged, before)
    assert {run.status for run in runs.values()} <= {"FINISHED", "KILLED"}
    assert len(acknowledged) >= BATCH * CALLS // 3
    record_property("kills", BATCH)
    record_property("runs killed half-way", sum(run.status == "KILLED" for run in runs.values()))
    record_property("acknowledged calls", len(acknowledged))


def killed(script: Path, repo: Path, rng: random.Random) -> list[dict[str, object]]:
    """Kill a training at a random moment of its work; the calls that it had acknowledged.

    That is some milliseconds after one of the first calls: the same work, however fast the machine.
    """
    process = trainings.start(script, "1000", cwd=repo)
    assert process.stdout is not None
    wanted = rng.randrange(CALLS // 3, CALLS)
    said = [process.stdout.readline() for _ in range(wanted)]
    time.sleep(rng.uniform(0.0, 0.05))
    assert process.poll() is None
    (os.killpg if rng.random() < 0.7 else os.kill)(process.pid, signal.SIGKILL)
    with process:  # not communicate(), which forgets what was read ahead
        assert process.stderr is not None
        assert process.stderr.read() == b""
        calls = trainings.calls(b"".join(said) + process.stdout.read())
    wait_for_group(process.pid)
    return calls


def wait_for_group(number: int) -> None:
    """Wait for what a process that was killed alone had started, which still writes."""
    end = time.monotonic() + 20
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.killpg(number, 0)
            time.sleep(0.02)
