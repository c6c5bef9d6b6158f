"""A project's entry point runs as a run: joined, streamed, kept, and ended with all it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import gitml
from gitml import projects as public
from gitml.errors import FormatError, NoRepositoryError, UsageError
from gitml.projects import EntryPointError
from gitml.projects.output import Kept
from gitml.projects.program import Program
from tests import projects
from tests.cli import Caller
from tests.conftest import Git

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are bash's")

SCRIPT = """
    import argparse, sys
    import gitml

    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--note")
    args = parser.parse_args()
    with gitml.start_run():
        gitml.log_params(vars(args))
        gitml.log_metric("loss", args.rate)
        with gitml.start_run(nested=True, run_name="inner"):
            gitml.log_metric("loss", 1)
    with gitml.start_run(run_name="later"):
        pass
    """
PROJECT = """
    name: demo
    entry_points:
      main:
        parameters:
          rate: {type: float, default: 0.1}
          epochs: {type: int, default: 3}
          note: {default: "none"}
        command: "python train.py --rate {rate} --epochs {epochs} --note {note}"
      fail: {command: "echo so far; echo no more >&2; exit 3"}
      quiet: {command: "true"}
      vanish: {command: "no-such-program --now"}
      killed: {command: "kill -9 $$"}
      crash: {command: "kill -SEGV $$"}
      linger:
        command: >-
          (trap '' TERM; echo $BASHPID > pid; exec sleep 600) &
          until [ -s pid ]; do sleep 0.01; done
      wait:
        command: >-
          sh -c 'echo $$ > pid; exec sleep 600' &
          until [ -s pid ]; do sleep 0.01; done; echo waiting; wait
      bytes: {command: "printf 'a\\\\377\\\\r\\\\033[1mb'; printf 'no newline' >&2"}
    """


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


@pytest.fixture
def project(repo: Path) -> Path:
    """A committed project in the current folder."""
    projects.write(repo, {"MLproject": PROJECT, "train.py": SCRIPT})
    subprocess.run(["git", "add", "."], cwd=repo, check=True)
    subprocess.run(["git", "commit", "--quiet", "-m", "project"], cwd=repo, check=True)
    return repo


# -- the run -------------------------------------------------------------------------------


def test_an_entry_point_is_a_run_that_its_script_joins(project: Path, git: Git) -> None:
    """Params keep their type, the script's own are no others; its further runs are children."""
    done = projects.gitml("run", ".", "-P", "rate=1e-3", "-P", "epochs=+5", "--run-name", "first")
    outer, inner, later = projects.runs(project)
    assert (outer.name, outer.status, outer.parent_run) == ("first", "FINISHED", None)
    assert outer.params == {"rate": 0.001, "epochs": 5, "note": "none"}
    assert outer.param_conflicts == {}
    assert outer.metrics["loss"].last == 0.001
    assert (inner.name, inner.parent_run) == ("inner", outer.run_id)
    assert (later.name, later.parent_run) == ("later", outer.run_id)
    assert outer.code.commit == git("rev-parse", "HEAD")
    assert not outer.code.dirty
    assert outer.run_id.encode() in done.stderr


def test_a_script_records_where_its_run_is(project: Path, tmp_path: Path) -> None:
    """A spool that is named in the environment is for scripts that have no repository."""
    env = {**os.environ, "GITML_SPOOL": str(tmp_path / "spool"), "GITML_CODE": "0" * 40}
    projects.gitml("run", ".", env=env)
    run, inner, _ = projects.runs(project)
    assert (run.metrics["loss"].last, inner.metrics["loss"].last) == (0.1, 1.0)
    assert not (tmp_path / "spool").exists()


