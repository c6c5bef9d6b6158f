"""Every step of recording fails once: the process dies there, or the disk refuses."""

from __future__ import annotations

import ast
import signal
import sys
from pathlib import Path

import pytest

from gitml import faults
from gitml.tracking import holding
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
RECORDING = [
    point
    for point in faults.POINTS
    if not point.startswith(("push.", "pull.", "collect.", "register."))
]
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
    """While the disk refuses, calls are held in memory; then all are recorded.

    One warning names the line of the user's script that was not acknowledged.
    """
    script = changed_repo(repo)
    before = invariants.UserState.of(repo)
    last = 2 if point.startswith("stage") else 4  # artifacts are tried again with the next one
    env = {"GITML_FAULT": f"{point}:{errno}:1-{last}"}
    outcome = trainings.run(script, cwd=repo, env=env)
    assert outcome.code == 0, outcome.stderr
    (line,) = [line for line in outcome.stderr.splitlines() if "NotAcknowledgedWarning" in line]
    assert line.startswith(f"{script}:")
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


RESUMING = """
from gitml.tracking import changes
from gitml.tracking.fluent.place import place

me = sys.argv[1]
with mlflow.start_run(run_id=me):
    said(run=me, started=True)
    for step in range(5):
        metric("resumed", step, step, me)
    param("later", 1, me)
    text("later.txt", "small", me)
    text("more/model.bin", "z" * 150_000, me)
said(run=me, ended="FINISHED")
for number in range(2):
    changes.tag(place(), me, {f"after-{number}": "x"})
    said(run=me, tag=[f"after-{number}", "x"])
"""


def recorded(repo: Path) -> tuple[str, list[dict[str, object]]]:
    """A run that is recorded: its id, and the calls that made it."""
    outcome = trainings.run(changed_repo(repo), cwd=repo)
    assert (outcome.code, outcome.stderr) == (0, "")
    return outcome.runs()[0], [call for call in outcome.acknowledged if "ended" not in call]


TAGGING = ["ledger.lock:2", "ledger.objects:2", "ledger.ref:2", "ledger.readback:2"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("point", [*RECORDING, "journal.append:5", *TAGGING])
def test_a_process_that_dies_while_it_adds_to_a_run_loses_nothing(
    repo: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever step of a resume or of a tag it dies at, the run has all of before and after."""
    # as when somebody comes back: a young ref may be of a resume that has no journal yet
    monkeypatch.setattr(holding, "_ORPHAN_SECONDS", -1.0)
    run_id, calls = recorded(repo)
    script = trainings.write(repo.parent, RESUMING, "resume.py")
    before = invariants.UserState.of(repo)
    name, _, number = point.partition(":")
    outcome = trainings.run(
        script, run_id, cwd=repo, env={"GITML_FAULT": f"{name}:kill:{number or 1}"}
    )
    assert outcome.code == -signal.SIGKILL, outcome.stderr
    # the status is that of the last session, which a kill may have ended
    added = [call for call in outcome.acknowledged if "ended" not in call]
    runs = invariants.check(repo, [*calls, *added], before)
    assert runs[run_id].status in ("FINISHED", "KILLED")
    assert {"large/model.bin", "notes.txt"} <= runs[run_id].artifacts.keys()


@pytest.mark.parametrize("errno", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("point", RECORDING)
def test_a_disk_that_refuses_an_addition_once_costs_nothing(
    repo: Path, point: str, errno: str
) -> None:
    """Whatever step of a resume or of a tag the disk refuses, all of it is recorded in the end."""
    run_id, calls = recorded(repo)
    script = trainings.write(repo.parent, RESUMING, "resume.py")
    before = invariants.UserState.of(repo)
    outcome = trainings.run(script, run_id, cwd=repo, env={"GITML_FAULT": f"{point}:{errno}"})
    assert outcome.code == 0, outcome.stderr
    added = [call for call in outcome.acknowledged if "ended" not in call]
    assert len(added) == 11
    runs = invariants.check(repo, [*calls, *added], before, in_flight=0)
    assert runs[run_id].status == "FINISHED"
