"""Trainings that are killed at random moments, with all that they started."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import invariants, trainings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no process groups")

BATCH = 5


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """As many batches as `--kills` asks for."""
    kills = metafunc.config.getoption("--kills")
    if "batch" in metafunc.fixturenames:
        metafunc.parametrize("batch", range(max(1, -(-kills // BATCH))))


def test_what_was_acknowledged_survives_a_kill(repo: Path, batch: int) -> None:
    """Whenever a training is killed, every call that had returned is recorded exactly once."""
    rng = random.Random()
    script = trainings.write(repo, trainings.MANY_RUNS)
    before = invariants.UserState.of(repo)
    acknowledged = []
    for _ in range(BATCH):
        seconds = rng.choice((rng.uniform(0.1, 0.3), rng.uniform(0.2, 0.9)))
        calls = killed(script, repo, seconds, whole_group=rng.random() < 0.7)
        acknowledged += calls
        invariants.check(repo, calls, before)
    runs = invariants.check(repo, acknowledged, before)
    assert {run.status for run in runs.values()} <= {"FINISHED", "KILLED"}


def killed(
    script: Path, repo: Path, seconds: float, *, whole_group: bool
) -> list[dict[str, object]]:
    """Kill a training some seconds after its start; the calls that it had acknowledged."""
    process = trainings.start(script, "1000", cwd=repo)
    try:
        process.communicate(timeout=seconds)
        pytest.fail("the training came to an end")
    except subprocess.TimeoutExpired:
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
    out, err = process.communicate()
    assert err == b""
    return trainings.calls(out)