def test_the_record_says_what_was_run(project: Path) -> None:
    """The source, the command, MLflow's tags, and the packages of the Python that ran it."""
    token = "ghp_" + "a" * 36
    projects.gitml("run", ".", "-e", "quiet", "--allow-extra", "-P", f"api_token={token}")
    (run,) = projects.runs(project)
    assert (run.source.type, run.source.name) == ("PROJECT", ".")
    assert run.source.command == (
        *("gitml", "run", ".", "-e", "quiet", "-P", "api_token=***", "--allow-extra"),
    )
    assert run.params == {}
    assert len(run.tags["gitml.fingerprint"] or "") == 64
    assert run.tags == {
        "mlflow.project.entryPoint": "quiet",
        "mlflow.project.env": "local",
        "mlflow.project.backend": "local",
        "gitml.exit_code": "0",
        "gitml.fingerprint": run.tags["gitml.fingerprint"],
    }
    files = projects.texts(project, run)
    assert "click==" in files["requirements.txt"]
    assert token not in "".join(files.values())


def test_files_that_git_does_not_know_yet_are_in_the_snapshot(repo: Path, git: Git) -> None:
    """The project's code, but not its data, nor what git ignores."""
    files = {
        "MLproject": PROJECT,
        "new.py": "",
        "data.bin": "",
        "mine.py": "",
        ".gitignore": "mine.py",
    }
    projects.write(repo / "part", files)
    projects.gitml("run", "part", "-e", "quiet")
    (run,) = projects.runs(repo)
    assert run.source.name == "part"
    held = git("ls-tree", "-r", "--name-only", str(run.code.tree)).splitlines()
    assert held == ["part/MLproject", "part/new.py", "train.py"]
    assert run.code.untracked == ("part/.gitignore", "part/data.bin") or run.code.untracked == (
        "part/",
    )


