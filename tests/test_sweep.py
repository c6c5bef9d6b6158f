"""A sweep: runs of an entry point below one run, sampled, compared, stopped, and gone on with."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gitml
from gitml import git
from gitml import projects as public
from gitml.documents import problems
from gitml.errors import UsageError
from gitml.projects import SweepError
from gitml.tracking import store
from gitml.tracking.place import place_of
from gitml.tracking.record import RunRecord
from tests import projects
from tests.cli import Called, Caller
from tests.conftest import framework, run_git

framework("optuna")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the commands are bash's"),
]

PROJECT = """
    name: hill
    entry_points:
      main:
        parameters:
          x: float
          depth: {type: int, default: 3}
          note: {default: "none"}
        command: "python hill.py {x} {depth} {note}"
      climb:
        parameters: {slope: float}
        command: "python climb.py {slope}"
      wait:
        parameters: {x: float}
        command: "python wait.py {x}"
      table:
        parameters: {data: path, x: float}
        command: "python table.py {data} {x}"
      fail:
        parameters: {x: int}
        command: "(echo so far; echo no more) >&2; exit 3"
      some:
        parameters: {x: int}
        command: "test {x} -gt 3 && python hill.py {x} 1 some"
      mute:
        parameters: {x: int}
        command: "true"
    """
FILES = {
    "MLproject": PROJECT,
    ".gitignore": "work/\n",
    "hill.py": """
        import sys
        import gitml

        x, depth = float(sys.argv[1]), int(sys.argv[2])
        with gitml.start_run():
            gitml.log_metric("height", 10 - (x - 1) ** 2 - depth / 100)
        """,
    "climb.py": """
        import pathlib, sys, time
        import gitml

        slope = float(sys.argv[1])
        with gitml.start_run():
            for step in range(3):
                gitml.log_metric("height", slope * (step + 1), step=step)
            while slope < 0:  # whoever goes down is not done until he is told
                time.sleep(0.01)
        """,
    "wait.py": """
        import os, pathlib, sys, time
        import gitml

        work = pathlib.Path("work")
        with gitml.start_run():
            gitml.log_metric("height", float(sys.argv[1]))
            work.mkdir(exist_ok=True)
            (work / str(os.getpid())).touch()
            while not (work / "go").exists():
                time.sleep(0.01)
        """,
    "table.py": """
        import sys
        import gitml

        with gitml.start_run():
            gitml.log_metric("height", len(open(sys.argv[1]).read()) + float(sys.argv[2]))
        """,
}
MAX = ("--metric", "metrics.height", "--goal", "maximize")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


@pytest.fixture
def project(repo: Path) -> Path:
    """A committed project in the current folder."""
    projects.write(repo, FILES)
    run_git(repo, "add", ".")
    run_git(repo, "commit", "--quiet", "-m", "project")
    return repo


@pytest.fixture
def sweep(call: Caller) -> Callable[..., Called]:
    """Call `gitml sweep` for the height, with the JSON format unless it fails."""

    def called(*args: object, code: int = 0) -> Called:
        return call("sweep", *MAX, "--format", "json", *args, code=code)

    return called


def family(folder: Path) -> tuple[RunRecord, list[RunRecord]]:
    """The first sweep of a repository, and the runs below it in the order of their numbers."""
    found = sorted(store.search(place_of(git.find(folder), folder)), key=lambda run: run.run_id)
    parent = next(run for run in found if "gitml.sweep" in run.tags)
    below = [run for run in found if run.parent_run == parent.run_id]
    return parent, sorted(below, key=lambda run: int(run.tags["gitml.sweep.trial"] or 0))


def state(folder: Path, run: RunRecord) -> dict[str, Any]:
    """The file that a sweep's run keeps."""
    found: dict[str, Any] = json.loads(projects.texts(folder, run)["sweep.json"])
    assert problems(found, "sweep") == []
    return found


# -- the runs ------------------------------------------------------------------------------


