"""`gitml push`, `pull`, `recover` and `validate`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import gitml
from gitml.cli.progress import PATIENCE, progress_bytes, progress_stages
from gitml.cli.report import report
from gitml.tracking.exchange import Report
from tests.cli import HOSTILE, UNSAFE, Caller
from tests.conftest import Git, run_git


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


def record(name: str) -> None:
    """Record a small run."""
    with gitml.start_run(run_name=name):
        gitml.log_metric("loss", 0.5)


# -- push and pull -----------------------------------------------------------------------------


def test_runs_go_to_a_colleague(
    repo: Path, bare: Path, git: Git, call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one pushes the other pulls; doing it again says that all is there."""
    git("remote", "add", "origin", str(bare))
    record("one")
    record("two")
    pushed = call("push")
    assert pushed.lines == ["pushed 2 runs"]
    assert pushed.err == "published 1 code commit that only this clone had: runs stand on them\n"
    assert call("push").lines == ["everything is up to date"]
    run_git(tmp_path, "clone", "--quiet", str(bare), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    assert call("runs", "list", "-c", "name").lines[1:] == ["two", "one"]
    call("pull")
    record("three")
    assert call("push").lines[0] == "pushed 1 run"
    monkeypatch.chdir(repo)
    assert call("pull").lines == ["pulled 1 run"]
    assert call("runs", "list", "-c", "name").lines[1] == "three"


def test_without_a_remote_there_is_nowhere_to_push(repo: Path, call: Caller) -> None:
    """The message says how to add one."""
    record("one")
    assert "git remote add origin URL" in call("push", code=2).err


def test_a_remote_that_is_gone(repo: Path, git: Git, call: Caller, tmp_path: Path) -> None:
    """Git's own words, in one line."""
    git("remote", "add", "origin", str(tmp_path / "gone"))
    record("one")
    assert call("push", code=3).err.startswith("gitml: git ")


def test_what_stayed_behind_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Withheld runs and problems are warnings, and make the exit code 1."""
    done = Report(
        runs=("0" * 32,), merged=("1" * 32,), tags=("churn@v1.0.0",), objects=2,
        withheld={"2" * 32: HOSTILE}, problems=("the tag x was moved",), local_commits=2,
    )  # fmt: skip
    assert report(done, "pushed") == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "pushed 1 run, 2 objects, 1 tag", "  churn@v1.0.0",
        "1 run changed on both sides and merged",
    ]  # fmt: skip
    assert "published 2 code commits" in err
    assert "gitml: run 22222222 stays here: a" in err
    assert "gitml: the tag x was moved\n" in err
    assert not UNSAFE.search(err)
    assert report(Report(), "pushed") == 0


@pytest.mark.parametrize(
    ("done", "said"),
    [
        (Report(), "everything is up to date"),
        (Report(withheld={"2" * 32: "no remote"}), "nothing was pushed"),
        (Report(problems=("the tag x was moved",)), "nothing was pushed"),
        (Report(removed=("1" * 32, "2" * 32), moved=True), "pushed the removal of 2 runs"),
        (
            Report(runs=("0" * 32,), removed=("1" * 32,), moved=True),
            "pushed 1 run, the removal of 1 run",
        ),
        (Report(moved=True), "pushed changes of experiments"),
        (Report(objects=1), "pushed 1 object"),
    ],
)
def test_up_to_date_is_said_of_nothing_else(
    done: Report, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not when something stayed behind, nor when anything went."""
    report(done, "pushed")
    assert capsys.readouterr().out == said + "\n"


# -- progress ----------------------------------------------------------------------------------


def test_nobody_watches_a_pipe() -> None:
    """Without a terminal no progress is drawn, nor asked for."""
    with progress_stages() as stages, progress_bytes("x") as progress:
        assert stages is None
        assert progress is None


def test_progress_is_drawn_when_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what takes more than a second gets a bar, on standard error."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with progress_stages() as stages:
        assert stages is not None
        stages("counting", 1, 2)
        assert capsys.readouterr() == ("", "")
        now[0] += PATIENCE + 1
        stages("writing", 1, 4)
        stages("writing", 4, 4)
    out, err = capsys.readouterr()
    assert out == ""
    assert "writing" in err


# -- recover -----------------------------------------------------------------------------------


def test_a_run_that_died_is_recovered(repo: Path, call: Caller) -> None:
    """It is named with its status; a second time there is nothing to do."""
    script = "import gitml, os; gitml.start_run(run_name='mine'); os._exit(1)"
    subprocess.run([sys.executable, "-c", script], check=False, cwd=repo)
    shown = call("recover")
    assert shown.out.split()[1:] == ["mine", "KILLED"]
    assert call("recover").err == "nothing to recover\n"


def test_a_run_that_can_not_be_recovered_yet(repo: Path, git: Git, call: Caller) -> None:
    """Its journal is kept; listings warn and go on, `recover` ends with 3."""
    record("first")
    script = "import gitml, os; gitml.start_run(run_name='mine'); os._exit(1)"
    subprocess.run([sys.executable, "-c", script], check=False, cwd=repo)
    git("switch", "--quiet", "gitml/runs")
    listed = call("runs", "list", "-c", "name")
    assert "mine" in listed.lines
    assert "git switch main" in listed.err
    argv = [sys.executable, "-m", "gitml", "recover"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=repo)
    assert done.returncode == 3
    assert "1 run could not be recorded" in done.stderr
    git("switch", "--quiet", "main")
    assert "mine" in call("recover").out


# -- validate ----------------------------------------------------------------------------------


def test_files_are_validated(repo: Path, call: Caller) -> None:
    """Nothing is said of what is right; what is wrong is a line each, and the answer is no."""
    Path("gitml.yaml").write_text("experiment: churn\n")
    assert call("validate") == call("validate", "gitml.yaml")
    assert call("validate").out == ""
    Path("gitml.yaml").write_text("experimnt: churn\n")
    shown = call("validate", "gitml.yaml", "train.py", code=1)
    assert shown.out.startswith("gitml.yaml: ")
    assert "did you mean 'experiment'?" in shown.out
    found = call("validate", "--format", "json", code=1).json
    assert [item["path"] for item in found] == ["gitml.yaml"]


def test_large_files_are_found(repo: Path, git: Git, call: Caller) -> None:
    """Those in git's index that DVC should hold, by the limit of gitml.yaml."""
    Path("gitml.yaml").write_text("snapshot: {max_file: 1kB}\n")
    Path("big.bin").write_bytes(b"x" * 2000)
    git("add", "--all")
    shown = call("validate", "--large-files", code=1)
    command = "dvc init && git rm --cached -- big.bin && dvc add big.bin"
    assert shown.lines == [f"big.bin: 0.0 MB is too large for git; run: {command}"]
    assert call("validate", "--large-files", "train.py").out == ""
