"""Projects in containers of a real engine; without one most of these are skipped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gitml import git
from gitml import projects as public
from gitml.containers import EngineError
from gitml.environments import BuildError
from gitml.errors import UsageError
from gitml.projects import EntryPointError, image
from gitml.projects.mlproject import Project
from gitml.tracking import journal, recording
from gitml.tracking.place import place_of
from gitml.tracking.record import RunRecord
from gitml.tracking.spool import spool_of
from gitml.version import __version__
from tests import containers, projects
from tests.conftest import Git, new_repository

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
    assert list((folder / ".git" / "gitml").glob("spools/*")) == []
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


def test_the_processes_of_a_container_write_one_run(demo: Path) -> None:
    """Ranks join it; of one that is killed every point counts, and nobody waits for it."""
    projects.write(demo, {"ranks.py": RANKS})
    done = projects.gitml("run", ".", "-e", "ranks.py", "-A", "network=host")
    assert done.stdout == b"[0, 0, -9]\n"
    (run,) = projects.runs(demo)
    assert run.status == "FINISHED"
    counts = [run.metrics[f"loss/{rank}"].count for rank in range(3)]
    assert counts == [50, 50, 21]
    assert going(demo) is None


def test_a_step_is_not_started_from_inside(demo: Path) -> None:
    """One line says where from."""
    script = "from gitml import projects\nprojects.run('.', 'plain')\n"
    projects.write(demo, {"step.py": script})
    done = projects.gitml("run", ".", "-e", "step.py", "-A", "network=host", code=1)
    assert b"can't start another project's run" in done.stderr


RANKS = """
    import os, signal, subprocess, sys

    if "RANK" in os.environ:
        import gitml

        rank = int(os.environ["RANK"])
        with gitml.start_run():
            for step in range(50):
                gitml.log_metric(f"loss/{rank}", step, step=step)
                if (rank, step) == (2, 20):
                    os.kill(os.getpid(), signal.SIGKILL)
    else:
        ranks = [
            subprocess.Popen([sys.executable, __file__], env={**os.environ, "RANK": str(rank)})
            for rank in range(3)
        ]
        print([process.wait() for process in ranks])
    """

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


def test_an_engine_that_goes_away_keeps_nothing_from_being_recorded(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run fails, and says why; with the engine back, the next command ends its container."""
    with containers.relayed(tmp_path / "engine.sock") as cut:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
        running = started("-e", "wait")
        until(lambda: points(demo) > 0)
        cut()
        _, said = running.communicate(timeout=120)
    monkeypatch.undo()
    os.chdir(demo)
    assert b"wait: the engine does not answer any more" in said
    (run,) = projects.runs(demo)
    assert run.status == "FAILED"
    assert len(containers.of_run(run.run_id)) == 1
    before = run.metrics["step"].count
    projects.gitml("runs", "list", cwd=demo)
    (run,) = projects.runs(demo)
    assert run.status == "FAILED"
    assert run.metrics["step"].count > before
    check_nothing_is_left(demo, run)


def test_memory_that_runs_out_is_said(demo: Path) -> None:
    """Of a limit that the container has."""
    with pytest.raises(EntryPointError, match=r"^eat ran out of memory \(eat ended with exit code"):
        public.run(".", "eat", docker_args={**containers.HOST, "memory": "64m"})
    (run,) = projects.runs(demo)
    assert run.status == "KILLED"


EVIL = """
    entry_points:
      main: {command: "mkdir -p $HERE && cp evil $HERE/x-1-aaaaaaaa.jsonl"}
      link: {command: "ln -s $ELSEWHERE/live $GITML_SPOOL/live"}
    docker_env:
      image: python:3.11-slim
      environment: [ELSEWHERE]
      volumes: ["/:/host:ro"]
    """


