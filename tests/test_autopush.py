"""Runs that push themselves: in the background, seldom, and never at the training's expense."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from gitml import locks, process
from gitml.tracking import autopush
from gitml.tracking.autopush import Outcome, nudge, outcomes, work
from gitml.tracking.place import Place
from tests.clones import Clone, records, team
from tests.conftest import run_git

Started = list[tuple[str, ...]]


@pytest.fixture
def ann(tmp_path: Path, bare: Path) -> Clone:
    """A clone that pushes by itself, at most once a second."""
    (one,) = team(tmp_path, bare, "ann")
    (one.folder / "gitml.yaml").write_text("push: {auto: true, interval: 1}\n")
    return one


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """The processes that were started, which were not."""
    found: Started = []
    monkeypatch.setattr(process, "detach", lambda argv, **_: found.append(tuple(argv)))
    return found


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the process meant to sleep, each time that it did not."""
    found: list[float] = []
    monkeypatch.setattr(autopush, "time", SimpleNamespace(sleep=found.append, time=time.time))
    return found


def script(one: Clone, text: str) -> subprocess.CompletedProcess[str]:
    """Run a training script in a clone."""
    return subprocess.run(
        [sys.executable, "-c", text], cwd=one.folder, capture_output=True, text=True, check=False
    )


