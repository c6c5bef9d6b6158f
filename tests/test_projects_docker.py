"""Projects in containers of a real engine; without one most of these are skipped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gitml import git
from gitml import projects as public
from gitml.projects import EntryPointError
from gitml.tracking import recording
from gitml.tracking.place import place_of
from gitml.tracking.record import RunRecord
from tests import containers, projects
from tests.conftest import Git

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the images are Linux's"),
    pytest.mark.slow,
]

NOTE = "a 'b' \"c\" $(id) `id` {x} \\ *\nand more"
PROJECT = """
    name: demo
    docker_env:
      image: python:3.11-slim
      environment: [["COLOR", "red; rm -rf /"], API_TOKEN]
    entry_points:
      main:
        parameters: {note: string, epochs: {type: int, default: 2}}
        command: "python train.py '{note}' {epochs}"
      read:
        parameters: {table: {type: path, default: data.csv}}
        command: "wc -l {table} && cat {table} && ! touch {table}"
      fail: {command: "echo so far; exit 3"}
      wait: {command: "python wait.py"}
      eat: {command: "python -c 'x = bytearray(10**9)'"}
      plain: {command: "echo $0; touch new; ls -A; id -u"}
    """
TRAIN = """
    import os, sys
    import gitml

    with gitml.start_run():
        gitml.log_params({"note": sys.argv[1], "color": os.environ["COLOR"]})
        for epoch in range(int(sys.argv[2])):
            gitml.log_metric("loss", 1 / (epoch + 1), step=epoch)
        gitml.log_text("trained", "notes.txt")
        with gitml.start_run(nested=True, run_name="inner"):
            gitml.log_metric("loss", 1)
    open("out.bin", "w").write("something of one's own")
    print("the token is", os.environ["API_TOKEN"], flush=True)
    """
WAIT = """
    import time
    import gitml

    with gitml.start_run():
        for step in range(10_000):
            gitml.log_metric("step", step, step=step)
            try:
                time.sleep(0.05)
            except KeyboardInterrupt:
                print("tidied up", flush=True)
                raise
    """


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """The engine that answers; images that were built for these tests go with them."""
    found = containers.engine_or_skip()
    with containers.tidied():
        yield found


@pytest.fixture
def demo(engine: str, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that names an image, committed, and what it takes from its caller."""
    monkeypatch.setenv("API_TOKEN", "s3cr3t-of-the-host")
    projects.write(repo, {"MLproject": PROJECT, "train.py": TRAIN, "wait.py": WAIT})
    projects.write(repo, {".gitignore": ".env\n", ".env": "PASSWORD=hidden"})
    git("add", ".")
    git("commit", "--quiet", "--message", "A project")
    return repo


def started(*args: Any) -> subprocess.Popen[bytes]:
    """`gitml run` in a process of its own, as a terminal starts it."""
    argv = projects.command("run", ".", "-A", "network=host", *args)
    return subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def until(is_so: Callable[[], object], seconds: float = 120) -> None:
    """Wait for something that comes; the test fails when it does not."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def going(folder: Path) -> RunRecord | None:
    """The run that goes on, as the repository knows it; None before it has begun."""
    place = place_of(git.find(folder), folder)
    return next(iter(recording.live_records(place)), None)


def points(folder: Path) -> int:
    """How many points of the metric `step` the repository has of the run that goes on."""
    run = going(folder)
    return run.metrics["step"].count if run is not None and "step" in run.metrics else 0


def check_nothing_is_left(folder: Path, run: RunRecord) -> None:
    """No container, no spool, and the user's folder as it was."""
    assert containers.of_run(run.run_id) == []
    left = folder / ".git" / "gitml" / "containers"
    assert list(left.iterdir()) == []
    done = subprocess.run(["git", "status", "--short"], cwd=folder, capture_output=True, check=True)
    assert done.stdout == b""


# -- running -------------------------------------------------------------------------------


def test_a_project_that_names_an_image_runs_in_it(demo: Path, git: Git) -> None:
    """It records from inside as it would here; its arguments arrive as they are."""
    done = projects.gitml("run", ".", "-P", f"note={NOTE}", "-A", "network=host")
    assert done.stdout == b"the token is s3cr3t-of-the-host\n"
    run, inner = projects.runs(demo)
    assert (run.status, run.params["note"], run.params["epochs"]) == ("FINISHED", NOTE, 2)
    assert run.params["color"] == "red; rm -rf /"
    assert run.metrics["loss"].count == 2
    assert (inner.name, inner.parent_run, inner.status) == ("inner", run.run_id, "FINISHED")
    assert run.code.commit == inner.code.commit == git("rev-parse", "HEAD")
    assert run.code.dirty is inner.code.dirty is False
    assert run.tags["mlflow.project.env"] == "docker"
    assert run.tags["mlflow.docker.image.uri"] == "python:3.11-slim"
    assert run.environment.python.startswith("3.11.")
    found = projects.texts(demo, run)
    assert found["notes.txt"] == "trained"
    assert "gitml==" in found["requirements.txt"]
    assert not any(line.startswith("dvc") for line in found["requirements.txt"].splitlines())
    assert "s3cr3t" not in found["logs/output.txt"]
    assert "s3cr3t" not in "".join(found.values())
    assert not (demo / "out.bin").exists()
    check_nothing_is_left(demo, run)
    image = run.tags["mlflow.docker.image.id"]
    assert "s3cr3t" not in containers.ask("history", "--no-trunc", image)
    assert "s3cr3t" not in str(containers.described(image))


