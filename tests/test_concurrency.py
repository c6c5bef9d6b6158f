"""Many processes, threads and clones at once: nothing is lost and the ledger stays one line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from gitml import git as gate
from gitml.tracking import exchange, finishing, starting
from gitml.tracking.place import place_of
from tests import invariants, trainings
from tests.conftest import run_git

WRITERS, RUNS = 8, 50

SMALL_RUNS = """
while not os.path.exists(sys.argv[2]):
    time.sleep(0.001)
for number in range(int(sys.argv[1])):
    with mlflow.start_run() as run:
        me = run.info.run_id
        said(run=me, started=True)
        param("number", number, me)
        metric("loss", number, 0, me)
        metric("loss", number, 1, me)
    said(run=me, ended="FINISHED")
"""


def together(
    script: Path, places: list[Path], *args: str, signal: Path, **options: Any
) -> list[trainings.Outcome]:
    """Run a script in several processes, which begin when all of them are ready."""
    started = [
        trainings.start(script, *args, str(signal), cwd=place, **options) for place in places
    ]
    time.sleep(0.3)
    signal.touch()
    outcomes = []
    for process in started:
        out, err = process.communicate()
        outcomes.append(trainings.Outcome(process.returncode, trainings.calls(out), err.decode()))
    assert [(outcome.code, outcome.stderr) for outcome in outcomes] == [(0, "")] * len(places)
    return outcomes


def acknowledged(outcomes: list[trainings.Outcome]) -> list[dict[str, Any]]:
    """The calls of all processes."""
    return [call for outcome in outcomes for call in outcome.acknowledged]


def test_eight_writers_lose_nothing(repo: Path, tmp_path: Path) -> None:
    """Eight processes that record in one repository all get all their runs recorded."""
    script = trainings.write(tmp_path, SMALL_RUNS)
    before = invariants.UserState.of(repo)
    outcomes = together(script, [repo] * WRITERS, str(RUNS), signal=tmp_path / "go")
    runs = invariants.check(repo, acknowledged(outcomes), before, in_flight=0)
    assert len(runs) == WRITERS * RUNS
    assert ledger_length(repo) == WRITERS * RUNS + 2  # the root and the check's run


def ledger_length(repo: Path) -> int:
    """The number of commits of the ledger's own line."""
    return int(run_git(repo, "rev-list", "--count", "--first-parent", "gitml/runs"))


@pytest.mark.parametrize("attempt", range(3))
def test_the_first_runs_of_a_repository_may_come_at_once(repo: Path, attempt: int) -> None:
    """Processes that all find a repository without a ledger make one ledger together."""
    script = trainings.write(repo.parent, SMALL_RUNS)
    before = invariants.UserState.of(repo)
    outcomes = together(script, [repo] * WRITERS, "1", signal=repo.parent / "go")
    runs = invariants.check(repo, acknowledged(outcomes), before, in_flight=0)
    assert len(runs) == WRITERS


PUSHES = """
from gitml.tracking import exchange
from gitml.tracking.fluent.place import place

while not os.path.exists(sys.argv[2]):
    time.sleep(0.001)
for number in range(int(sys.argv[1])):
    with mlflow.start_run() as run:
        me = run.info.run_id
        param("number", number, me)
        metric("loss", number, 0, me)
    report = exchange.push(place())
    assert report.withheld == {}, report
    said(run=me, ended="FINISHED")
"""


def test_clones_that_push_at_once_lose_nothing(
    repo: Path, bare: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Clones that push to one remote at once all get all their runs there, in one line."""
    count, pushes = pytestconfig.getoption("--clones"), pytestconfig.getoption("--pushes")
    script = trainings.write(tmp_path, PUSHES)
    run_git(repo, "push", "--quiet", str(bare), "main")
    clones = [tmp_path / f"clone-{number}" for number in range(count)]
    for clone in clones:
        run_git(tmp_path, "clone", "--quiet", str(bare), str(clone))
    outcomes = together(script, clones, str(pushes), signal=tmp_path / "go")
    invariants.check_sound(bare)
    runs = invariants.stored(bare)
    invariants.check_acknowledged(runs, acknowledged(outcomes), in_flight=0)
    assert len(runs) == count * pushes
    place = place_of(gate.find(clones[0]))
    exchange.pull(place)
    assert place.ledger.local() == run_git(bare, "rev-parse", "gitml/runs")


TAGS = """
from gitml.tracking import changes
from gitml.tracking.fluent.place import place

while not os.path.exists(sys.argv[2]):
    time.sleep(0.001)
for number in range(5):
    key = f"{os.getpid()}-{number}"
    changes.tag(place(), sys.argv[1], {key: "x"})
    said(run=sys.argv[1], tag=[key, "x"])
"""


def test_processes_that_change_one_run_all_count(repo: Path, tmp_path: Path) -> None:
    """Tags that several processes set on one recorded run at the same time are all kept."""
    place = place_of(gate.find(repo))
    session, record = starting.start(place, starting.Wish())
    finishing.finish(place, session, record, "FINISHED")
    script = trainings.write(tmp_path, TAGS)
    before = invariants.UserState.of(repo)
    outcomes = together(script, [repo] * 4, record.run_id, signal=tmp_path / "go")
    invariants.check(repo, acknowledged(outcomes), before)


RESUMES = """
from gitml.tracking import changes

with mlflow.start_run(run_id=sys.argv[1]) as run:
    said(run=sys.argv[1], started=True)
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.001)
    for step in range(20):
        metric(f"loss-{os.getpid()}", step, step, sys.argv[1])
    param(f"p-{os.getpid()}", os.getpid(), sys.argv[1])
    text(f"{os.getpid()}.txt", str(os.getpid()), sys.argv[1])
said(run=sys.argv[1], ended="FINISHED")
"""


def test_processes_that_resume_one_run_all_count(repo: Path, tmp_path: Path) -> None:
    """What several processes log to one run, each resuming or joining it, is all recorded."""
    place = place_of(gate.find(repo))
    session, record = starting.start(place, starting.Wish())
    session.metric("loss", 1.0, 0, 1)
    finishing.finish(place, session, record, "FINISHED")
    script = trainings.write(tmp_path, RESUMES)
    before = invariants.UserState.of(repo)
    outcomes = together(script, [repo] * 5, record.run_id, signal=tmp_path / "go")
    runs = invariants.check(repo, acknowledged(outcomes), before)
    assert len(runs[record.run_id].points) == 1 + 5 * 20
    assert runs[record.run_id].status == "FINISHED"


RECOVERS = """
from gitml.tracking import recording
from gitml.tracking.fluent.place import place

while not os.path.exists(sys.argv[2]):
    for found in recording.recover(place()):
        assert found.problem is None, found
    for record in recording.live_records(place()):
        assert record.status in ("RUNNING", "FINISHED"), record
"""


def test_whoever_looks_for_dead_runs_leaves_the_living(repo: Path, tmp_path: Path) -> None:
    """Recovery that goes on all the time takes nothing from the trainings that go on beside it."""
    script = trainings.write(tmp_path, SMALL_RUNS)
    recovery = trainings.write(tmp_path, RECOVERS, "recover.py")
    before = invariants.UserState.of(repo)
    beside = [trainings.start(recovery, "", str(tmp_path / "stop"), cwd=repo) for _ in range(2)]
    outcomes = together(script, [repo] * 2, "30", signal=tmp_path / "go")
    (tmp_path / "stop").touch()
    for process in beside:
        assert process.communicate(timeout=60) == (b"", b"")
    invariants.check(repo, acknowledged(outcomes), before, in_flight=0)