def eventually(holds: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


TRAIN = "import gitml\nwith gitml.start_run(run_name='{}'): gitml.log_metric('auc', 0.9)"


def test_a_run_that_ends_reaches_the_remote(ann: Clone, bare: Path) -> None:
    """Nobody calls `gitml push`; the script has ended long before."""
    done = script(ann, TRAIN.format("one"))
    assert (done.returncode, done.stderr) == (0, "")
    eventually(lambda: bool(outcomes(ann.place)))
    assert set(records(bare)) == {"one"}
    (outcome,) = outcomes(ann.place)
    assert (outcome.runs, outcome.problem) == (1, None)
    eventually(lambda: not locks.is_held(ann.place.home / "push.lock"))


def test_without_the_setting_nothing_is_pushed(ann: Clone, started: Started) -> None:
    """Pushing by itself is asked for in gitml.yaml."""
    (ann.folder / "gitml.yaml").write_text("schema: 1\n")
    assert not nudge(ann.place)
    assert started == []
    assert not (ann.place.home / "push.due").exists()


def test_one_process_pushes_for_many_runs(ann: Clone, started: Started) -> None:
    """As long as a process is at it, a run that ends only leaves a note."""
    ann.run("one")
    place = ann.place
    assert nudge(place)
    with locks.held(place.home / "push.lock"):
        assert not nudge(place)
    assert len(started) == 1
    assert (place.home / "push.due").exists()


def test_runs_of_an_interval_go_together(ann: Clone, bare: Path, naps: list[float]) -> None:
    """What is recorded while the process waits goes with the same push."""
    (ann.folder / "gitml.yaml").write_text("push: {auto: true, interval: 60}\n")
    place = ann.place
    ann.run("one")
    (place.home / "push.due").touch()
    work(place)
    assert naps.pop() <= 6
    ann.run("two")
    (place.home / "push.due").touch()
    ann.run("three")
    work(place)
    assert 50 < naps.pop() <= 66
    assert [outcome.runs for outcome in outcomes(place)] == [1, 2]
    assert set(records(bare)) == {"one", "two", "three"}


def test_a_run_that_ends_at_the_last_moment_is_not_forgotten(
    ann: Clone, bare: Path, naps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nudge between our last look and our letting go starts no process: we look again."""
    place = ann.place
    ann.run("one")
    (place.home / "push.due").touch()
    note = autopush._note

    def late(place: Place, outcome: Outcome) -> None:
        note(place, outcome)
        if len(outcomes(place)) == 1:
            look = Path.exists
            monkeypatch.setattr(Path, "exists", lambda path: once(path, look))

    def once(path: Path, look: Callable[[Path], bool]) -> bool:
        found = look(path)
        if path.name == "push.due":
            monkeypatch.setattr(Path, "exists", look)
            ann.run("two")
            assert not nudge(place)
        return found

    monkeypatch.setattr(autopush, "_note", late)
    work(place)
    assert set(records(bare)) == {"one", "two"}


def test_a_second_process_leaves_at_once(ann: Clone, naps: list[float]) -> None:
    """The lock is held: there is nothing to wait for."""
    place = ann.place
    ann.run("one")
    (place.home / "push.due").touch()
    with locks.held(place.home / "push.lock"):
        work(place)
    assert naps == []
    assert outcomes(place) == []


def test_offline_is_no_failure_of_the_training(ann: Clone, bare: Path) -> None:
    """The script ends well and says nothing; the log tells why there was no push."""
    bare.rename(bare.with_name("away.git"))
    done = script(ann, TRAIN.format("one"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    eventually(lambda: bool(outcomes(ann.place)))
    assert "git" in str(outcomes(ann.place)[0].problem)


def test_a_failed_push_is_tried_again_later_and_later(
    ann: Clone, bare: Path, naps: list[float]
) -> None:
    """Four times, then the next run that ends takes it along."""
    (ann.folder / "gitml.yaml").write_text("push: {auto: true, interval: 60}\n")
    away = bare.rename(bare.with_name("away.git"))
    place = ann.place
    ann.run("one")
    (place.home / "push.due").touch()
    work(place)
    assert [round(nap / 60) for nap in naps] == [0, 1, 2, 4]
    assert len([outcome for outcome in outcomes(place) if outcome.problem]) == 4
    away.rename(bare)
    ann.run("two")
    (place.home / "push.due").touch()
    work(place)
    assert set(records(bare)) == {"one", "two"}


def test_what_stays_behind_is_in_the_log(ann: Clone, naps: list[float]) -> None:
    """A run that could not go is named with the reason."""
    place = ann.place
    run_id = ann.run("one", files={"model.bin": bytes(200_000)})
    (place.home / "push.due").touch()
    work(place)
    assert run_id in str(outcomes(place)[-1].problem)
    assert "gitml init --remote" in str(outcomes(place)[-1].problem)


def test_the_log_stays_small_and_survives_damage(ann: Clone, naps: list[float]) -> None:
    """Old lines go, a torn line is skipped."""
    place = ann.place
    ann.run("one")
    lines = [json.dumps(Outcome(number, 1, None)._asdict()) for number in range(300)]
    (place.home / "push.log").write_text("\n".join([*lines, '{"time": 1, "ru']) + "\n")
    assert len(outcomes(place)) == 300
    (place.home / "push.due").touch()
    work(place)
    assert 50 < len((place.home / "push.log").read_text().splitlines()) <= 100


def test_a_folder_that_can_not_be_written_is_no_failure(ann: Clone, started: Started) -> None:
    """Nudging never raises."""
    place = ann.place
    (place.home / "push.due").mkdir(parents=True)
    (place.home / "push.lock").mkdir()
    nudge(place)
    assert len(started) <= 1


def test_nobody_is_asked_for_a_password(
    ann: Clone, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process has no terminal and no person: git fails instead of asking."""
    given: list[dict[str, str]] = []
    monkeypatch.setattr(process, "detach", lambda argv, **more: given.append(more["env"]))
    monkeypatch.delenv("GIT_ASKPASS", raising=False)
    monkeypatch.setenv("GITML_FAULT", "push.refs:kill")
    ann.run("one")
    assert nudge(ann.place)
    assert given[0]["GIT_TERMINAL_PROMPT"] == "0"
    assert given[0]["GIT_ASKPASS"] == ""
    assert "GITML_FAULT" not in given[0]


def test_modules_of_the_repository_do_not_get_in_the_way(ann: Clone, bare: Path) -> None:
    """A file called json.py in the user's folder is not imported by the process that pushes."""
    for name in ("json.py", "random.py", "gitml.py"):
        (ann.folder / name).write_text("raise SystemExit('not mine')")
    ann.run("one")
    assert nudge(ann.place)
    eventually(lambda: bool(outcomes(ann.place)))
    assert set(records(bare)) == {"one"}


def test_the_settings_of_a_folder_hold(ann: Clone, bare: Path, naps: list[float]) -> None:
    """The process reads the gitml.yaml that the run was recorded under."""
    other = bare.with_name("runs.git")
    run_git(bare.parent, "init", "--quiet", "--bare", str(other))
    folder = ann.folder / "team"
    folder.mkdir()
    settings = {"push": {"auto": True}, "ledger": {"remote": str(other)}}
    (folder / "gitml.yaml").write_text(json.dumps(settings))
    ann.git("config", "gitml.ledger", f"{other} gitml/runs")
    ann.run("one")
    (ann.place.home / "push.due").touch()
    autopush.main(str(folder))
    assert set(records(other)) == {"one"}
