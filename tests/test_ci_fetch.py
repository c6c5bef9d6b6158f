"""What jobs of CI fetch: the same in a repository of many runs as in one of few."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from gitml.registry import promoting
from tests import ledgers
from tests.cli import Caller
from tests.clones import team
from tests.conftest import run_git
from tests.promoted import begin, origin, tags
from tests.refusing import merge, refuse
from tests.registered import log, register

RUNS = 500  # 100 kB and more each hundred of them, if they were fetched
MOST = 20_000  # bytes
DEPLOYMENTS = "deployments: {production: {target: local, port: 1}}\n"

# Called by the remote's git in the place of what packs the objects that a client lacks.
COUNTING = """#!/bin/sh
"$@" | tee -a {file}
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="what counts is a shell script")


def with_proposal(folder: Path) -> Path:
    """A remote with a version in production, and another proposed, merged as a forge tries it."""
    bare = origin(folder)
    ann = begin(folder, bare).ann
    (ann.folder / "gitml.yaml").write_text(DEPLOYMENTS, "utf-8")
    ann.git("add", "gitml.yaml")
    ann.git("commit", "--quiet", "--message", "Deploy")
    ann.git("push", "--quiet", "origin", "HEAD:main")
    promoting.promote(ann.place, "churn", "production", "v1.0.2")
    ann.git("fetch", "--quiet")
    ann.git("merge", "--quiet", "--no-ff", "--no-edit", "origin/promote/churn/production/v1.0.2")
    ann.git("push", "--quiet", "origin", "HEAD:refs/pull/1/merge")
    return bare


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a remote, with many runs."""
    bare = with_proposal(tmp_path_factory.mktemp("fetched"))
    ledgers.append(bare, ledgers.make_runs(RUNS))
    return bare


def checked_out(bare: Path, folder: Path, ref: str, depth: int) -> Path:
    """A clone as a job of CI makes it."""
    run_git(bare.parent, "init", "--quiet", str(folder))
    run_git(folder, "config", "user.name", "ci")
    run_git(folder, "config", "user.email", "ci@example.org")
    run_git(folder, "remote", "add", "origin", bare.as_uri())
    tracking = ref.replace("refs/heads/", "refs/remotes/origin/")
    tracking = tracking.replace("refs/pull/", "refs/remotes/pull/")
    run_git(folder, "fetch", "--quiet", "--no-tags", f"--depth={depth}", "origin",
            f"+{ref}:{tracking}")  # fmt: skip
    run_git(folder, "checkout", "--quiet", "--detach", tracking)
    return folder


def fetched(job: Path, call: Caller, *command: str) -> int:
    """How many bytes of packs a command gets from the remote."""
    file, script = job.parent / "packs", job.parent / "count.sh"
    script.write_text(COUNTING.format(file=file), "utf-8")
    script.chmod(0o755)
    run_git(job, "config", "--global", "uploadpack.packObjectsHook", str(script))
    call(*command)
    run_git(job, "config", "--global", "--unset", "uploadpack.packObjectsHook")
    return file.stat().st_size


JOBS = {
    "check": (("ci", "check", "--base", "HEAD^1"), "refs/pull/1/merge", 2),
    "sync": (("registry", "sync"), "refs/heads/main", 1),
    "plan": (("ci", "stages"), "refs/heads/main", 1),
}


@pytest.mark.parametrize(("command", "ref", "depth"), JOBS.values(), ids=JOBS.keys())
def test_a_job_fetches_no_ledger(
    command: tuple[str, ...],
    ref: str,
    depth: int,
    start: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many runs there are, a job gets the tags that it needs and their commits."""
    bare = tmp_path / "origin.git"
    shutil.copytree(start, bare)
    job = checked_out(bare, tmp_path / "job", ref, depth)
    monkeypatch.chdir(job)
    assert 0 < fetched(job, Caller(capsys), *command) < MOST
    assert "gitml/runs" not in run_git(job, "for-each-ref")


def test_a_check_of_no_model_fetches_nothing(
    start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is checked out is all that it takes to see that no model is concerned."""
    bare = tmp_path / "origin.git"
    shutil.copytree(start, bare)
    run_git(tmp_path, "clone", "--quiet", "--branch=main", str(bare), "ann")
    (tmp_path / "ann" / "notes.md").write_text("Notes\n", "utf-8")
    for args in (
        ("add", "."),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "Notes"),
        ("push", "--quiet", "origin", "HEAD:refs/pull/2/merge"),
    ):
        run_git(tmp_path / "ann", *args)
    job = checked_out(bare, tmp_path / "job", "refs/pull/2/merge", 2)
    monkeypatch.chdir(job)
    (tmp_path / "packs").touch()
    assert fetched(job, Caller(capsys), "ci", "check", "--base", "HEAD^1") == 0


@pytest.fixture(scope="module")
def untagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A remote that refuses tags, with a version proposed, the last of many runs."""
    folder = tmp_path_factory.mktemp("untagged")
    bare = origin(folder)
    (ann,) = team(folder, bare, "ann")
    refuse(bare)
    ledgers.append(bare, ledgers.make_runs(RUNS))
    ann.pull()
    register(ann, run=log(ann))
    done = promoting.promote(ann.place, "churn", "production")
    assert done.published is not None
    merge(ann, done.published.branch)
    run_git(bare, "update-ref", "refs/pull/1/merge", "main")
    return bare


@pytest.mark.parametrize("name", ["check", "sync"])
def test_a_version_without_a_tag_costs_a_few_folders(
    name: str,
    untagged: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That its run is in the ledger is asked of the remote, and no clone becomes a partial one."""
    bare = tmp_path / "origin.git"
    shutil.copytree(untagged, bare)
    command, ref, depth = JOBS[name]
    job = checked_out(bare, tmp_path / "job", ref, depth)
    monkeypatch.chdir(job)
    monkeypatch.setenv("GITML_TEST_CI", "1")
    assert 0 < fetched(job, Caller(capsys), *command) < MOST
    assert "gitml/runs" not in run_git(job, "for-each-ref")
    assert "promisor" not in run_git(job, "config", "--local", "--list")
    if name == "sync":
        assert tags(bare) == ["churn#production#1", "churn@v1.0.0"]


def test_a_job_that_needs_the_ledger_gets_it(
    start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measure sees a ledger when one comes."""
    job = checked_out(start, tmp_path / "job", "refs/heads/main", 1)
    monkeypatch.chdir(job)
    assert fetched(job, Caller(capsys), "pull") > 10 * MOST