def test_a_key_that_lies_in_the_project_is_no_part_of_its_code(
    repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what a variable names as one, nor a file of Google's; other files of JSON are."""
    monkeypatch.setenv("KUBECONFIG", f"/nowhere{os.pathsep}{repo / 'cluster.yaml'}")
    login = '{"type": "external_account", "credential_source": {"headers": "canary"}}'
    key = '{"type": "service_account", "private_key": "canary"}'
    files = {
        "MLproject": "name: it\nentry_points: {quiet: {command: 'true'}}\n",
        "cluster.yaml": "token: canary",
        "gha-creds-0123.json": login,
        "key.json": key,
        "params.json": '{"type": "tree"}',
    }
    projects.write(repo, files)
    projects.gitml("run", ".", "-e", "quiet")
    (run,) = projects.runs(repo)
    held = git("ls-tree", "-r", "--name-only", str(run.code.tree)).splitlines()
    assert held == ["MLproject", "params.json", "train.py"]
    assert {"cluster.yaml", "gha-creds-0123.json", "key.json"} <= set(run.code.untracked)


def test_a_run_of_another_experiment_and_of_a_given_id(project: Path) -> None:
    """The script records in the experiment of its project; a run may be gone on with."""
    projects.gitml("run", ".", "--experiment-name", "trees")
    found = projects.runs(project)
    assert {run.experiment for run in found} == {"trees"}
    projects.gitml("run", ".", "-e", "fail", "--run-id", found[0].run_id, code=1)
    again = projects.runs(project)
    assert len(again) == 3
    assert (again[0].status, again[0].tags["gitml.exit_code"]) == ("FAILED", "3")


def test_a_run_inside_of_a_run_is_its_child(repo: Path) -> None:
    """Steps of a workflow that are called by the API or the command line, and under start_run."""
    write = {
        "MLproject": """
            entry_points:
              main: {command: "python flow.py && gitml run . -e step"}
              step: {command: "true"}
            """,
        "flow.py": """
            import gitml
            step = gitml.projects.run(".", "step", run_name="one")
            assert step.get_status() == "FINISHED" and step.wait()
            with gitml.start_run():
                gitml.run(".", "step", run_name="two", synchronous=False)
            """,
    }
    projects.write(repo, write)
    projects.gitml("run", ".")
    outer, *steps = projects.runs(repo)
    assert [step.parent_run for step in steps] == [outer.run_id] * 3
    assert [step.name for step in steps][:2] == ["one", "two"]
    assert {step.tags["mlflow.project.entryPoint"] for step in steps} == {"step"}
    assert {step.status for step in steps} == {"FINISHED"}


HOSTILE = [
    "; touch canary", "$(touch canary)", "`touch canary`", "'; touch canary; '",
    '"; touch canary; "',
    "a\nb", "*", "~", "--help", "", "\\", "$HOME", "a  b", "&& touch canary", "> canary", "#", "!x",
    "{rate}", "\u202e", "\x1b[31m",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_a_value_is_one_argument_and_nothing_else(repo: Path, value: str) -> None:
    """In every quotes that a command may have, also of an entry point that a value is extra to."""
    text = """
        entry_points:
          main:
            parameters: {a: string}
            command: |
              python show.py {a} "{a}" '{a}' --a={a} && true
              python show.py
        """
    projects.write(repo, {"MLproject": text, "show.py": "import sys; print(sys.argv[1:])"})
    public.run(repo, parameters={"a": value, "more": value}, allow_extra=True)
    (run,) = projects.runs(repo)
    assert projects.texts(repo, run)["logs/output.txt"].splitlines() == [
        str([value, value, value, f"--a={value}"]), str(["--more", value]),
    ]  # fmt: skip
    assert run.params == {"a": value, "more": value}
    assert not (repo / "canary").exists()


def test_settings_are_those_of_the_projects_folder(repo: Path) -> None:
    """The nearest gitml.yaml holds, for the run, its script and the steps of a workflow."""
    projects.write(
        repo / "part",
        {
            "gitml.yaml": "experiment: part\nledger: {ref: part/runs}\n",
            "flow.py": "import gitml; gitml.projects.run('.', 'step.py')",
            "step.py": "import gitml; gitml.log_metric('a', 1)",
        },
    )
    projects.gitml("run", "part", "-e", "flow.py")
    found = projects.runs(repo / "part")
    assert [run.experiment for run in found] == ["part", "part"]
    assert projects.runs(repo) == []


# -- output --------------------------------------------------------------------------------


def test_output_goes_through_byte_for_byte(project: Path) -> None:
    """Each stream to its own, and nothing of gitml's on standard output."""
    done = projects.gitml("run", ".", "-e", "bytes")
    assert done.stdout == b"a\xff\r\x1b[1mb"
    assert b"no newline" in done.stderr
    (run,) = projects.runs(project)
    log = projects.texts(project, run)["logs/output.txt"]
    assert sorted(log) == sorted("a\ufffd\r\x1b[1mbno newline")


def test_output_comes_while_the_program_runs(project: Path) -> None:
    """Also a Python script's, which writes to a pipe here: this one waits for the answer."""
    script = """
        import pathlib, time
        print("asked")
        while not pathlib.Path("answer").exists(): time.sleep(0.01)
        """
    projects.write(project, {"ask.py": script})
    argv = projects.command("run", ".", "-e", "ask.py")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"asked\n"
        (project / "answer").touch()
    assert running.returncode == 0


def test_credentials_are_not_in_the_log(project: Path) -> None:
    """What looks like one, and the values of parameters that are called so."""
    words = "echo password=hunter2hunter; echo {pin_token} https://me:pw12345@host/x"
    text = f'entry_points:\n  main: {{parameters: {{pin_token: string}}, command: "{words}"}}\n'
    (project / "MLproject").write_text(text)
    done = projects.gitml("run", ".", "-P", "pin_token=4711-0815")
    assert b"4711-0815" in done.stdout
    (run,) = projects.runs(project)
    log = projects.texts(project, run)["logs/output.txt"]
    assert log == "password=***\n*** https://host/x\n"
    assert run.params == {}


def test_a_long_log_has_its_beginning_and_its_end(project: Path) -> None:
    """In whole lines, within what a commit holds; what is left out is counted."""
    projects.write(project, {"long.py": "for i in range(200_000): print('line', i)"})
    projects.gitml("run", ".", "-e", "long.py")
    (run,) = projects.runs(project)
    log = projects.texts(project, run)["logs/output.txt"]
    assert log.startswith("line 0\nline 1\n")
    assert log.endswith("\nline 199999\n")
    assert "\n[... 2" in log
    assert 50_000 < len(log) < 100_000


def test_no_half_of_a_secret_is_kept() -> None:
    """Where the middle of a text is left out, the lines that are cut are left out too."""
    kept = Kept(90)
    for part in (b"first\nAKIA", b"x" * 500, b"IDEFGH\nlast\n"):
        kept.add(part)
    assert kept.text() == "first\n[... 511 bytes are left out here ...]\nlast\n"
    kept = Kept(30)
    kept.add(b"y" * 100)
    assert kept.text() == "[... 100 bytes are left out here ...]\n"


# -- ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("fail", "FAILED", "fail ended with exit code 3"),
        ("vanish", "FAILED", "vanish ended with exit code 127 (a program was not found)"),
        ("killed", "KILLED", "killed was ended by SIGKILL"),
        ("crash", "FAILED", "crash was ended by SIGSEGV"),
    ],
)
def test_how_it_ended_is_the_runs_status(
    project: Path, name: str, status: str, reason: str
) -> None:
    """And the exit code of the command is 1, with one line that says so."""
    done = projects.gitml("run", ".", "-e", name, code=1)
    (run,) = projects.runs(project)
    assert (run.status, run.reason) == (status, reason)
    assert f"gitml: {reason} (run {run.run_id[-8:]})".encode() in done.stderr


