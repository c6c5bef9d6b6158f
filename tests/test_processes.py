"""Threads, forks, workers and ends of every kind: whose calls count, and how the run ends."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gitml import git as gate
from gitml.tracking import recording
from gitml.tracking.place import place_of
from tests import invariants, trainings

posix = pytest.mark.skipif(sys.platform == "win32", reason="there are no forks and signals")
Run = invariants.Stored


def trained(
    repo: Path, body: str, *args: str, in_flight: int = 0, **options: Any
) -> tuple[trainings.Outcome, dict[str, Run]]:
    """What came of a training: its outcome, and the runs, once all invariants hold."""
    script = trainings.write(repo.parent, body)
    before = invariants.UserState.of(repo)
    outcome = trainings.run(script, *args, cwd=repo, **options)
    runs = invariants.check(repo, outcome.acknowledged, before, in_flight=in_flight)
    return outcome, runs


def only(runs: Mapping[str, Run]) -> Run:
    """The one run there is."""
    (run,) = runs.values()
    return run


# -- threads and workers ---------------------------------------------------------------------


def test_twenty_threads_log_to_one_run(repo: Path) -> None:
    """What threads log at the same time is all there, once."""
    body = """
        from threading import Thread

        def work(number):
            param(f"p{number}", number, me)
            for step in range(200):
                metric(f"loss-{number}", step, step, me)
            tag(f"t{number}", str(number), me)
            text(f"{number}.txt", str(number), me)

        with mlflow.start_run() as run:
            me = run.info.run_id
            threads = [Thread(target=work, args=(number,)) for number in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        said(run=me, ended="FINISHED")
    """
    outcome, runs = trained(repo, body)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert len(only(runs).points) == 20 * 200
    assert len(only(runs).record["sessions"]) == 1


def test_threads_with_runs_of_their_own_do_not_mix(repo: Path) -> None:
    """Each thread that starts a run logs to that one."""
    body = """
        from threading import Thread

        def work(number):
            with mlflow.start_run(run_name=f"run-{number}") as run:
                for step in range(50):
                    metric("number", number, step, run.info.run_id)
            said(run=run.info.run_id, ended="FINISHED")

        threads = [Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    """
    outcome, runs = trained(repo, body)
    assert (outcome.code, outcome.stderr) == (0, "")
    for run in runs.values():
        number = run.record["name"].removeprefix("run-")
        assert {value for *_, value in run.points} == {f"{number}.0"}


@posix
def test_forked_workers_log_to_the_run_of_their_parent(repo: Path) -> None:
    """Workers of a forked pool write journals of their own, to the same run."""
    body = """
        import multiprocessing

        def work(number):
            for step in range(50):
                metric(f"loss-{number}", step, step, me)
            text(f"{number}.txt", str(number), me)

        with mlflow.start_run() as run:
            me = run.info.run_id
            context = multiprocessing.get_context("fork")
            workers = [context.Process(target=work, args=(number,)) for number in range(4)]
            for worker in workers:
                worker.start()
            metric("mine", 1, 0, me)
            for worker in workers:
                worker.join()
        said(run=me, ended="FINISHED")
    """
    outcome, runs = trained(repo, body)
    assert (outcome.code, outcome.stderr) == (0, "")
    kinds = sorted(item["kind"] for item in only(runs).record["sessions"].values())
    assert kinds == ["fork"] * 4 + ["start"]


def test_spawned_workers_join_the_run_that_the_environment_names(repo: Path) -> None:
    """Fresh processes that GITML_RUN_ID names a run to join that run, and do not end it."""
    body = """
        import multiprocessing

        def work(number):
            with mlflow.start_run():
                metric(f"loss-{number}", number, 0)

        if __name__ == "__main__":
            with mlflow.start_run() as run:
                me = os.environ["GITML_RUN_ID"] = run.info.run_id
                context = multiprocessing.get_context("spawn")
                workers = [context.Process(target=work, args=(number,)) for number in range(3)]
                for worker in workers:
                    worker.start()
                for worker in workers:
                    worker.join()
                    assert worker.exitcode == 0
                assert mlflow.get_run(me).info.status == "RUNNING"
            said(run=me, ended="FINISHED")
    """
    outcome, runs = trained(repo, body)
    assert (outcome.code, outcome.stderr) == (0, "")
    kinds = sorted(item["kind"] for item in only(runs).record["sessions"].values())
    assert kinds == ["join"] * 3 + ["start"]


@posix
def test_a_forked_child_does_not_end_the_run(repo: Path) -> None:
    """A child that leaves through the `with` block ends its part; the run goes on."""
    body = """
        with mlflow.start_run() as run:
            me = run.info.run_id
            child = os.fork()
            if child == 0:
                metric("child", 1, 0, me)
            else:
                os.waitpid(child, 0)
                metric("parent", 1, 0, me)
        if child:
            said(run=me, ended="FINISHED")
    """
    outcome, runs = trained(repo, body)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert only(runs).status == "FINISHED"


@posix
def test_a_child_that_outlives_its_parent_is_heard(repo: Path) -> None:
    """What a forked child logs after the run was recorded is a change of the run."""
    body = """
        with mlflow.start_run() as run:
            me = run.info.run_id
            if os.fork() == 0:
                metric("early", 1, 0, me)
                open("../early", "w").close()
                while not os.path.exists("../late"):
                    time.sleep(0.002)
                metric("late", 1, 0, me)
                os._exit(0)
            while not os.path.exists("../early"):
                time.sleep(0.002)
        said(run=me, ended="FINISHED")
        open("../late", "w").close()
    """
    outcome, runs = trained(repo, body)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert {key for key, *_ in only(runs).points} == {"early", "late"}


def test_nested_runs_are_runs_of_their_own(repo: Path) -> None:
    """A nested run names its parent, and calls go to the innermost."""
    body = """
        with mlflow.start_run() as outer:
            metric("level", 0, 0, outer.info.run_id)
            with mlflow.start_run(nested=True) as inner:
                metric("level", 1, 0, inner.info.run_id)
            metric("level", 0, 1, outer.info.run_id)
        said(run=inner.info.run_id, ended="FINISHED")
        said(run=outer.info.run_id, ended="FINISHED")
    """
    outcome, runs = trained(repo, body)
    inner, outer = (runs[call["run"]] for call in outcome.acknowledged if "ended" in call)
    assert inner.record["parent_run"] == outer.record["run_id"]
    assert [value for *_, value in outer.points] == ["0.0", "0.0"]


# -- ends ------------------------------------------------------------------------------------

ENDS = {
    "with mlflow.start_run():\n    metric('a', 1, 0)": (0, "FINISHED", None),
    "with mlflow.start_run():\n    metric('a', 1, 0)\n    raise ValueError('no  data')": (
        1, "FAILED", "ValueError: no data",
    ),
    "with mlflow.start_run():\n    metric('a', 1, 0)\n    sys.exit()": (0, "FINISHED", None),
    "with mlflow.start_run():\n    metric('a', 1, 0)\n    sys.exit(3)": (
        3, "FAILED", "SystemExit: 3",
    ),
    "mlflow.start_run()\nmetric('a', 1, 0)": (0, "FINISHED", None),
    "mlflow.start_run()\nmetric('a', 1, 0)\nraise KeyError('x')": (1, "FAILED", "KeyError: 'x'"),
    "mlflow.start_run()\nmetric('a', 1, 0)\nmlflow.end_run('KILLED')": (0, "KILLED", None),
    "mlflow.log_metric('a', 1)\nmetric('a', 1, 0)": (0, "FINISHED", None),
    "mlflow.start_run()\nmetric('a', 1, 0)\nos._exit(0)": (
        0, "KILLED", "the process ended without ending the run",
    ),
}  # fmt: skip


@pytest.mark.parametrize("body", ENDS)
def test_every_end_has_its_status(repo: Path, body: str) -> None:
    """A run is FINISHED, FAILED with the exception, or KILLED, as its process ended."""
    code, status, reason = ENDS[body]
    outcome, runs = trained(repo, body, in_flight=1)
    assert outcome.code == code
    assert (only(runs).status, only(runs).record.get("reason")) == (status, reason)


@posix
@pytest.mark.parametrize(
    ("number", "status", "reason"),
    [
        (signal.SIGTERM, "KILLED", "the process ended without ending the run"),
        (signal.SIGINT, "FAILED", "KeyboardInterrupt:"),
        (signal.SIGHUP, "KILLED", "the process ended without ending the run"),
    ],
)
def test_every_signal_has_its_status(
    repo: Path, number: signal.Signals, status: str, reason: str
) -> None:
    """SIGTERM and its like leave a run that is KILLED; an interrupt is an exception."""
    body = """
        with mlflow.start_run() as run:
            metric("a", 1, 0, run.info.run_id)
            open("../ready", "w").close()
            while True:
                time.sleep(0.01)
    """
    script = trainings.write(repo.parent, body)
    before = invariants.UserState.of(repo)
    process = trainings.start(script, cwd=repo)
    while not (repo.parent / "ready").exists():
        time.sleep(0.002)
    place = place_of(gate.find(repo))
    assert [record.status for record in recording.live_records(place)] == ["RUNNING"]
    assert recording.recover(place) == []
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    runs = invariants.check(repo, trainings.calls(out), before, in_flight=0)
    assert (only(runs).status, only(runs).record.get("reason")) == (status, reason)


# -- the interpreter's surroundings ------------------------------------------------------------

ONE_RUN = """
with mlflow.start_run() as run:
    me = run.info.run_id
    param("ключ", "wärt", me)
    metric("loss", 0.5, 0, me)
    text("größe.txt", "größer", me)
said(run=me, ended="FINISHED")
"""


@pytest.mark.parametrize(
    "env",
    [
        {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LC_ALL": "POSIX"},
        {"PYTHONOPTIMIZE": "2"},
        {"TZ": "Asia/Kathmandu"},
        {"PYTHONWARNINGS": "error"},
        {"PYTHONDEVMODE": "1"},
        {"PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1"},
    ],
    ids=lambda env: next(iter(env)),
)
def test_any_environment_will_do(repo: Path, env: dict[str, str]) -> None:
    """Runs are recorded whole in any locale and with any switch of the interpreter."""
    outcome, runs = trained(repo, ONE_RUN, env=env)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert only(runs).record["params"] == {"ключ": "wärt"}


@posix
def test_standard_streams_may_be_closed(repo: Path) -> None:
    """With no standard streams nothing that a library prints gets into the journal."""
    body = """
        with mlflow.start_run() as run:
            me = run.info.run_id
            for step in range(50):
                for number in (0, 1, 2):
                    try:
                        os.write(number, b"noise without an end of line")
                    except OSError:
                        pass
                metric("loss", step, step, me)
        said(run=me, ended="FINISHED")
    """
    script = trainings.write(repo.parent, body)
    before = invariants.UserState.of(repo)
    told = repo.parent / "told"
    shell = f'exec 9>{told}; SAID=9 exec "{sys.executable}" "{script}" <&- >&- 2>&-'
    code = os.waitstatus_to_exitcode(
        os.waitpid(os.spawnve(os.P_NOWAIT, "/bin/sh", ("sh", "-c", f"cd {repo} && {shell}"),
                              trainings.environment()), 0)[1]
    )  # fmt: skip
    assert code == 0
    calls = trainings.calls(told.read_bytes())
    assert len(calls) == 51
    runs = invariants.check(repo, calls, before, in_flight=0)
    (session,) = only(runs).record["sessions"].values()
    assert session.get("skipped", 0) == 0