def test_a_sweep_is_a_run_with_its_runs_below(project: Path, call: Caller) -> None:
    """Each point of a grid is a run; the result names the best, and what runs it again."""
    done = call(
        "sweep", *MAX, "-P", "x=0..2:1", "-P", "depth=2,4", "-P", "note=a b", "--parallel", 2
    )
    parent, below = family(project)
    assert (parent.status, parent.tags["gitml.sweep"]) == ("FINISHED", "grid")
    assert parent.params == {"x": "0..2:1", "depth": "2,4", "note": "a b"}
    assert [(run.params["x"], run.params["depth"]) for run in below] == [
        (0, 2), (0, 4), (1, 2), (1, 4), (2, 2), (2, 4),
    ]  # fmt: skip
    assert {(run.status, run.params["note"]) for run in below} == {("FINISHED", "a b")}
    assert {run.name for run in below} == {f"{parent.name}-{number}" for number in range(6)}
    assert {run.code.tree for run in (parent, *below)} == {
        run_git(project, "rev-parse", "HEAD^{tree}")
    }
    best = below[2]
    assert parent.tags["gitml.sweep.best"] == best.run_id
    assert parent.metrics["height"].last == best.metrics["height"].last == 9.98
    assert done.lines == [
        f"best        height 9.98  run {best.run_id[-8:]}",
        "params      x=1 depth=2",
        done.lines[2],
        f"runs        6 done, below run {parent.run_id[-8:]}",
        f"again       gitml runs reproduce {best.run_id}",
    ]
    assert done.lines[2].startswith("importance  x ")
    assert "6 of 6" in done.err
    kept = state(project, parent)
    assert kept["best"]["params"] == {"x": "1", "depth": "2"}
    assert [trial["run_id"] for trial in kept["trials"]] == [run.run_id for run in below]


def test_the_command_that_is_shown_runs_the_best_again(project: Path, sweep: Any) -> None:
    """With the same code, though that has changed since, and the same parameters; compared."""
    told = sweep("-P", "x=0,1,4", "-P", "note=it's").json
    (project / "hill.py").write_text("raise SystemExit('broken')\n")
    _, *args = shlex.split(told["command"])
    assert b" reproduces " in projects.gitml(*args).stdout
    again = projects.runs(project)[-1]
    assert again.tags["gitml.reproduces"] == told["best"]["run_id"]
    assert again.params == {"x": 1, "depth": 3, "note": "it's"}
    assert again.metrics["height"].last == told["best"]["value"]


def test_points_are_drawn_by_the_seed(project: Path, sweep: Any) -> None:
    """The same seed draws the same points, however many run at once; another one does not."""
    ranges = ("-P", "x=1e-3..10:log", "-P", "depth=1..9", "--max-runs", 3, "--sampler", "random")
    first = sweep(*ranges).json["trials"]
    same = sweep(*ranges, "--parallel", 3).json["trials"]
    other = sweep(*ranges, "--seed", 1).json["trials"]
    points = [[trial["params"] for trial in trials] for trials in (first, same, other)]
    assert points[0] == points[1]
    assert all(point not in points[0] for point in points[2])
    assert all(
        0.001 <= float(point["x"]) <= 10 and 1 <= int(point["depth"]) <= 9 for point in points[0]
    )


def test_a_script_without_an_mlproject(repo: Path, sweep: Any) -> None:
    """With --allow-extra parameters become options of the script, sampled as they are written."""
    script = """
        import argparse, gitml
        parser = argparse.ArgumentParser()
        parser.add_argument("--n", type=int)
        gitml.log_metric("height", parser.parse_args().n)
        """
    projects.write(repo, {"train.py": script})
    told = sweep("-e", "train.py", "--allow-extra", "-P", "n=1..3").json
    assert told["best"]["params"] == {"n": "3"}


def test_code_from_a_url(project: Path, tmp_path: Path, sweep: Any) -> None:
    """It is checked out once, at one commit, whatever becomes of the branch meanwhile."""
    there = tmp_path / "there"
    run_git(project, "clone", "--quiet", "--bare", str(project), str(there))
    told = sweep(there.as_uri(), "-P", "x=1,2", "--yes").json
    assert told["project"]["version"] == run_git(project, "rev-parse", "HEAD")
    _, below = family(project)
    assert {run.source.name for run in below} == {there.as_uri()}