def test_what_outlives_the_entry_point_is_ended(project: Path) -> None:
    """Also a child that does not listen to SIGTERM."""
    projects.gitml("run", ".", "-e", "linger")
    assert not lives(int((project / "pid").read_text()))
    (run,) = projects.runs(project)
    assert run.status == "FINISHED"


def test_a_timeout_ends_all_of_it(project: Path) -> None:
    """The run is KILLED, and says how long it was given."""
    projects.gitml("run", ".", "-e", "wait", "--timeout", "0.5", code=1)
    assert not lives(int((project / "pid").read_text()))
    (run,) = projects.runs(project)
    assert (run.status, run.reason) == ("KILLED", "wait: it took longer than 0.5 s")


@pytest.mark.parametrize(
    ("number", "code", "reason"),
    [
        (signal.SIGINT, 130, "wait: it was stopped by Ctrl-C"),
        (signal.SIGTERM, 143, "wait: it was told to stop"),
    ],
)
def test_a_signal_ends_all_of_it(project: Path, number: int, code: int, reason: str) -> None:
    """The process group goes, and the run is recorded as KILLED."""
    with waiting(project) as (running, pid):
        running.send_signal(number)
        running.communicate()
        assert running.returncode == code
        assert not lives(pid)
    (run,) = projects.runs(project)
    assert (run.status, run.reason) == ("KILLED", reason)
    assert projects.texts(project, run)["logs/output.txt"] == "waiting\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_steps_of_a_workflow_too(project: Path, number: int) -> None:
    """A step is in a process group of its own; its run is recorded all the same."""
    projects.write(project, {"flow.py": "import gitml; gitml.projects.run('.', 'wait')"})
    with waiting(project, "flow.py") as (running, pid):
        running.send_signal(number)
        running.communicate()
        assert not lives(pid)
    assert [run.status for run in projects.runs(project)] == ["KILLED", "KILLED"]


def test_a_killed_gitml_leaves_a_run_that_is_recovered(project: Path, call: Caller) -> None:
    """The entry point ends with it; the next command records what the journal has."""
    with waiting(project) as (running, pid):
        running.kill()
        running.communicate()
        assert not lives(pid)
        assert "KILLED" in call("recover").out
    (run,) = projects.runs(project)
    assert run.tags["mlflow.project.entryPoint"] == "wait"


def test_the_steps_of_a_workflow_end_with_a_killed_gitml(project: Path) -> None:
    """Each in a process group of its own; no kill reaches them but the guard's."""
    projects.write(project, {"flow.py": "import gitml; gitml.projects.run('.', 'wait')"})
    with waiting(project, "flow.py") as (running, pid):
        running.kill()
        running.communicate()
        assert not lives(pid)


