"""Projects as jobs of a real Ray cluster on this machine; without Ray most of these are skipped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gitml import projects as public
from gitml.projects import EntryPointError
from gitml.storage import Bucket
from gitml.tracking import collecting, recording, store
from gitml.tracking.collecting import collect
from gitml.tracking.place import Place
from gitml.tracking.spool import Spool
from tests import projects
from tests.conftest import Git
from tests.ray_clusters import cluster

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell"),
    pytest.mark.slow,
]

WORKERS = 3
NOTE = "a 'b' \"c\" $(touch evil) `id` {x} \\ *\n; touch evil #"
PROJECT = """
    name: demo
    entry_points:
      main:
        parameters: {acknowledged: string, kill: int, workers: int}
        command: "python train.py {acknowledged} {kill} {workers}"
      argue:
        parameters: {note: string, table: {type: path, default: data.csv}}
        command: "python argue.py '{note}' {table} | cat"
      fail: {command: "echo so far; printf '\\\\377 is no text\\\\n'; exit 3"}
      wait: {command: "python wait.py"}
      tune: {parameters: {x: float}, command: "python tune.py {x}"}
    """
# Workers that log points, and note each in a file of their own once it is acknowledged.
TRAIN = """
    import os, signal, sys, time
    import gitml, ray

    folder, kill = sys.argv[1], int(sys.argv[2])

    @ray.remote(num_cpus=0.5, max_retries=0)
    def work(number):
        with gitml.start_run(), open(f"{folder}/{number}", "w", buffering=1) as noted:
            step = 0
            while step < 50 or not os.path.exists(f"{folder}/stop"):
                gitml.log_metric(f"loss/{number}", 1 / (step + 1), step=step)
                print(step, file=noted)
                if number == kill and step == 40:
                    os.kill(os.getpid(), signal.SIGKILL)
                step += 1
                time.sleep(0.02)
        return os.getpid()

    with gitml.start_run():
        gitml.log_param("workers", int(sys.argv[3]))
        ray.init(log_to_driver=False)
        for number, task in enumerate([work.remote(number) for number in range(int(sys.argv[3]))]):
            try:
                ray.get(task)
            except ray.exceptions.WorkerCrashedError:
                gitml.set_tag(f"died/{number}", "yes")
    """
ARGUE = """
    import os, sys
    import gitml

    with gitml.start_run():
        gitml.log_params({"argument": sys.argv[1], "content": open(sys.argv[2]).read()})
        gitml.log_dict({"files": os.listdir()}, "files.json")
    """
WAIT = """
    import os, sys, time
    import gitml

    with gitml.start_run():
        for step in range(10_000):
            gitml.log_metric("step", step, step=step)
            time.sleep(0.05)
    """
TUNE = """
    import sys
    import gitml

    with gitml.start_run():
        gitml.log_metric("loss", (float(sys.argv[1]) - 2) ** 2)
    """


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The job server of a cluster."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'gitml[ray]'")
    with cluster() as found:
        yield found


@pytest.fixture
def demo(address: str, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, committed, and the cluster that commands mean."""
    monkeypatch.setenv("RAY_ADDRESS", address)
    files = {"train.py": TRAIN, "argue.py": ARGUE, "wait.py": WAIT, "tune.py": TUNE}
    projects.write(repo, {"MLproject": PROJECT, **files, "data.csv": "a\n1\n"})
    projects.write(repo, {".gitignore": ".env\n", ".env": "PASSWORD=hidden"})
    git("add", ".")
    git("commit", "--quiet", "--message", "A project")
    return repo


def run(entry_point: str, **more: Any) -> public.SubmittedRun:
    """Run an entry point on the cluster."""
    return public.run(".", entry_point, backend="ray", **more)