def test_code_of_a_run(project: Path, sweep: Any) -> None:
    """The run that is meant now is meant when the sweep goes on, too."""
    projects.gitml("run", ".", "-P", "x=1")
    (first,) = projects.runs(project)
    (project / "hill.py").write_text("raise SystemExit('broken')\n")
    told = sweep("runs:/latest", "-P", "x=1,2").json
    assert told["project"]["uri"] == f"runs:/{first.run_id}"


def test_a_terminal_shows_a_table(project: Path) -> None:
    """It follows what goes on; the result stands below it, on standard output."""
    import pty

    leader, follower = pty.openpty()
    argv = projects.command("sweep", *MAX, "-P", "x=1,2")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=follower) as running:
        os.close(follower)
        shown = b"".join(iter(lambda: read(leader), b"")).decode()
        assert running.stdout is not None
        assert running.stdout.read().startswith(b"best        height 9.97")
    os.close(leader)
    assert running.returncode == 0
    assert "2 of 2 ended, 0 running, best height 9.97" in shown
    assert "running" in shown.partition("1 of 2 ended")[0]
    assert "\x1b[" in shown


def read(terminal: int) -> bytes:
    """What a terminal shows next; nothing once nobody writes to it."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""


def test_a_sweep_from_python(project: Path) -> None:
    """A list is one of values; what comes back tells the best."""
    found = public.sweep(
        ".", {"x": [0.5, 1], "note": ["a,b"], "depth": "1..2"}, "height", "maximize", parallel=2
    )
    assert dict(found.best_params) == {"x": "1", "depth": "1"}
    assert found.best_value == 9.99
    parent, below = family(project)
    assert (found.run_id, len(below)) == (parent.run_id, 4)
    assert {run.params["note"] for run in below} == {"a,b"}
    with pytest.raises(SweepError, match="it logged no metric height"):
        public.sweep(".", {"x": [1, 2]}, "height", "maximize", entry_point="mute")


def test_the_least_of_a_metric_may_count(project: Path, sweep: Any) -> None:
    """As in a filter, `height.min` is the lowest point of the history."""
    told = sweep("-e", "climb", "-P", "slope=1,2", "--metric", "metrics.height.min").json
    assert (told["best"]["value"], told["search"]["metric"]) == (2, "height.min")


# -- what is wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-P", "x=1,2", "-P", "dept=1"], "no parameter 'dept'; did you mean 'depth'?"),
        (["-P", "depth=1,2"], "the parameter 'x' needs a value"),
        (["-P", "x=1,two"], "the parameter 'x': 'two' is no number"),
        (["-P", "x=1,2", "-P", "depth=0.5..2"], "whole numbers have no fraction"),
        (["-P", "x=2..1"], "the first number must be the smaller one"),
        (["-P", "x=1"], "nothing varies"),
        (["-P", "x=0..1", "--sampler", "grid", "-P", "note=1.5..2"], "give a step"),
        (["-P", "x=0..2000:1"], "the grid has 2001 points; say how many to run: --max-runs"),
        (["-P", "x=0..1", "--parallel", "0"], "--parallel is between 1 and 256, not 0"),
        (["-P", "x=0..1", "--max-runs", "0"], "--max-runs is between 1 and 100000, not 0"),
        (["-P", "x=0..1", "--backend", "moon"], "there is no backend 'moon'"),
        (["-P", "x=0..1", "-e", "mian"], "did you mean 'main'?"),
        (["-P", "x=0..1", "--resume", "latest"], "--metric can't be given with --resume"),
        (["-P", "x=0..1", "-P", "a_token=1,2", "--allow-extra"], "'a_token' is a credential"),
    ],
)
def test_wrong_input_is_one_line_and_nothing_runs(
    project: Path, sweep: Any, args: list[str], message: str
) -> None:
    """All that is asked for is checked before the first run."""
    assert message in sweep(*args, code=2).err
    assert projects.runs(project) == []


def test_a_sweep_needs_a_metric_and_a_goal(project: Path, call: Caller) -> None:
    """Nobody can guess whether more is better."""
    assert "--goal" in call("sweep", "-P", "x=0..1", "--metric", "height", code=2).err


def test_a_failure_does_not_end_it(project: Path, sweep: Any) -> None:
    """It counts as a run, and tells why."""
    told = sweep("-e", "some", "-P", "x=1,5,2,4").json
    assert [trial["state"] for trial in told["trials"]] == ["failed", "done", "failed", "done"]
    assert told["trials"][0]["reason"] == "some ended with exit code 1"
    assert told["best"]["params"] == {"x": "4"}


def test_failures_alone_end_it(project: Path, call: Caller) -> None:
    """The first three come to nothing: the last lines of the output say why."""
    done = call("sweep", *MAX, "-e", "fail", "-P", "x=1..9", code=1)
    parent, below = family(project)
    assert (parent.status, len(below)) == ("FAILED", 3)
    assert done.err.splitlines()[-3:] == [
        "  so far", "  no more",
        "gitml: the first 3 runs of the sweep came to no value; the last: fail ended with exit"
        " code 3",
    ]  # fmt: skip


# -- early stop ----------------------------------------------------------------------------


def test_runs_that_are_hopeless_are_stopped(project: Path, sweep: Any) -> None:
    """By the curve that they write while they go on: it is worse than half of the others' were."""
    slopes = "slope=1,2,3,4,5,-1,-2,6"
    told = sweep("-e", "climb", "-P", slopes, "--early-stop", "--parallel", 2).json
    _, below = family(project)
    states = [trial["state"] for trial in told["trials"]]
    assert states == ["done"] * 5 + ["stopped"] * 2 + ["done"]
    stopped = below[5]
    assert (stopped.status, stopped.tags["gitml.sweep.ended"]) == ("KILLED", "early")
    assert (
        stopped.reason == "climb: it was stopped early, at step 2: half of the others were better"
    )
    assert stopped.metrics["height"].count == 3
    assert told["best"]["params"] == {"slope": "6"}