def test_what_no_script_could_have_logged_is_not_recorded(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept apart, and said; the run is recorded without it."""
    monkeypatch.setenv("ELSEWHERE", str(tmp_path))
    projects.write(demo, {"MLproject": EVIL.replace("$HERE", "$GITML_SPOOL/live/$GITML_RUN_ID")})
    (demo / "evil").write_bytes(journal.line_of({"begin": {"schema": 99, "kind": "start"}}))
    done = projects.gitml("run", ".", "--skip-image-build")
    (run,) = projects.runs(demo)
    assert run.status == "FINISHED"
    assert b"what was recorded elsewhere of run" in done.stderr
    kept = demo / ".git" / "gitml" / "containers" / f"refused-{run.run_id}" / "spool"
    assert f"tried again: gitml collect {kept}".encode() in done.stderr
    again = projects.gitml("collect", kept, code=3)
    assert b"what is in its first line is not gitml's" in again.stderr


def test_a_link_in_the_spool_is_not_followed(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs of another repository are neither read nor taken away."""
    other = spool_of(str(tmp_path / "other"))
    run_id = "01a21706635370a6b637784afc5eb196"
    (other.home / "live" / run_id).mkdir(parents=True)
    (other.home / "live" / run_id / "x-1-aaaaaaaa.jsonl").write_bytes(b"{}")
    monkeypatch.setenv("ELSEWHERE", str(other.home))
    projects.write(demo, {"MLproject": EVIL})
    done = projects.gitml("run", ".", "-e", "link", "--skip-image-build")
    assert b"can't be collected" not in done.stderr
    assert len(projects.runs(demo)) == 1
    assert (other.home / "live" / run_id / "x-1-aaaaaaaa.jsonl").exists()


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


# -- images --------------------------------------------------------------------------------


def test_an_image_is_made_of_an_environment(engine: str, repo: Path) -> None:
    """A project of no image runs in one of its lock; it is made once, and gitml is in it."""
    projects.write(repo, {"requirements.txt": "six==1.16.0\n", "show.py": SHOW})
    arguments = ("run", ".", "-e", "show.py", "--backend", "docker", "-A", "network=host")
    first = projects.gitml(*arguments)
    second = projects.gitml(*arguments)
    assert b"Building the image gitml-env:" in first.stderr
    assert b"Building" not in second.stderr
    one, other = projects.runs(repo)
    assert one.params == other.params
    assert one.params["six"] == "1.16.0"
    assert one.params["gitml"].startswith(__version__)
    assert one.tags["mlflow.project.backend"] == "docker"
    assert one.tags["mlflow.docker.image.id"] == other.tags["mlflow.docker.image.id"]
    lines = projects.texts(repo, one)["requirements.txt"].splitlines()
    assert "six==1.16.0" in lines
    assert "--backend docker -A network=host" in " ".join(one.source.command)


def test_a_password_does_not_get_into_an_image(engine: str, repo: Path) -> None:
    """Of an index that a project names; one line says so, and does not show it."""
    lines = "--extra-index-url https://ada:pa55word@packages.example/simple\nsix\n"
    projects.write(repo, {"requirements.txt": lines, "show.py": SHOW})
    done = projects.gitml("run", ".", "-e", "show.py", "--backend", "docker", code=2)
    assert b"holds a password, which would be readable in the image" in done.stderr
    assert b"pa55word" not in done.stderr
    assert projects.runs(repo) == []


SHOW = """
    import importlib.metadata
    import gitml, six

    with gitml.start_run():
        gitml.log_params({"six": six.__version__, "gitml": importlib.metadata.version("gitml")})
    """
DOCKERFILE = """
    FROM python:3.11-slim
    COPY . /seen
    RUN echo built > /built
    ENTRYPOINT ["env", "ENTERED=entered"]
    """
NAMED = """
    docker_env: {image: gitml-test-no-such-image}
    entry_points:
      main: {command: "echo $ENTERED; cat /built; ls -A /seen"}
    """


def test_an_image_is_built_from_the_dockerfile_of_the_project(demo: Path) -> None:
    """When it is not there; under a name of gitml's own, without what git ignores."""
    own = f"{DOCKERFILE}\n    # {uuid.uuid4()}\n"
    projects.write(demo, {"Dockerfile": own, "MLproject": NAMED})
    first = projects.gitml("run", ".", "--skip-image-build", code=3)
    assert b"image 'gitml-test-no-such-image' is not here, and can't be pulled" in first.stderr
    done = projects.gitml("run", ".", "-A", "network=host")
    words = ["entered", "built", ".gitignore", "Dockerfile", "MLproject"]
    assert done.stdout.decode().split()[:5] == words
    assert b".env" not in done.stdout
    assert b"Building the image gitml-project:" in done.stderr
    (run,) = projects.runs(demo)
    assert run.tags["mlflow.docker.image.uri"] == "gitml-test-no-such-image"
    assert b"Building" not in projects.gitml("run", ".", "-A", "network=host").stderr
    again = projects.gitml("run", ".", "-A", "network=host", "--build-image")
    assert b"Building the image gitml-project:" in again.stderr
    assert "gitml-test-no-such-image" not in containers.ask("images")
    (name,) = re.findall(r"Building the image (gitml-project:\w+)", again.stderr.decode())
    assert containers.described(name)["Config"]["Labels"]["gitml.project"] == "1"


def test_an_image_that_several_need_is_built_once(demo: Path) -> None:
    """The others wait for it; their runs go on side by side."""
    own = f"{DOCKERFILE}\n    # {uuid.uuid4()}\n"
    projects.write(demo, {"Dockerfile": own, "MLproject": NAMED})
    running = [started() for _ in range(3)]
    said = [one.communicate(timeout=250)[1] for one in running]
    assert [one.returncode for one in running] == [0, 0, 0], said
    built = re.findall(rb"Building the image (\S+)", b"".join(said))
    assert len(built) == len(set(built)) == 2
    assert [run.status for run in projects.runs(demo)] == ["FINISHED"] * 3


def test_an_image_runs_as_it_is(demo: Path) -> None:
    """Without gitml in it, what the program says and how it ends is recorded all the same."""
    done = projects.gitml("run", ".", "-e", "plain", "--skip-image-build")
    assert done.stdout.decode().split()[0] == "bash"
    (run,) = projects.runs(demo)
    assert run.status == "FINISHED"
    assert "gitml" not in projects.texts(demo, run)["requirements.txt"]


def test_what_can_not_be_had_starts_no_run(demo: Path) -> None:
    """An image that is nowhere, a Dockerfile that fails, options that the engine does not know."""
    projects.write(demo, {"MLproject": NAMED})
    with pytest.raises(BuildError, match="is not here, and can't be pulled"):
        public.run(".")
    projects.write(demo, {"Dockerfile": "FROM python:3.11-slim\nRUN exit 7\n"})
    with pytest.raises(BuildError, match="could not build gitml-project:"):
        public.run(".", docker_args=containers.HOST)
    with pytest.raises(UsageError, match="give one of them"):
        public.run(".", build_image=True, skip_image_build=True)
    assert projects.runs(demo) == []


def test_an_option_that_the_engine_does_not_know_fails_the_run(demo: Path) -> None:
    """In the engine's words; nothing is left of it."""
    with pytest.raises(EngineError, match="unknown flag: --no-such-option"):
        public.run(".", "plain", docker_args={**containers.HOST, "no-such-option": "1"})
    (run,) = projects.runs(demo)
    assert run.status == "FAILED"
    check_nothing_is_left(demo, run)


def test_the_example(engine: str, repo: Path) -> None:
    """Its image is built, and the line that it fits is kept."""
    shutil.copytree(Path(__file__).parent.parent / "examples" / "docker", repo / "line")
    done = projects.gitml("run", "line", "-P", "epochs=30", "-A", "network=host")
    assert done.stdout.startswith(b"y = ")
    (run,) = projects.runs(repo)
    assert run.metrics["loss"].count == 30
    assert run.metrics["loss"].last < 0.5
    assert len(projects.texts(repo, run)["line.txt"].split()) == 2
    assert "numpy" in projects.texts(repo, run)["requirements.txt"]


# -- again ---------------------------------------------------------------------------------


def test_a_run_in_a_container_is_reproduced_in_the_same_image(demo: Path, git: Git) -> None:
    """From its commit, with the same options, though the folder has changed since."""
    given = ("-P", f"note={NOTE}", "-A", "env=EXTRA=1")
    projects.gitml("run", ".", "-A", "network=host", *given)
    (demo / "train.py").write_text("raise SystemExit('broken')\n")
    done = projects.gitml("runs", "reproduce", projects.runs(demo)[0].run_id, "--format", "json")
    told = json.loads(done.stdout)
    assert told["reproduced"] is True
    assert (told["environment"]["verdict"], told["code"]["verdict"]) == ("same", "same")
    first, again = (run for run in projects.runs(demo) if "gitml.exit_code" in run.tags)
    assert again.tags["gitml.reproduces"] == first.run_id
    assert again.tags["mlflow.docker.image.id"] == first.tags["mlflow.docker.image.id"]
    assert again.params["note"] == NOTE
    assert again.source.command == first.source.command
    git("checkout", "--quiet", ".")
    check_nothing_is_left(demo, again)


def test_the_image_of_then_is_not_that_of_the_same_name_now(demo: Path) -> None:
    """With `--env current` it is the one that the name has now."""
    name, id = f"gitml-test-{uuid.uuid4().hex}", "{{.Id}}"
    projects.write(demo, {"MLproject": NAMED.replace("gitml-test-no-such-image", name)})
    projects.write(demo, {"MLproject": (demo / "MLproject").read_text().split("; cat")[0] + '"}'})
    made = []
    for version in ("1", "2"):
        projects.write(
            demo / version, {"Dockerfile": f"FROM python:3.11-slim\nLABEL v={version}\n"}
        )
        containers.ask("build", "--quiet", "--label=gitml.project", "-t", name, str(demo / version))
        made.append(containers.ask("image", "inspect", "--format", id, name))
        if version == "1":
            projects.gitml("run", ".", "--skip-image-build")
    run = projects.runs(demo)[0]
    projects.gitml("runs", "reproduce", run.run_id)
    projects.gitml("runs", "reproduce", run.run_id, "--env", "current")
    ids = [one.tags["mlflow.docker.image.id"] for one in projects.runs(demo)]
    assert ids == [made[0], made[0], made[1]]
    assert made[0] != made[1]


def test_an_image_that_is_gone_is_told(engine: str, tmp_path: Path) -> None:
    """Another one is not taken in its place; nor is something else that a record calls an id."""
    for id in (f"sha256:{'0' * 64}", "python:3.11-slim", "--help"):
        with pytest.raises(BuildError, match=r"is not on this machine; --env current makes one"):
            image.settle(engine, Project(tmp_path), image.Wish(id=id), None)


def test_the_container_of_a_fork_is_shown_with_what_it_would_have(
    demo: Path, tmp_path: Path, git: Git
) -> None:
    """The volumes that its commit names, and the options of the recorded command."""
    theirs = tmp_path / "theirs"
    git("clone", "--quiet", str(demo), str(theirs))
    text = PROJECT.replace("environment:", "volumes: ['/etc:/host:ro']\n      environment:")
    projects.write(theirs, {"MLproject": text})
    options = ("-e", "plain", "--skip-image-build", "-A", "hostname=evil")
    projects.gitml("run", ".", *options, cwd=theirs)
    (run,) = projects.runs(theirs)
    git("remote", "add", "fork", str(theirs))
    git("fetch", "--quiet", "fork")
    refused = projects.gitml("runs", "reproduce", run.run_id, code=2)
    for words in (b"volume /etc:/host:ro", b"-A hostname=evil", b"python:3.11-slim"):
        assert words in refused.stderr
    assert projects.runs(demo) == [run]


# -- code from elsewhere -------------------------------------------------------------------


def test_a_projects_own_volume_and_code_from_a_url(demo: Path, tmp_path: Path, git: Git) -> None:
    """It runs from its checkout; the volume is of that, and not of the folder it came from."""
    text = PROJECT.replace("environment:", "volumes: ['./part:/part:ro']\n      environment:")
    projects.write(demo, {"MLproject": text.replace("ls -A", "cat /part/x"), "part/x": "of it"})
    git("add", ".")
    git("commit", "--quiet", "--message", "A volume")
    mine = new_repository(tmp_path / "mine")
    arguments = ("run", demo.as_uri(), "-e", "plain", "--yes", "-A", "network=host")
    done = projects.gitml(*arguments, cwd=mine)
    assert b"of it" in done.stdout
    (run,) = projects.runs(mine)
    assert run.source.name == demo.as_uri()
    assert run.tags["mlflow.source.git.commit"] == git("rev-parse", "HEAD")
