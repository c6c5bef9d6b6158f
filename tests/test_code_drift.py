"""Code that changes while a training runs: the run holds what it started from, and says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gitml import git as gate
from gitml.tracking import snapshot
from tests import invariants, trainings
from tests.conftest import Git

TRAINING = """
import lib

def wait(name):
    open("../" + name + "-reached", "w").close()
    while not os.path.exists("../" + name):
        time.sleep(0.002)

with mlflow.start_run() as run:
    said(run=run.info.run_id, started=True)
    wait("middle")
    for name in sys.argv[1:]:
        __import__(name)
    metric("answer", lib.ANSWER, 0)
said(run=run.info.run_id, ended="FINISHED")
"""


@pytest.fixture
def code(repo: Path, git: Git) -> Path:
    """A repository with a training, a module that it imports, and two that it may import later."""
    trainings.write(repo, TRAINING)
    (repo / "lib.py").write_text("ANSWER = 42\n")
    (repo / "later.py").write_text("LATER = 1\n")
    (repo / ".gitignore").write_text("ignored.py\n__pycache__\n")
    git("add", ".")
    git("commit", "--quiet", "--message", "Code")
    return repo


class Training:
    """A training that stands still in its middle."""

    def __init__(self, repo: Path, *modules: str) -> None:
        self.repo = repo
        self.process = trainings.start(repo / "train.py", *modules, cwd=repo)

    def finish(self) -> invariants.Stored:
        """The run as it was recorded."""
        (self.repo.parent / "middle").touch()
        out, err = self.process.communicate(timeout=60)
        assert (self.process.returncode, err) == (0, b"")
        (run,) = invariants.stored(self.repo).values()
        invariants.check_acknowledged({run.record["run_id"]: run}, trainings.calls(out), 0)
        return run


@contextmanager
def in_the_middle(repo: Path, *modules: str) -> Iterator[Training]:
    """A block that runs while the training is in its middle; `modules` are imported after it."""
    training = Training(repo, *modules)
    reached = repo.parent / "middle-reached"
    while not reached.exists() and training.process.poll() is None:
        time.sleep(0.002)
    try:
        yield training
    except BaseException:
        training.process.kill()
        raise


def drift(run: invariants.Stored) -> list[str]:
    """The modules that the run says have drifted."""
    found: list[str] = run.record["code"].get("drift", [])
    return found


def test_nothing_drifts_when_nothing_changes(code: Path, git: Git) -> None:
    """A training whose modules stay as they are has no drift, whenever it imports them."""
    with in_the_middle(code, "later") as training:
        pass
    run = training.finish()
    assert drift(run) == []
    assert git("rev-parse", f"{run.commit}^") == git("rev-parse", "main")


def test_an_edit_in_mid_run_is_drift(code: Path, git: Git) -> None:
    """A module that is edited while the training runs is as it was in the run, and named."""
    with in_the_middle(code) as training:
        (code / "lib.py").write_text("ANSWER = 43\n")
    run = training.finish()
    assert git("show", f"{run.commit}:lib.py") == "ANSWER = 42"
    assert drift(run) == ["lib.py"]


def test_another_branch_in_mid_run_is_drift(code: Path, git: Git) -> None:
    """When the branch is switched under a training, the run belongs to where it started."""
    started_from = git("rev-parse", "HEAD")
    with in_the_middle(code) as training:
        git("checkout", "--quiet", "-b", "other")
        (code / "lib.py").write_text("ANSWER = 0\n")
        git("commit", "--quiet", "--all", "--message", "Other")
    run = training.finish()
    assert run.record["code"]["branch"] == "main"
    assert run.record["code"]["commit"] == started_from
    assert git("show", f"{run.commit}:lib.py") == "ANSWER = 42"
    assert drift(run) == ["lib.py"]


def test_a_rebase_in_mid_run_takes_no_code(code: Path, git: Git) -> None:
    """When history is rewritten and pruned under a training, its code is still in the run."""
    (code / "lib.py").write_text("ANSWER = 44\n")
    with in_the_middle(code) as training:
        git("commit", "--quiet", "--all", "--amend", "--message", "Rewritten")
        git("reflog", "expire", "--expire=now", "--all")
        git("gc", "--quiet", "--prune=now")
    run = training.finish()
    assert git("show", f"{run.commit}:lib.py") == "ANSWER = 44"
    assert run.record["code"]["tree"] == git("rev-parse", "main^{tree}")
    assert drift(run) == []
    invariants.check_sound(code)


def test_a_deleted_module_is_drift(code: Path, git: Git) -> None:
    """A module that is deleted while the training runs is in the run, and named."""
    with in_the_middle(code) as training:
        (code / "lib.py").unlink()
    run = training.finish()
    assert git("show", f"{run.commit}:lib.py") == "ANSWER = 42"
    assert drift(run) == ["lib.py"]


def test_what_is_loaded_later_and_is_not_in_the_snapshot_is_drift(code: Path) -> None:
    """Modules that came or changed after the start, and were loaded then, are named."""
    with in_the_middle(code, "later", "new", "ignored") as training:
        (code / "later.py").write_text("LATER = 2\n")
        (code / "new.py").touch()
        (code / "ignored.py").touch()
    assert drift(training.finish()) == ["later.py", "new.py"]


def test_untracked_code_that_is_loaded_is_in_the_run(repo: Path, git: Git) -> None:
    """Files that git does not track are in the run if they are its code, else only named."""
    trainings.write(repo, TRAINING)
    (repo / "lib.py").write_text("ANSWER = 42\n")
    (repo / "notes.txt").write_text("not code\n")
    with in_the_middle(repo) as training:
        pass
    run = training.finish()
    names = git("ls-tree", "--name-only", run.commit).split()
    assert {"lib.py", "train.py"} <= set(names)
    assert "notes.txt" not in names
    assert "notes.txt" in run.record["code"]["untracked"]


def test_an_edit_that_stat_does_not_show_is_in_the_snapshot(code: Path, git: Git) -> None:
    """A same-size edit within the second of the last index write is caught."""
    git("config", "core.trustctime", "false")
    git("config", "core.checkStat", "minimal")
    moment = (1_700_000_000 * 10**9,) * 2
    lib, index = code / "lib.py", code / ".git" / "index"
    os.utime(lib, ns=moment)
    git("update-index", "--refresh")
    lib.write_text("ANSWER = 43\n")
    os.utime(lib, ns=moment)
    os.utime(index, ns=moment)
    (code / "later.py").write_text("LATER = 'a change that git sees'\n")
    taken = snapshot.take(gate.find(code))
    assert git("show", f"{taken.tree}:lib.py") == "ANSWER = 43"


def test_a_training_that_changes_its_folder_has_no_drift(repo: Path, git: Git) -> None:
    """A script that was started by a relative path and changes its folder is found again."""
    body = TRAINING.replace('wait("middle")', "os.chdir('/')")
    trainings.write(repo, body)
    (repo / "lib.py").write_text("ANSWER = 42\n")
    git("add", ".")
    argv = (sys.executable, "train.py")
    env = trainings.environment()
    done = subprocess.run(argv, cwd=repo, env=env, capture_output=True, check=True)
    (run,) = invariants.stored(repo).values()
    assert done.stderr == b""
    assert drift(run) == []
    assert run.record["source"]["entry"] == "train.py"
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "run": run.record["run_id"],
        "ended": "FINISHED",
    }