def test_the_curve_of_a_run(project: Path) -> None:
    """Steps as they were logged where they rise, else points are counted; a long one is thin."""
    from gitml.projects.sweeps.child import points

    place = place_of(git.find(project), project)
    with gitml.start_run() as run:
        gitml.log_metric("loss", 1, step=10)
        gitml.log_metric("loss", 2, step=30)
        gitml.log_metric("no_steps", 3)
        gitml.log_metric("no_steps", 4)
        for step in range(1501):
            gitml.log_metric("long", step, step=step)
        live = [points(place, run.info.run_id, key) for key in ("loss", "no_steps", "long", "none")]
    recorded = [points(place, run.info.run_id, key) for key in ("loss", "no_steps", "long", "none")]
    assert live == recorded
    assert live[0] == [(10, 1), (30, 2)] == points(place, run.info.run_id, "loss.min")
    assert live[1] == [(0, 3), (1, 4)]
    assert [step for step, _ in live[2]] == [*range(1000), 1000, 1100, 1200, 1300, 1400, 1500]
    assert live[3] == []


# -- what was run before -------------------------------------------------------------------


def test_what_is_recorded_is_not_run_again(project: Path, call: Caller, sweep: Any) -> None:
    """A run of the same code, parameters and packages counts, whoever made it, and how."""
    projects.gitml("run", ".", "-P", "x=1", "-P", "depth=3")
    (before,) = projects.runs(project)
    told = sweep("-P", "x=0,1,2", "--reuse").json
    parent, below = family(project)
    assert [trial.get("reused", False) for trial in told["trials"]] == [False, True, False]
    assert len(below) == 2
    assert parent.tags["gitml.sweep.best"] == before.run_id
    assert told["trials"][1]["seconds"] > 0
    done = call("sweep", *MAX, "-P", "x=0,1,2", "--reuse")
    assert done.lines[-2].startswith("reused      3 runs recorded before, which took ")
    assert len(projects.runs(project)) == 5