def until(is_so: Callable[[], Any], seconds: float = 120) -> Any:
    """Wait until something is so, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def are_well_under_way(folder: Path) -> bool:
    """Whether each worker knows of more points than the one that dies will have."""
    noted = acknowledged(folder)
    return len(noted) == WORKERS and min(map(len, noted.values())) > 40


def acknowledged(folder: Path) -> dict[int, list[int]]:
    """The steps that each worker knows to be logged."""
    return {
        number: [int(line) for line in (folder / str(number)).read_text().split()]
        for number in range(WORKERS)
        if (folder / str(number)).exists()
    }


def logged(place: Place, run_id: str) -> dict[int, list[int]]:
    """The steps that a run has of each worker, in order."""
    found = {}
    for number in range(WORKERS):
        rows = store.history(place, run_id, f"loss/{number}")
        found[number] = sorted(step for _, step, _, _ in rows)
    return found


def check_points(place: Place, run_id: str, noted: dict[int, list[int]]) -> None:
    """What was acknowledged is there, once, and at most one point more of each worker."""
    found = logged(place, run_id)
    for number, steps in noted.items():
        assert found[number][: len(steps)] == steps
        assert len(found[number]) <= len(steps) + 1


def test_the_workers_of_a_job_record_one_run_also_one_that_is_killed(
    demo: Path, clone: Place, tmp_path: Path, spool_bucket: Spool
) -> None:
    """Several processes write one run, each acknowledged point is in it, and its curve is seen.

    All goes through a bucket, in which nothing is left then, and no credential is recorded.
    """
    folder = tmp_path / "acknowledged"
    folder.mkdir()
    variables = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    config = {"spool": str(spool_bucket), "runtime_env": {"env_vars": variables}}
    values = {"acknowledged": str(folder), "kill": 2, "workers": WORKERS}
    submitted = run("main", parameters=values, synchronous=False, backend_config=config)
    until(lambda: points(clone, "loss/1"))
    until(lambda: are_well_under_way(folder))
    (folder / "stop").touch()
    assert submitted.wait()
    noted = acknowledged(folder)
    assert len(noted[2]) == 41
    (record,) = projects.runs(demo)
    assert (record.run_id, record.status) == (submitted.run_id, "FINISHED")
    assert record.live_tags["died/2"] == "yes"
    assert record.live_tags["mlflow.project.backend"] == "ray"
    assert record.params["workers"] == WORKERS
    check_points(clone, record.run_id, noted)
    assert list((clone.home / "ray").iterdir()) == []
    assert spool_bucket.url is not None
    assert Bucket(spool_bucket.url).list("") == {}
    assert str(spool_bucket) in " ".join(record.source.command)
    assert variables["AWS_SECRET_ACCESS_KEY"] not in " ".join(record.source.command)


def test_a_client_that_is_killed_loses_nothing(demo: Path, clone: Place, tmp_path: Path) -> None:
    """The job goes on, and what it records is collected later: one run, however often."""
    folder = tmp_path / "acknowledged"
    folder.mkdir()
    options = ("-P", f"acknowledged={folder}", "-P", "kill=1", "-P", f"workers={WORKERS}")
    argv = projects.command("run", ".", "--backend", "ray", *options)
    client = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: len(acknowledged(folder)) == WORKERS)
    finally:
        client.kill()
        client.wait()
    (home,) = (path for path in (clone.home / "ray").iterdir() if path.is_dir())
    until(lambda: are_well_under_way(folder))
    assert (
        projects.gitml("runs", "list").stderr == b""
    )  # the run goes on, and is not taken for dead
    assert points(clone, "loss/0")
    (folder / "stop").touch()
    until(lambda: is_recorded(clone, Spool(home / "spool")))
    noted = acknowledged(folder)
    for _ in range(2):
        assert is_recorded(clone, Spool(home / "spool"))
        (record,) = projects.runs(demo)
        assert (record.run_id, record.status) == (home.name, "FINISHED")
        check_points(clone, home.name, noted)
    projects.gitml("runs", "list")
    assert list((clone.home / "ray").iterdir()) == []  # what was left is tidied up
    assert [one.run_id for one in projects.runs(demo)] == [home.name]


def is_recorded(clone: Place, spool: Spool) -> bool:
    """Whether all of a spool is over, and in the repository."""
    words = {one.word for one in collect(clone, spool)}
    assert collecting.PROBLEM not in words
    return words == {collecting.KNOWN}


def test_a_parameter_is_one_argument_whatever_it_is(demo: Path, tmp_path: Path) -> None:
    """No shell reads a value, also not Ray's, and data that a parameter names goes along."""
    (tmp_path / "other table.csv").write_text("b\n2\n")
    values = {"note": NOTE, "table": str(tmp_path / "other table.csv")}
    run("argue", parameters=values, run_name="one")
    (record,) = projects.runs(demo)
    assert (record.params["argument"], record.params["content"]) == (NOTE, "b\n2\n")
    told = json.loads(projects.texts(demo, record)["files.json"])
    tracked = {".gitignore", "MLproject", "argue.py", "data.csv", "train.py", "tune.py", "wait.py"}
    assert set(told["files"]) == {*tracked, ".gitml-data"}
    assert not list(demo.rglob("evil"))


def test_an_entry_point_that_fails_is_a_run_that_failed(demo: Path) -> None:
    """The exit code comes from the job, and all that it said is kept, also what is no text."""
    with pytest.raises(EntryPointError, match="fail ended with exit code 3"):
        run("fail")
    (record,) = projects.runs(demo)
    assert (record.status, record.live_tags["gitml.exit_code"]) == ("FAILED", "3")
    assert (
        projects.texts(demo, record)["logs/output.txt"]
        == "so far\n\N{REPLACEMENT CHARACTER} is no text\n"
    )


def test_a_job_that_takes_too_long_is_stopped(demo: Path) -> None:
    """After the timeout nothing of it runs any more."""
    with pytest.raises(EntryPointError, match="it took longer than 5 s"):
        run("wait", timeout=5)
    (record,) = projects.runs(demo)
    assert record.status == "KILLED"
    assert not marked(record.run_id)


def test_ctrl_c_ends_the_job(demo: Path, clone: Place) -> None:
    """Who stops the command stops the job; its run is killed, and has what was logged."""
    argv = projects.command("run", ".", "-e", "wait", "-b", "ray")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        try:
            until(lambda: points(clone, "step"))
            client.send_signal(signal.SIGINT)
            said = client.communicate(timeout=120)[0].decode()
        finally:
            client.kill()
    assert client.returncode == 130, said
    (record,) = projects.runs(demo)
    assert (record.status, record.reason) == ("KILLED", "wait: it was stopped by Ctrl-C")
    assert not marked(record.run_id)


def points(place: Place, name: str) -> int:
    """How many points of a metric are there of the run that goes on."""
    found = [
        one.metrics[name].count for one in recording.live_records(place) if name in one.metrics
    ]
    return sum(found)


def marked(run_id: str) -> list[int]:
    """The processes of a run, by their environment."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "wait.py" in one.cmdline() and one.environ().get("GITML_PARENT_RUN_ID") == run_id:
                found.append(one.pid)
    return found


def test_a_sweep_has_its_runs_as_jobs(demo: Path) -> None:
    """Optuna says what is run, and Ray where; each run is a job."""
    found = public.sweep(
        ".", {"x": [1, 2]}, "loss", "minimize", entry_point="tune", parallel=2, backend="ray"
    )
    assert (found.best_value, dict(found.best_params)) == (0, {"x": "2"})
    assert "--backend ray" in found.command
    records = projects.runs(demo)
    assert {one.status for one in records} == {"FINISHED"}
    assert sum(one.parent_run == found.run_id for one in records) == 2
