"""Repositories on file systems that take nothing: what waits where, and what is said of it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gitml import git as gate
from gitml.tracking import recording
from gitml.tracking.place import place_of
from tests import invariants, trainings

pytestmark = pytest.mark.skipif(shutil.which("unshare") is None, reason="mounts need namespaces")

ONE_RUN = """
with mlflow.start_run() as run:
    me = run.info.run_id
    said(run=me, started=True)
    metric("loss", 0.5, 0, me)
    text("notes.txt", "some notes", me)
said(run=me, ended="FINISHED")
"""


def among_mounts(repo: Path, *commands: str) -> subprocess.CompletedProcess[str]:
    """Run shell commands in the repository, in a namespace of mounts of their own."""
    root = () if os.geteuid() == 0 else ("--map-root-user",)
    done = subprocess.run(
        ("unshare", *root, "--mount", "sh", "-c", " && ".join(commands)), cwd=repo,
        env=trainings.environment(), text=True, capture_output=True, check=False,
    )  # fmt: skip
    if "mounted" not in done.stdout:
        pytest.skip("mounting is not allowed here")
    return done


@pytest.mark.parametrize("what", [".", ".git/gitml", ".git/objects"])
def test_a_read_only_mount_keeps_no_run_from_being_recorded_later(
    repo: Path, tmp_path: Path, what: str
) -> None:
    """The training goes on, the reason is told by it and by the doctor, and nothing is lost."""
    script = trainings.write(tmp_path, ONE_RUN)
    (repo / ".git" / "gitml").mkdir()
    before = invariants.UserState.of(repo)
    place, python = shlex.quote(str(repo / what)), shlex.quote(sys.executable)
    done = among_mounts(
        repo,
        f"mount --bind {place} {place}",
        f"mount -o remount,bind,ro {place} && echo mounted",
        f"cd {shlex.quote(str(repo))}",
        f"{python} {script}",
        f"{python} -m gitml doctor",
    )
    assert done.returncode == 0, done.stderr
    reason = "Read-only file system" if what == ".git/objects" else "is mounted read-only"
    assert reason in done.stderr
    assert "is over and not recorded yet" in done.stdout
    assert (reason in done.stdout) == (what != ".git/objects")
    calls = [line for line in done.stdout.splitlines() if line.startswith("{")]
    recording.recover(place_of(gate.find(repo)))
    runs = invariants.check(repo, trainings.calls("\n".join(calls).encode()), before, in_flight=0)
    assert len(runs) == 1


def test_a_file_system_that_takes_no_more_files_is_named(repo: Path, tmp_path: Path) -> None:
    """There may be space, and yet no room for another file."""
    small, python = shlex.quote(str(tmp_path / "small")), shlex.quote(sys.executable)
    done = among_mounts(
        repo,
        f"mkdir {small} && mount -t tmpfs -o size=2g,nr_inodes=90 none {small} && echo mounted",
        f"git init --quiet {small}/r && cd {small}/r",
        f"{python} -m gitml doctor; true",
    )
    assert "more files only (df -i)" in done.stdout
