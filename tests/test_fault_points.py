"""Every step of recording fails once: the process dies there, or the disk refuses."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gitml import faults
from tests import invariants, trainings
from tests.conftest import run_git

TRAINING = """
with mlflow.start_run() as run:
    me = run.info.run_id
    said(run=me, started=True)
    for number in range(5):
        param(f"p{number}", number, me)
        metric("loss", 1 / (number + 1), number, me)
        tag(f"t{number}", str(number), me)
    text("notes.txt", "small", me)
    text("large/model.bin", "x" * 150_000, me)
    for number in range(5, 10):
        metric("loss", 1 / (number + 1), number, me)
said(run=me, ended="FINISHED")
"""
RECORDING = [point for point in faults.POINTS if not point.startswith(("push.", "pull."))]
CALLS = {"journal.open", "journal.create", "journal.append", "stage.copy", "stage.note"}
ROOT = Path(faults.__file__).parent


def changed_repo(repo: Path, body: str = TRAINING) -> Path:
    """A training script in a repository with a tracked file that was changed."""
    script = trainings.write(repo, body)
    run_git(repo, "add", "train.py")
    run_git(repo, "commit", "--quiet", "--message", "Training")
    script.write_text(script.read_text() + "# changed\n")
    return script


def test_every_point_is_named() -> None:
    """The list of fault points is that of the calls in the package, no more and no less."""
    found = {
        node.args[0].value
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "faults.hit"
        if isinstance(node.args[0], ast.Constant)
    }
    assert found == set(faults.POINTS)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("point", [*RECORDING, "journal.append:2", "journal.append:9"])
def test_a_process_that_dies_at_any_point_loses_nothing(repo: Path, point: str) -> None:
    """Whatever step of a run a process dies at, each call that had returned is recorded."""
    script = changed_repo(repo)
    before = invariants.UserState.of(repo)
    name, _, number = point.partition(":")
    env = {"GITML_FAULT": f"{name}:kill:{number or 1}"}
    outcome = trainings.run(script, cwd=repo, env=env)
    assert outcome.code == -signal.SIGKILL
    runs = invariants.check(repo, outcome.acknowledged, before)
    if "ended" not in str(outcome.acknowledged):
        assert {run.status for run in runs.values()} <= {"KILLED", "FINISHED"}


@pytest.mark.parametrize("errno", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("point", RECORDING)
def test_a_disk_that_refuses_once_stops_no_training(repo: Path, point: str, errno: str) -> None:
    """Whatever step the disk refuses, the training goes on, and all is recorded in the end."""
    script = changed_repo(repo)
    before = invariants.UserState.of(repo)
    outcome = trainings.run(script, cwd=repo, env={"GITML_FAULT": f"{point}:{errno}"})
    assert outcome.code == 0, outcome.stderr
    assert ("NotAcknowledgedWarning" in outcome.stderr) == (point in CALLS)
    (run_id,) = outcome.runs()
    calls = [call for call in outcome.acknowledged if "ended" not in call]
    runs = invariants.check(repo, calls, before, in_flight=0)
    assert runs[run_id].status == "FINISHED"


@pytest.mark.parametrize("errno", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("point", sorted(CALLS))
def test_calls_of_an_outage_land_when_it_is_over(repo: Path, point: str, errno: str) -> None:
    """While the disk refuses, calls are held in memory with one warning; then all are recorded."""
    script = changed_repo(repo)
    before = invariants.UserState.of(repo)
    last = 2 if point.startswith("stage") else 4  # artifacts are tried again with the next one
    env = {"GITML_FAULT": f"{point}:{errno}:1-{last}"}
    outcome = trainings.run(script, cwd=repo, env=env)
    assert outcome.code == 0, outcome.stderr
    assert outcome.stderr.count("NotAcknowledgedWarning") == 1
    invariants.check(repo, outcome.acknowledged, before, in_flight=0)


@pytest.mark.parametrize("point", ["journal.append:ENOSPC:8+", "ledger.objects:EIO:1+"])
def test_a_disk_that_stays_full_fails_no_training(repo: Path, point: str) -> None:
    """What was acknowledged before the disk filled up stays; the end says what is missing."""
    script = changed_repo(repo)
    before = invariants.UserState.of(repo)
    outcome = trainings.run(script, cwd=repo, env={"GITML_FAULT": point})
    assert outcome.code == 0, outcome.stderr
    assert "RecordingWarning" in outcome.stderr
    calls = [call for call in outcome.acknowledged if "ended" not in call]
    kept = calls[:7] if point.startswith("journal") else calls
    runs = invariants.check(repo, kept, before, in_flight=0)
    assert len(runs) == 1


FULL_DISK = """
ballast = os.environ["BALLAST"]
with mlflow.start_run() as run:
    me = run.info.run_id
    for number in range(3000):
        if number == 500:
            with open(ballast, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"x" * 65536)
                except OSError:
                    pass
                try:
                    while True:
                        file.write(b"x")
                except OSError:
                    pass
        if number in (600, 700):
            text(f"held-{number}.txt", "y" * 50_000, me)
        if number == 2500:
            os.unlink(ballast)
        metric("loss", number, number, me)
said(run=me, ended="FINISHED")
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs a file system of its own")
def test_a_full_disk_for_a_while_loses_nothing(repo: Path, tmp_path: Path) -> None:
    """On a disk that is really full for a while, nothing is lost, torn or written twice."""
    script = trainings.write(tmp_path, FULL_DISK)
    disk = tmp_path / "disk"
    disk.mkdir()
    shell = (
        f"mount -t tmpfs -o size=4m none {disk} && cp -r {repo} {disk}/repo && cd {disk}/repo"
        f" && {sys.executable} {script}; echo code=$? >&2; cp -r {disk}/repo {tmp_path}/after"
    )
    root = () if os.geteuid() == 0 else ("--map-root-user",)
    before = invariants.UserState.of(repo)
    env = trainings.environment({"BALLAST": str(disk / "ballast")})
    done = subprocess.run(
        ("unshare", *root, "--mount", "sh", "-c", shell), capture_output=True, env=env, check=False
    )
    if b"code=" not in done.stderr:
        pytest.skip("mounting is not allowed here")
    assert b"code=0" in done.stderr, done.stderr.decode()
    assert done.stderr.count(b"NotAcknowledgedWarning") >= 1
    calls = trainings.calls(done.stdout)
    assert len(calls) == 3003
    shutil.rmtree(repo)
    (tmp_path / "after").rename(repo)
    invariants.check(repo, calls, before, in_flight=0)