@pytest.mark.parametrize("change", ["code", "parameter", "data", "entry point"])
def test_what_differs_is_run(project: Path, tmp_path: Path, sweep: Any, change: str) -> None:
    """Other code, another parameter, other data at the same path, another entry point."""
    data = tmp_path / "data.csv"
    data.write_text("abc")
    args = ["-e", "table", "-P", f"data={data}", "-P", "x=1,2", "--reuse"]
    sweep(*args)
    assert len(projects.runs(project)) == 3
    sweep(*args)
    assert len(projects.runs(project)) == 4  # the sweep's own
    if change == "code":
        (project / "table.py").write_text((project / "table.py").read_text() + "# other\n")
    elif change == "data":
        data.write_text("abcd")
    elif change == "parameter":
        args[-2] = "x=3,4"
    else:
        text = (project / "MLproject").read_text()
        (project / "MLproject").write_text(
            text + "  other: {parameters: {data: path, x: float},"
            " command: 'python table.py {data} {x}'}\n"
        )
        args[1] = "other"
    told = sweep(*args).json
    assert not any(trial.get("reused") for trial in told["trials"])
    assert len(projects.runs(project)) == 7


def test_data_that_nothing_tracks_is_no_ground_for_reuse(project: Path, sweep: Any) -> None:
    """A run that logged such a file as its input is run again: the file may have changed."""
    script = """
        import sys
        import gitml

        with gitml.start_run():
            gitml.log_input(gitml.data.from_file("work/data.csv"))
            gitml.log_metric("height", float(sys.argv[1]))
        """
    projects.write(project, {"hill.py": script, "work/data.csv": "a"})
    for _ in range(2):
        told = sweep("-P", "x=1,2", "--reuse").json
        assert not any(trial.get("reused") for trial in told["trials"])


def test_a_fork_decides_nothing(project: Path, tmp_path: Path, sweep: Any, call: Caller) -> None:
    """Of one that was only fetched, no run is reused, and no sweep gone on with."""
    there = tmp_path / "fork"
    run_git(project, "clone", "--quiet", str(project), str(there))
    projects.gitml("sweep", *MAX, "-P", "x=1,2,3,4", cwd=there)
    run_git(project, "remote", "add", "fork", str(there))
    run_git(project, "fetch", "--quiet", "fork")
    parent, _ = family(project)
    assert "is of a fork" in call("sweep", "--resume", parent.run_id, code=2).err
    told = sweep("-P", "x=1,2", "--reuse").json
    assert not any(trial.get("reused") for trial in told["trials"])
    run_git(project, "remote", "rename", "fork", "origin")
    told = sweep("-P", "x=3,4", "--reuse").json
    assert all(trial.get("reused") for trial in told["trials"])


# -- interruption --------------------------------------------------------------------------


def pids(folder: Path, count: int) -> list[int]:
    """The processes that wait in a project's folder, as soon as there are so many."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = [int(path.name) for path in (folder / "work").glob("[0-9]*")]
        if len(found) >= count:
            return found
        time.sleep(0.02)
    raise AssertionError("the runs have not begun")


def lives(pid: int) -> bool:
    """Whether a process goes on."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def waiting(project: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A sweep of which two runs wait, and one has not begun."""
    args = ("sweep", *MAX, "-e", "wait", "-P", "x=1,2,3", "--parallel", "2")
    argv = projects.command(*args)
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        pids(project, 2)
        yield running
        running.kill()


def go_on(folder: Path, sweep: Any) -> dict[str, Any]:
    """Let the runs of the interrupted sweep end, and go on with it."""
    run, _ = family(folder)
    (folder / "work" / "go").touch()
    done = projects.gitml("sweep", "--resume", run.run_id[-8:], "--format", "json")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_and_the_sweep_can_go_on(
    project: Path, waiting: subprocess.Popen[bytes], sweep: Any, number: signal.Signals
) -> None:
    """Ctrl-C or a scheduler: the runs end, the sweep's too, and what it says goes on with it."""
    mine = pids(project, 2)
    waiting.send_signal(number)
    _, said = waiting.communicate(timeout=60)
    assert waiting.returncode in (130, 128 + number)
    assert not any(map(lives, mine))
    parent, below = family(project)
    assert parent.status == "KILLED"
    assert [(run.status, run.tags["gitml.sweep.ended"]) for run in below] == [
        ("KILLED", "interrupted")
    ] * 2
    assert f"stopped; to go on: gitml sweep --resume {parent.run_id[-8:]}" in said.decode()
    told = go_on(project, sweep)
    assert [trial["params"]["x"] for trial in told["trials"]] == ["1", "2", "3"]
    assert told["best"]["value"] == 3
    parent, below = family(project)
    assert (parent.status, len(below)) == ("FINISHED", 5)


