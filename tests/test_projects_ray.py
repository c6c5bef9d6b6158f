"""Projects as jobs of a real Ray cluster on this machine; without Ray most of these are skipped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
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
from tests.lines import line_to
from tests.pages import examples
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
      talk: {parameters: {go: string}, command: "python talk.py {go}"}
      tune:
        parameters: {x: float, hold: {type: string, default: no}}
        command: "python tune.py {x} {hold}"
    """
# Workers that log points, and note each in a file of their own once it is acknowledged.
TRAIN = """
    import os, signal, sys, time
    import gitml, ray

    folder, kill = sys.argv[1], int(sys.argv[2])

    @ray.remote(num_cpus=0.5, max_retries=0)
    def work(number):
        job = os.environ["GITML_PARENT_RUN_ID"]
        with gitml.start_run(run_id=job), open(f"{folder}/{number}", "w", buffering=1) as noted:
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
TALK = """
    import os, sys, time

    for number in range(200):
        print("line", number, flush=True)
        while number == 100 and not os.path.exists(sys.argv[1]):
            time.sleep(0.1)
    """
# The first that finds the file `hold` takes it away, and waits for ever.
TUNE = """
    import os, sys, time
    import gitml

    with gitml.start_run():
        gitml.log_metric("loss", (float(sys.argv[1]) - 2) ** 2)
        if os.path.exists(sys.argv[2]):
            os.remove(sys.argv[2])
            time.sleep(3600)
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
    files = {
        "train.py": TRAIN,
        "argue.py": ARGUE,
        "wait.py": WAIT,
        "tune.py": TUNE,
        "talk.py": TALK,
    }
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


def test_the_example_of_the_page_runs(demo: Path, clone: Place) -> None:
    """Workers join the run as often as they like, also several times in one process."""
    page = Path(__file__).resolve().parent.parent / "docs" / "ray.md"
    for example in examples(page.read_text(encoding="utf-8")):
        if name := example.options.get("title"):
            (demo / name).write_text(example.text, encoding="utf-8")
    run("main", parameters={"rounds": 5}, backend_config={"entrypoint_num_cpus": 3})
    (record,) = projects.runs(demo)
    assert record.metrics["loss"].last == 1 / 6
    for worker in range(2):  # on the one CPU that is left
        assert len(store.history(clone, record.run_id, f"loss/{worker}")) == 5


def test_a_parameter_is_one_argument_whatever_it_is(demo: Path, git: Git, tmp_path: Path) -> None:
    """No shell reads a value, also not Ray's, and data that a parameter names goes along."""
    (tmp_path / "other table.csv").write_text("b\n2\n")
    values = {"note": NOTE, "table": str(tmp_path / "other table.csv")}
    run("argue", parameters=values, run_name="one")
    (record,) = projects.runs(demo)
    assert (record.params["argument"], record.params["content"]) == (NOTE, "b\n2\n")
    told = json.loads(projects.texts(demo, record)["files.json"])
    tracked = git("ls-files").split()
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
    """After the timeout nothing of it runs any more; the time begins when it was sent."""
    with pytest.raises(EntryPointError, match="wait: it took longer than 5 s"):
        run("wait", timeout=5)
    (record,) = projects.runs(demo)
    assert record.status == "KILLED"
    assert not marked(record.run_id)


def test_a_job_is_stopped_once_the_cluster_is_back(demo: Path, clone: Place, address: str) -> None:
    """Who cancels a run while the line is cut need not do it again."""
    with line_to(address) as line:
        submitted = run("wait", backend_config={"address": line.address}, synchronous=False)
        until(lambda: points(clone, "step"))
        line.cut()
        threading.Timer(3, line.mend).start()
        submitted.cancel("it is of no use")
    (record,) = projects.runs(demo)
    assert (record.status, record.reason) == ("KILLED", "wait: it is of no use")
    assert record.metrics["step"].count > 0
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


def marked(run_id: str, script: str = "wait.py") -> list[int]:
    """The processes of a run that execute a script."""
    return [one.pid for one in processes(run_id) if script in one.cmdline()]


def processes(run_id: str) -> Iterator[psutil.Process]:
    """The processes of a run, by their environment."""
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if one.environ().get("GITML_PARENT_RUN_ID") == run_id:
                yield one


def test_a_sweep_that_was_killed_goes_on_without_its_old_jobs(
    demo: Path, clone: Place, tmp_path: Path
) -> None:
    """Each run is a job; one that was left running is ended before its trial is run again."""
    hold = tmp_path / "hold"
    hold.touch()
    space = ("-P", "x=1,2", "-P", f"hold={hold}", "--metric", "loss", "--goal", "minimize")
    argv = projects.command("sweep", ".", "-e", "tune", *space, "--backend", "ray")
    client = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: not hold.exists() and points(clone, "loss"))
    finally:
        client.kill()
        client.wait()
    going = {one.run_id: one.parent_run for one in recording.live_records(clone)}
    (left,) = (run_id for run_id, parent in going.items() if parent)
    found = public.resume_sweep(going[left] or "", parallel=2)
    assert (found.best_value, len(found.board.trials)) == (0, 2)
    assert "--backend ray" in found.command
    assert not marked(left, "tune.py")
    statuses = sorted(one.status for one in projects.runs(demo))
    assert statuses == ["FINISHED", "FINISHED", "FINISHED", "KILLED"]


def test_a_line_that_is_cut_is_taken_up_again(demo: Path, address: str, tmp_path: Path) -> None:
    """The job goes on meanwhile, and each line that it says is passed on once."""
    go = tmp_path / "go"
    with line_to(address) as line:
        config = {"address": line.address}
        submitted = run(
            "talk", parameters={"go": str(go)}, backend_config=config, synchronous=False
        )
        until(lambda: submitted.last_lines(1) == ["line 100"])
        line.cut()
        go.touch()
        time.sleep(2)
        line.mend()
        assert submitted.wait()
    (record,) = projects.runs(demo)
    said = projects.texts(demo, record)["logs/output.txt"].splitlines()
    assert said == [f"line {number}" for number in range(200)]


def test_a_job_that_ray_loses_is_a_run_that_was_killed(demo: Path, clone: Place) -> None:
    """Ray's own process for the job dies, as with a node: what was logged is there, and the why."""
    submitted = run("wait", synchronous=False)
    until(lambda: points(clone, "step"))
    for one in processes(submitted.run_id):
        if any("JobSupervisor" in word for word in one.cmdline()):
            one.kill()
    assert not submitted.wait()
    (record,) = projects.runs(demo)
    assert record.status == "KILLED"
    assert "its job came to no end: " in (record.reason or "")
    assert record.metrics["step"].count > 0
    until(lambda: not marked(submitted.run_id))