def test_a_container_has_what_git_does_not_ignore(demo: Path) -> None:
    """Changes that are not committed too; nothing of the repository, and no ignored secret."""
    (demo / "data.csv").write_text("a\n1\n")
    (demo / "wait.py").unlink()
    done = projects.gitml("run", ".", "-e", "plain", "-A", "network=host")
    shell, *names, user = done.stdout.decode().split()
    assert shell == "bash"
    assert names == [".gitignore", "MLproject", "data.csv", "new", "train.py"]
    assert user == str(os.getuid())
    assert not (demo / "new").exists()


def test_a_path_is_there_to_be_read(demo: Path, tmp_path: Path) -> None:
    """A parameter's file or folder is in the container, which can't change it."""
    table = tmp_path / "odd, 'name'=x"
    table.write_text("a\n1\n2\n")
    done = projects.gitml("run", ".", "-e", "read", "-P", f"table={table}", "-A", "network=host")
    assert done.stdout.decode().split()[0] == "3"
    assert table.read_text() == "a\n1\n2\n"
    (run,) = projects.runs(demo)
    assert run.params["table"] == str(table)


def test_what_runs_is_seen_from_the_repository(demo: Path) -> None:
    """Its curve grows while it runs; cancelled, it is KILLED with all that it logged."""
    submitted = public.run(".", "wait", docker_args=containers.HOST, synchronous=False)
    until(lambda: points(demo) > 0)
    before = points(demo)
    until(lambda: points(demo) > before)
    run = going(demo)
    assert run is not None
    assert run.status == "RUNNING"
    submitted.cancel()
    (run,) = projects.runs(demo)
    assert (run.status, run.reason) == ("KILLED", "wait: it was cancelled")
    assert run.metrics["step"].count >= before
    check_nothing_is_left(demo, run)


# -- ends ----------------------------------------------------------------------------------


def test_an_exit_code_is_the_status(demo: Path) -> None:
    """As of every project: what failed is FAILED, and its output is kept."""
    done = projects.gitml("run", ".", "-e", "fail", "-A", "network=host", code=1)
    assert b"fail ended with exit code 3" in done.stderr
    (run,) = projects.runs(demo)
    assert (run.status, run.tags["gitml.exit_code"]) == ("FAILED", "3")
    assert projects.texts(demo, run)["logs/output.txt"] == "so far\n"


def test_ctrl_c_reaches_the_script(demo: Path) -> None:
    """It may tidy up, and its run is KILLED."""
    running = started("-e", "wait")
    until(lambda: points(demo) > 0)
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=120)
    assert b"tidied up" in out
    assert running.returncode == 130
    (run,) = projects.runs(demo)
    assert (run.status, run.reason) == ("KILLED", "wait: it was stopped by Ctrl-C")
    check_nothing_is_left(demo, run)


def test_what_takes_too_long_is_stopped(demo: Path) -> None:
    """The container goes with it."""
    with pytest.raises(EntryPointError, match="it took longer than 3 s"):
        public.run(".", "wait", docker_args=containers.HOST, timeout=3)
    (run,) = projects.runs(demo)
    assert run.status == "KILLED"
    check_nothing_is_left(demo, run)


def test_a_container_whose_client_was_killed_is_ended_by_the_next_command(demo: Path) -> None:
    """Also by one that only lists; what it had logged by then is recorded."""
    running = started("-e", "wait")
    until(lambda: points(demo) > 0)
    alive, seen = going(demo), points(demo)
    assert alive is not None
    running.kill()
    running.communicate()
    assert len(containers.of_run(alive.run_id)) == 1
    time.sleep(3)
    projects.gitml("runs", "list")
    (run,) = projects.runs(demo)
    assert run.status == "KILLED"
    assert run.metrics["step"].count > seen + 20
    check_nothing_is_left(demo, run)


def test_memory_that_runs_out_is_said(demo: Path) -> None:
    """Of a limit that the container has."""
    with pytest.raises(EntryPointError, match=r"^eat ran out of memory \(eat ended with exit code"):
        public.run(".", "eat", docker_args={**containers.HOST, "memory": "64m"})
    (run,) = projects.runs(demo)
    assert run.status == "KILLED"


# -- users ---------------------------------------------------------------------------------


def give(folder: Path, user: int) -> None:
    """Make a folder with all in it a user's."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)


@pytest.mark.skipif(not shutil.which("setpriv") or os.geteuid() != 0, reason="needs root")
def test_no_file_of_root_appears(demo: Path, tmp_path: Path) -> None:
    """A user whose engine has all rights has his own files all the same."""
    user, place = 4321, tmp_path / "engine.sock"
    give(tmp_path, user)
    for path in tmp_path.parents:
        if path.name.startswith(("pytest-", "popen-")):
            path.chmod(0o711)
    env = {**os.environ, "DOCKER_HOST": f"unix://{place}", "HOME": str(tmp_path / "home")}
    env |= {f"XDG_{name}_HOME": str(tmp_path / name) for name in ("CACHE", "STATE", "CONFIG")}
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    become += [
        f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")
    ]  # for root's Python
    with containers.relayed(place):
        argv = projects.command("run", ".", "-P", "note=x", "-A", "network=host")
        done = subprocess.run([*become, *argv], env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    owners = {path: path.lstat().st_uid for path in tmp_path.rglob("*") if path != place}
    assert {path: owner for path, owner in owners.items() if owner != user} == {}
    give(tmp_path, 0)  # who may read it by git's rules
    run, inner = projects.runs(demo)
    assert run.metrics["loss"].count == 2
    assert inner.status == "FINISHED"