def test_a_sweep_that_was_killed_can_go_on(
    project: Path, waiting: subprocess.Popen[bytes], sweep: Any
) -> None:
    """What it left running is ended, what had ended stays; no file beside the runs is needed."""
    mine = pids(project, 2)
    os.kill(mine[0], signal.SIGSTOP)  # an orphan that would not notice by itself
    waiting.send_signal(signal.SIGKILL)
    waiting.wait(timeout=60)
    told = go_on(project, sweep)
    assert not any(map(lives, mine))
    assert [trial["state"] for trial in told["trials"]] == ["done"] * 3
    parent, below = family(project)
    assert (parent.status, told["best"]["value"]) == ("FINISHED", 3)
    assert [run.status for run in below].count("KILLED") == 2
    assert state(project, parent)["trials"] == told["trials"]


def test_a_sweep_that_goes_on_is_left_alone(
    project: Path, waiting: subprocess.Popen[bytes], call: Caller
) -> None:
    """Two processes would run the same points."""
    parent, _ = family(project)
    said = call("sweep", "--resume", parent.run_id, code=2).err
    assert "goes on; it can't be resumed as long as it does" in said
    assert all(map(lives, pids(project, 2)))


def test_a_sweep_that_is_done_can_have_more_runs(project: Path, sweep: Any, call: Caller) -> None:
    """What ended is not run again; the points are those of one sweep of that many runs."""
    args = ("-P", "x=0.1..2", "--sampler", "random")
    whole = sweep(*args, "--max-runs", 4).json
    part = sweep(*args, "--max-runs", 2, "--run-name", "part").json
    count = len(projects.runs(project))
    same = call("sweep", "--resume", "part", "--format", "json").json
    assert (same["trials"], len(projects.runs(project))) == (part["trials"], count)
    more = call("sweep", "--resume", "part", "--format", "json", "--max-runs", 4).json
    assert [trial["params"] for trial in more["trials"]] == [
        trial["params"] for trial in whole["trials"]
    ]
    assert len(projects.runs(project)) == count + 2


def test_what_was_reused_stays_so(project: Path, sweep: Any, call: Caller) -> None:
    """The sweep's run remembers runs that are not below it."""
    projects.gitml("run", ".", "-P", "x=1")
    told = sweep("-P", "x=1,2", "--reuse", "--run-name", "mine", "--max-runs", 2).json
    again = call("sweep", "--resume", "mine", "--format", "json").json
    assert again["trials"] == told["trials"]
    assert again["trials"][0]["reused"]


def test_only_a_sweep_can_be_resumed(project: Path, call: Caller) -> None:
    """Another run is named as what it is."""
    projects.gitml("run", ".", "-P", "x=1", "--run-name", "plain")
    assert "is no sweep" in call("sweep", "--resume", "plain", code=2).err
    assert "no run is called 'gone'" in call("sweep", "--resume", "gone", code=2).err


def test_credentials_are_not_kept(project: Path, sweep: Any, call: Caller) -> None:
    """Neither by the sweep's run nor by those below; who goes on gives them again."""
    secret = "geheim-4711"
    args = ("--allow-extra", "-P", f"api_token={secret}", "--run-name", "mine")
    sweep("-e", "mute", "--metric", "x", "-P", "x=1,2", *args, code=1)
    parent, below = family(project)
    for run in (parent, *below):
        assert secret not in json.dumps(projects.texts(project, run))
    assert "'api_token' is not recorded" in call("sweep", "--resume", "mine", code=2).err
    given = ("-P", f"api_token={secret}")
    assert "came to a value" in call("sweep", "--resume", "mine", *given, code=1).err
    with pytest.raises(UsageError, match="stays as it was"):
        public.resume_sweep("mine", parameters={"x": 3})