@contextmanager
def waiting(folder: Path, name: str = "wait") -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`gitml run` of an entry point that waits for ever, and the process that waits."""
    argv = projects.command("run", ".", "-e", name)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"waiting\n"
        yield running, int((folder / "pid").read_text())


def lives(pid: int) -> bool:
    """Whether a process lives, after a moment for the system to take it away."""
    import psutil

    for _ in range(1000):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return False
        time.sleep(0.01)
    return True


# -- the function --------------------------------------------------------------------------


def test_the_function_has_mlflows_answers(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A SubmittedRun; a failure is an error that names the run."""
    done = public.run(".", "quiet", run_name="x")
    assert (done.wait(), done.get_status()) == (True, "FINISHED")
    assert projects.runs(project)[0].run_id == done.run_id
    with pytest.raises(EntryPointError, match="fail ended with exit code 3") as failed:
        gitml.projects.run(str(project), entry_point="fail")
    assert failed.value.run_id == projects.runs(project)[1].run_id
    assert capfd.readouterr().out == "so far\n"


def test_a_run_in_the_background_can_be_cancelled(project: Path) -> None:
    """It runs beside the caller until then."""
    submitted = public.run(".", "wait", synchronous=False)
    while not (project / "pid").exists() or not (project / "pid").read_text():
        time.sleep(0.01)
    assert submitted.get_status() == "RUNNING"
    submitted.cancel()
    assert (submitted.get_status(), submitted.wait()) == ("KILLED", False)
    assert not lives(int((project / "pid").read_text()))


def test_what_can_not_be_run_is_refused_before_there_is_a_run(
    project: Path, tmp_path: Path, call: Caller
) -> None:
    """One line each, with what to do."""
    for args, words in (
        (["-e", "fial"], "no entry point 'fial'; did you mean 'fail'"),
        (["-P", "rate=x"], "the parameter 'rate': 'x' is no number"),
        (["-P", "rte=1"], "no parameter 'rte'; did you mean 'rate'"),
        (["-P", "rate"], "-P takes NAME=VALUE"),
        (["-P", "rate=1", "-P", "rate=2"], "-P gives 'rate' twice"),
        (["--backend", "slurm"], "there is no backend 'slurm'"),
        (["--env-manager", "uv"], "the project names no environment for uv to build"),
        (["--run-id", "x"], "run id 'x' is none"),
        (["--timeout", "0"], "0"),
    ):
        assert words in call("run", ".", *args, code=2).err
    assert "there is no folder" in call("run", "nowhere", code=2).err
    with pytest.raises(NoRepositoryError, match="git init"):
        public.run(projects.write(tmp_path / "plain", {"x.py": ""}), "x.py")
    with pytest.raises(UsageError, match=r"options of docker run .* --backend docker, or leave"):
        public.run(".", docker_args={"a": "b"})
    (project / "MLproject").write_text("nam: x\n")
    with pytest.raises(FormatError, match="unknown key 'nam'"):
        public.run(".")
    assert projects.runs(project) == []


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of Linux: 6 MB of arguments")
def test_values_that_are_too_many_for_a_program_say_so(tmp_path: Path) -> None:
    """Each may be short enough, and all of them together too long."""
    argv = ["true", *["x" * 99_000] * 70]
    with pytest.raises(UsageError, match="are 6930004 bytes long together, more than a program"):
        Program(argv, tmp_path, None, (lambda data: None, lambda data: None), 10)


def test_a_folder_without_a_repository_records_where_gitml_repo_says(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script's runs too."""
    folder = projects.write(tmp_path / "plain", {"x.py": "import gitml; gitml.log_metric('a', 1)"})
    monkeypatch.setenv("GITML_REPO", str(repo))
    public.run(folder, "x.py")
    (run,) = projects.runs(repo)
    assert (run.source.name, run.metrics["a"].last) == ("plain", 1)
