"""The commit that made a metric worse is found by running some of those in between."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import gitml
from gitml import caches
from gitml.errors import UsageError
from tests import projects
from tests.cli import Caller
from tests.conftest import Git, run_git
from tests.invariants import UserState, check_sound

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are bash's")

MLPROJECT = """
    entry_points:
      main:
        parameters: {rate: {type: float, default: 1}}
        command: "python train.py {rate}"
    """
TRAIN = "import gitml, sys\ngitml.log_metric('auc', {auc} * float(sys.argv[1]))\n"
WORSE = "metrics.auc < 0.9"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


def history(repo: Path, *steps: str) -> list[str]:
    """One commit for each step, an AUC or the text of the script; their ids."""
    projects.write(repo, {"MLproject": MLPROJECT})
    made = []
    for number, step in enumerate(steps):
        text = TRAIN.format(auc=step) if step.replace(".", "").isdigit() else step
        (repo / "train.py").write_text(f"# {number}\n{text}")
        run_git(repo, "add", ".")
        run_git(repo, "commit", "--quiet", "-m", f"step {number}")
        made.append(run_git(repo, "rev-parse", "HEAD"))
    return made


def test_the_first_bad_commit_is_found_and_its_parent_told(repo: Path, git: Git) -> None:
    """Half of the commits are never run; nothing of the user's changes, nor of git's bisection."""
    commits = history(repo, "0.95", "0.94", "0.93", "0.92", "0.85", "0.84", "0.83")
    projects.gitml("run", ".", "-P", "rate=1")
    bad = projects.runs(repo)[0].run_id
    git("bisect", "start", "HEAD~1", "HEAD~3")
    (repo / "train.py").write_text("not committed")
    before = UserState.of(repo)
    ask = ("runs", "bisect", "--metric", WORSE, commits[0], bad, "--format", "json")
    done = projects.gitml(*ask)
    assert UserState.of(repo) == before
    found = json.loads(done.stdout)
    assert found["first_bad"]["commit"] == commits[4]
    assert found["first_bad"]["metrics"] == {"auc": 0.85}
    assert found["parent"]["commit"] == commits[3]
    assert found["parent"]["metrics"] == {"auc": 0.92}
    assert b"5 commits are left to look at, at most about 3 steps" in done.stderr
    assert commits[6] == found["commits"][1]["commit"]
    assert found["commits"][1]["recorded_before"] is True
    runs = projects.runs(repo)
    assert len(runs) == len(found["commits"]) < len(commits)
    assert {run.tags.get("gitml.bisect") for run in runs[1:]} == {WORSE}
    assert list(caches.folder("projects").iterdir()) == []
    check_sound(repo)
    again = json.loads(projects.gitml(*ask).stdout)
    assert {it["recorded_before"] for it in again["commits"]} == {True}
    assert len(projects.runs(repo)) == len(runs)


def test_commits_that_do_not_run_are_skipped(repo: Path, call: Caller) -> None:
    """As by `git bisect skip`; those that fail, lack the metric, or can't be started."""
    commits = history(repo, "0.95", "raise SystemExit(3)", "0.94", "import gitml", "0.8")
    projects.gitml("run", ".", "-P", "rate=1")
    done = call("runs", "bisect", "--metric", WORSE, commits[0], "HEAD", "--like", "latest", code=1)
    assert "skipped: its run has no metric auc" in done.err
    assert "The commit that made it worse is one of these" in done.out
    left = done.out.partition("can't be judged:")[2]
    assert ("step 3" in left, "step 4" in left, "step 2" in left) == (True, True, False)
    count = len(projects.runs(repo))
    call("runs", "bisect", "--metric", WORSE, commits[0], "HEAD", "--like", "latest", code=1)
    assert len(projects.runs(repo)) == count


def test_a_script_is_bisected_as_it_was_started(repo: Path) -> None:
    """Without a project; in Python it is a function."""
    commits = history(repo, "0.95", "0.94", "0.8")
    subprocess.run([sys.executable, "train.py", "1"], cwd=repo, check=True)
    found = gitml.projects.bisect(WORSE, "HEAD~2", "latest")
    assert found.first is not None
    assert found.first.commit == commits[2]
    assert found.before is not None
    assert found.before.commit == commits[1]


def test_both_sides_of_a_merge_are_looked_at(repo: Path, git: Git) -> None:
    """The commit on the side branch made it worse."""
    history(repo, "0.95")
    git("checkout", "--quiet", "-b", "side")
    projects.write(repo, {"bonus.txt": "1"})
    (bad,) = history(repo, "0.8")
    git("checkout", "--quiet", "main")
    projects.write(repo, {"other.txt": "1"})
    git("add", ".")
    git("commit", "--quiet", "-m", "other")
    git("merge", "--quiet", "--no-edit", "side")
    projects.gitml("run", ".", "-P", "rate=1")
    found = gitml.projects.bisect(WORSE, "HEAD~2", "latest")
    assert found.first is not None
    assert found.first.commit == bad


def test_ends_that_are_wrong_are_told(repo: Path, call: Caller) -> None:
    """Before anything in between is run."""
    commits = history(repo, "0.95", "0.94", "0.8")
    projects.gitml("run", ".", "-P", "rate=1")
    start = ("runs", "bisect", "--metric", WORSE)
    assert "is not before" in call(*start, "latest", commits[0], code=2).err
    assert "name a run: --like RUN" in call(*start, commits[0], commits[1], code=2).err
    done = projects.gitml(*start, commits[0], commits[1], "--like", "latest", code=2)
    assert b"is to be bad, but is good: auc 0.94" in done.stderr
    assert "'nope' is neither a run nor a commit" in call(*start, "nope", "latest", code=2).err
    call("runs", "bisect", "--metric", "params.x = 1", commits[0], "latest", code=2)
    call("runs", "bisect", "--metric", "metrics.auc <", commits[0], "latest", code=2)
    with pytest.raises(UsageError, match="'--all' is no revision"):
        gitml.projects.bisect(WORSE, "--all", "latest")
