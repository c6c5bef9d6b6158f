"""The doctor: finds what is wrong, and the command that it names puts it right."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from gitml import locks, storage
from gitml.cli.main import run
from gitml.errors import GitError
from gitml.tracking import (
    autopush,
    changes,
    doctor,
    finishing,
    garbage,
    live,
    names,
    recording,
    refusals,
    starting,
    store,
)
from gitml.tracking.autopush import Outcome
from gitml.tracking.doctor import ERROR, NOTE, WARNING, Finding, examine, machine, repair, sharing
from gitml.tracking.place import Place
from gitml.tracking.starting import Wish
from tests import trainings
from tests.clones import BIG, LEDGER, Clone, records, team
from tests.conftest import run_git

TRACKING = "refs/remotes/origin/gitml/runs"
no_scripts = pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")


@pytest.fixture
def pair(tmp_path: Path, bare: Path) -> tuple[Clone, Clone]:
    """Two healthy clones that share a git remote and a DVC remote."""
    one, two = team(tmp_path, bare, "ann", "bob", dvc=True)
    return one, two


@pytest.fixture
def ann(pair: tuple[Clone, Clone]) -> Clone:
    """One healthy clone."""
    return pair[0]


def matter(one: Clone) -> list[Finding]:
    """The findings that are more than a note."""
    return [item for item in examine(one.place) if item.severity != NOTE]


def matter_of(place: Place) -> list[Finding]:
    """The same, of a place that was found before."""
    return [item for item in examine(place) if item.severity != NOTE]


def only(one: Clone, word: str, severity: str) -> Finding:
    """The one finding that matters; it mentions `word`."""
    (finding,) = matter(one)
    assert word in finding.what
    assert finding.severity == severity
    return finding


def cure(one: Clone, finding: Finding, *, code: int = 0) -> None:
    """Do what a finding says, as the user would; it ends with the exit code `code`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path}
    done = subprocess.run(
        finding.fix,
        shell=True,
        cwd=one.folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"{finding.fix}: {done.stderr}"


# -- all is well -----------------------------------------------------------------------------


def test_a_healthy_repository_has_nothing_that_matters(pair: tuple[Clone, Clone]) -> None:
    """Before the first run, with runs, after a push, and in a clone that only reads."""
    ann, bob = pair
    assert matter(ann) == []
    ann.run("one", files={"model.bin": bytes(BIG)})
    ann.run("two")
    assert matter(ann) == []
    ann.push()
    assert matter(ann) == []
    bob.git("fetch", "--quiet")
    assert matter(bob) == []


def test_versions_are_named(ann: Clone) -> None:
    """For a bug report."""
    (note,) = (item for item in examine(ann.place) if "Python" in item.what)
    assert note.severity == NOTE
    assert "gitml" in note.what
    assert "git 2." in note.what


def test_looking_changes_nothing(ann: Clone) -> None:
    """Not a ref, not a file of the user's."""
    ann.run("one")
    before = ann.git("for-each-ref"), ann.git("status", "--short"), ann.git("config", "--list")
    examine(ann.place)
    after = ann.git("for-each-ref"), ann.git("status", "--short"), ann.git("config", "--list")
    assert after == before


def test_a_check_that_fails_is_a_finding(ann: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thing that is broken does not hide the others."""

    def broken_check(place: object) -> Iterator[Finding]:
        raise GitError("out of order")

    monkeypatch.setattr(doctor, "CHECKS", (broken_check, machine.versions))
    found = examine(ann.place)
    assert [item.severity for item in found] == [ERROR, NOTE]
    assert "out of order" in found[0].what
    assert found[0].fix == "git fsck --full"


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (PermissionError(13, "Permission denied", "a folder"), "chmod -R u+rwX 'a folder'"),
        (GitError("git failed: fatal: bad config line 3"), "git config --edit"),
        (GitError("the ledger can't be read; run: git fetch origin"), "git fetch origin"),
    ],
)
def test_a_check_that_fails_has_a_cure(
    ann: Clone, monkeypatch: pytest.MonkeyPatch, error: Exception, fix: str
) -> None:
    """The error says it itself, or its kind does."""

    def broken_check(place: object) -> Iterator[Finding]:
        raise error

    monkeypatch.setattr(doctor, "CHECKS", (broken_check,))
    assert [item.fix for item in examine(ann.place)] == [fix]


# -- the machine -----------------------------------------------------------------------------


def program(folder: Path, name: str, script: str) -> Path:
    """An executable script in a folder that is to be on PATH; the folder."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return folder


def real_git() -> str:
    """Where git is."""
    found = shutil.which("git")
    assert found is not None
    return found


@no_scripts
def test_an_old_git_is_an_error(
    ann: Clone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The one that is first on PATH counts; the oldest version that will do is named."""
    older = f"""
        case " $* " in *" --version ") echo "git version 2.25.1"; exit ;; esac
        exec {shlex.quote(real_git())} "$@"
    """
    folder = program(tmp_path / "old", "git", older)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    finding = only(ann, "git 2.25.1 is too old", ERROR)
    assert "2.34" in finding.fix


@no_scripts
def test_no_git_at_all_is_told_in_one_line(
    ann: Clone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the version to install."""
    place = ann.place
    monkeypatch.setenv("PATH", str(tmp_path))
    assert {"git is not installed" in item.what for item in matter_of(place)} == {True}
    assert "2.34" in matter_of(place)[0].what


def test_a_missing_identity_is_named(ann: Clone) -> None:
    """Runs are recorded all the same, under gitml's name."""
    ann.git("config", "--unset", "user.email")
    finding = only(ann, "user.email", WARNING)
    cure(ann, finding)
    assert matter(ann) == []


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs a file system of its own")
@pytest.mark.parametrize(("size", "severity"), [("50m", ERROR), ("500m", WARNING), ("5g", None)])
def test_a_full_disk(ann: Clone, tmp_path: Path, size: str, severity: str | None) -> None:
    """Under 100 MB nothing much will work, under 1 GB not for long."""
    disk = tmp_path / "disk"
    disk.mkdir()
    shell = (
        f"mount -t tmpfs -o size={size} none {disk} && cp -r {ann.folder} {disk}/it"
        f" && cd {disk}/it && {sys.executable} -m gitml doctor --format json; echo code=$? >&2"
    )
    root = () if os.geteuid() == 0 else ("--map-root-user",)
    argv = ("unshare", *root, "--mount", "sh", "-c", shell)
    done = subprocess.run(
        argv, capture_output=True, text=True, env=trainings.environment(), check=False
    )
    if not done.stdout:
        pytest.skip("mounting is not allowed here")
    found = [item for item in json.loads(done.stdout) if item["severity"] != NOTE]
    assert [item["severity"] for item in found] == ([severity] if severity else [])
    assert all("MB left" in item["what"] for item in found)
    assert done.stderr.endswith(f"code={int(severity == ERROR)}\n")


def test_a_clock_that_is_behind(ann: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest run stands on a commit of somebody whose clock is two hours ahead."""
    with monkeypatch.context() as ahead:
        ahead.setenv("GIT_COMMITTER_DATE", f"@{int(time.time()) + 7260} +0000")
        ann.git("commit", "--quiet", "--allow-empty", "--message", "From the future")
    ann.run("one")
    finding = only(ann, "minutes behind", WARNING)
    assert re.search(r"\b1(20|21) minutes behind", finding.what)
    assert "set the clock" in finding.fix


def test_a_network_file_system_is_noted(ann: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """It works, but locks may not reach other machines."""
    monkeypatch.setattr(machine, "is_on_network", lambda folder: True)
    assert matter(ann) == []
    assert [item for item in examine(ann.place) if "network file system" in item.what]


@no_scripts
def test_missing_git_lfs(ann: Clone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only where the repository uses it; and where it is there, but not set up."""
    if (Path(ann.git("--exec-path")) / "git-lfs").exists():
        pytest.skip("git-lfs is a part of git here")
    without = program(tmp_path / "bin", "git", f'exec {shlex.quote(real_git())} "$@"')
    monkeypatch.setenv("PATH", str(without))
    (ann.folder / "data").mkdir()
    (ann.folder / "data" / ".gitattributes").write_text(
        "*.bin filter=lfs diff=lfs merge=lfs -text\n"
    )
    assert matter(ann) == []
    ann.git("add", "data/.gitattributes")
    finding = only(ann, "Git LFS, which is not installed", WARNING)
    assert "git lfs install" in finding.fix
    program(without, "git-lfs", 'test "$1" = version && echo git-lfs/3.0.0')
    assert only(ann, "installed but not set up", WARNING).fix == "git lfs install"
    ann.git("config", "filter.lfs.clean", "git-lfs clean -- %f")
    assert matter(ann) == []


# -- the ledger ------------------------------------------------------------------------------


def test_a_branch_in_the_way(ann: Clone) -> None:
    """A branch called gitml; the run that could not be recorded is, afterwards."""
    ann.git("branch", "gitml")
    with pytest.raises(GitError):
        ann.run("waiting")
    found = matter(ann)
    assert "leaves no room" in found[0].what
    cure(ann, found[0])
    assert matter(ann) == []
    assert set(ann.records()) == {"waiting"}


def test_a_fetched_branch_in_the_way(ann: Clone, bare: Path) -> None:
    """A branch called gitml at the remote leaves no room for the ledger there."""
    run_git(bare, "branch", "gitml", "main")
    ann.run("one")
    finding = only(ann, "the remote has a branch 'gitml'", ERROR)
    cure(ann, finding)
    ann.push()
    assert set(records(bare)) == {"one"}
    assert run_git(bare, "for-each-ref", "refs/heads/gitml-old")


def test_a_remote_tracking_branch_in_the_way(ann: Clone) -> None:
    """It was fetched when the remote had it."""
    ann.git("update-ref", "refs/remotes/origin/gitml", "main")
    cure(ann, only(ann, "refs/remotes/origin/gitml", ERROR))
    assert matter(ann) == []


def test_a_ledger_that_is_checked_out(ann: Clone) -> None:
    """The error names the way back, and what waits is recorded."""
    ann.run("one")
    ann.git("switch", "--quiet", "gitml/runs")
    with pytest.raises(GitError):
        ann.run("two")
    found = [item for item in matter(ann) if "checked out" in item.what]
    cure(ann, found[0])
    assert matter(ann) == []
    assert set(ann.records()) == {"one", "two"}


def test_a_ledger_that_is_checked_out_elsewhere(ann: Clone, tmp_path: Path) -> None:
    """In another work tree of the repository; the folder is named."""
    ann.run("one")
    ann.git("worktree", "add", "--quiet", str(tmp_path / "look"), "gitml/runs")
    finding = only(ann, "checked out", ERROR)
    assert "look" in finding.what
    run_git(tmp_path / "look", "switch", "--quiet", "--create", "look")
    run_git(tmp_path / "look", "switch", "--quiet", "gitml/runs")
    cure(ann, finding)
    assert matter(ann) == []


@pytest.mark.parametrize("damage", ["garbage", "gone"])
@pytest.mark.parametrize("pushed", [True, False])
def test_a_broken_ledger_is_restored(ann: Clone, damage: str, pushed: bool) -> None:
    """From where it was before, or from what the remote has: no run is lost that can be had."""
    ann.run("one")
    ann.run("two")
    if pushed:
        ann.push()
    path = ann.folder / ".git" / LEDGER
    path.write_text("garbage\n" if damage == "garbage" else f"{'1' * 40}\n")
    if pushed:
        (ann.folder / ".git" / "logs" / LEDGER).unlink()
    finding = next(item for item in matter(ann) if item.severity == ERROR)
    assert "can't be read" in finding.what
    assert finding.fix == "gitml doctor --fix"
    cure(ann, finding)
    assert matter(ann) == []
    assert set(ann.records()) == {"one", "two"}
    ann.run("three")
    assert set(ann.records()) == {"one", "two", "three"}


def test_a_broken_ledger_goes_back_to_what_is_whole(ann: Clone) -> None:
    """A commit whose objects are gone is passed over; a journal that waited is recorded."""
    ann.run("one")
    whole = ann.git("rev-parse", LEDGER)
    dead_run(ann)
    (ann.folder / ".git" / LEDGER).write_text(f"{'1' * 40}\n")
    done = repair(ann.place)
    assert any(whole[:10] in line for line in done)
    assert set(ann.records()) == {"one", "dead"}


def test_a_ledger_that_nothing_can_restore(ann: Clone) -> None:
    """The error says that another clone may have it."""
    ann.run("one")
    (ann.folder / ".git" / LEDGER).write_text("garbage\n")
    (ann.folder / ".git" / "logs" / LEDGER).unlink()
    with pytest.raises(GitError, match="another clone"):
        repair(ann.place)


def lose(one: Clone, name: str) -> None:
    """Remove an object from a repository."""
    run_git(one.folder, "-c", "gc.auto=0", "repack", "-a", "-d", "-q")
    packs = one.folder / ".git" / "objects" / "pack"
    moved = [path.rename(one.folder / path.name) for path in packs.glob("pack-*.pack")]
    for path in packs.glob("pack-*"):
        path.unlink()
    for path in moved:
        with path.open("rb") as pack:
            subprocess.run(("git", "unpack-objects", "-q"), cwd=one.folder, stdin=pack, check=True)
        path.unlink()
    (one.folder / ".git" / "objects" / name[:2] / name[2:]).unlink()


def test_a_missing_object_is_named_and_fetched_again(pair: tuple[Clone, Clone]) -> None:
    """A file of an older run is gone; the remote has it still."""
    ann, _ = pair
    ann.run("one")
    ann.run("two")
    ann.push()
    blob = ann.git("ls-tree", "-r", LEDGER).split("run.json")[0].split()[-2]
    lose(ann, blob)
    found = [item for item in matter(ann) if "not whole" in item.what]
    assert blob in found[0].what
    assert [item for item in matter(ann) if "gitml doctor" in item.what + item.fix] == []
    cure(ann, found[0])
    assert matter(ann) == []


def edited(one: Clone, *commands: str) -> None:
    """Commit to the ledger by hand, with changes of its index."""
    env = {**os.environ, "GIT_INDEX_FILE": str(one.folder / ".git" / "hand")}
    for command in (f"read-tree {LEDGER}", *commands):
        subprocess.run(("git", *command.split()), cwd=one.folder, env=env, check=True)
    tree = subprocess.run(
        ("git", "write-tree"), cwd=one.folder, env=env, check=True, capture_output=True, text=True
    ).stdout.strip()
    commit = one.git("commit-tree", tree, "-p", LEDGER, "-m", "by hand")
    one.git("update-ref", LEDGER, commit)


def folder_of(one: Clone, run_id: str) -> str:
    """The run's folder in the ledger."""
    record = next(record for record in one.records().values() if record.run_id == run_id)
    return names.run_path(record.experiment_id, run_id)


def test_a_run_that_somebody_removed_comes_back(ann: Clone) -> None:
    """The list of commits names it, and it has no tombstone."""
    ann.run("one")
    run_id = ann.run("two")
    edited(ann, f"rm -r -q --cached {folder_of(ann, run_id)}")
    assert set(ann.records()) == {"one"}
    finding = only(ann, run_id, ERROR)
    cure(ann, finding)
    assert matter(ann) == []
    assert set(ann.records()) == {"one", "two"}


def test_a_run_without_a_commit_gets_one(ann: Clone) -> None:
    """Somebody squashed the ledger: the files are there, the run commits are not named."""
    run_id = ann.run("one", params={"depth": 3})
    ann.run("two")
    commit = ann.git("commit-tree", f"{LEDGER}^{{tree}}", "-m", "squashed")
    ann.git("update-ref", LEDGER, commit)
    finding = only(ann, "no commit of the ledger names", ERROR)
    cure(ann, finding)
    assert matter(ann) == []
    entry = ann.place.ledger.find(run_id)
    assert entry is not None
    assert entry.record.params == {"depth": 3}
    assert ann.git("show", f"{entry.commit}:train.py") == "print('training')"
    assert '"depth": 3' in ann.git("show", f"{entry.commit}:.gitml/run/run.json")


def test_a_collected_run_is_not_missing(ann: Clone) -> None:
    """Its tombstone tells that it is gone for good."""
    run_id = ann.run("one")
    ann.run("two")
    blob = ann.git("hash-object", "-w", "--stdin")
    edited(
        ann,
        f"rm -r -q --cached {folder_of(ann, run_id)}",
        f"update-index --add --cacheinfo 100644,{blob},deleted/{run_id}",
    )
    assert matter(ann) == []


def test_a_merge_by_hand_is_healed_by_a_push(pair: tuple[Clone, Clone], bare: Path) -> None:
    """It is a warning until it is pushed as a line."""
    ann, bob = pair
    ann.run("one")
    bob.run("two")
    bob.push()
    ann.git("fetch", "--quiet")
    ann.git("switch", "--quiet", "gitml/runs")
    ann.git("merge", "--quiet", "--no-edit", "origin/gitml/runs")
    ann.git("switch", "--quiet", "main")
    finding = only(ann, "by hand", WARNING)
    cure(ann, finding)
    assert matter(ann) == []
    assert set(records(bare)) == {"one", "two"}


def test_a_file_that_can_not_be_read_is_named(ann: Clone) -> None:
    """A run.json that somebody broke."""
    run_id = ann.run("one")
    ann.run("two")
    (ann.folder / "broken").write_text("{")
    blob = ann.git("hash-object", "-w", "broken")
    (ann.folder / "broken").unlink()
    path = f"{folder_of(ann, run_id)}/run.json"
    edited(ann, f"update-index --cacheinfo 100644,{blob},{path}")
    assert [record.name for record in store.search(ann.place)] == ["two"]
    finding = only(ann, "run.json", WARNING)
    assert run_id in finding.what
    cure(ann, finding)
    assert matter(ann) == []
    assert set(ann.records()) == {"one", "two"}


def test_an_experiment_that_can_not_be_read_is_put_back(ann: Clone) -> None:
    """As it was when it was last written by gitml."""
    ann.run("one")
    store.change_experiment(
        ann.place, "default", lambda item: replace(item, description="Which customers leave")
    )
    blob = ann.git("hash-object", "-w", "train.py")
    edited(ann, f"update-index --cacheinfo 100644,{blob},runs/default/experiment.json")
    cure(ann, only(ann, "experiment.json", WARNING))
    assert matter(ann) == []
    (found,) = store.experiments(ann.place)
    assert found.description == "Which customers leave"


def test_a_run_of_a_newer_gitml_asks_for_an_upgrade(ann: Clone) -> None:
    """Nothing is put back then: it is not damaged."""
    run_id = ann.run("one")
    document = ann.git("show", f"{LEDGER}:{folder_of(ann, run_id)}/run.json")
    (ann.folder / "newer").write_text(document.replace('"schema": 1', '"schema": 2'))
    blob = ann.git("hash-object", "-w", "newer")
    (ann.folder / "newer").unlink()
    edited(ann, f"update-index --cacheinfo 100644,{blob},{folder_of(ann, run_id)}/run.json")
    assert only(ann, "schema 2", WARNING).fix == "pip install --upgrade gitml"
    assert repair(ann.place) == []


def test_a_shallow_clone_is_noted(ann: Clone, tmp_path: Path, bare: Path) -> None:
    """What can't be seen is not taken for missing."""
    ann.run("one")
    ann.run("two")
    ann.push()
    run_git(
        tmp_path, "clone", "--quiet", "--depth=1", "--no-single-branch", f"file://{bare}", "flat"
    )
    flat = Clone(tmp_path / "flat")
    flat.git("branch", "gitml/runs", "origin/gitml/runs")
    flat.git("config", "user.name", "x")
    flat.git("config", "user.email", "x")
    assert matter(flat) == []
    (note,) = (item for item in examine(flat.place) if "shallow" in item.what)
    cure(flat, note)
    assert [item for item in examine(flat.place) if "shallow" in item.what] == []


# -- runs that are not recorded --------------------------------------------------------------


def dead_run(one: Clone, resume: str = "") -> str:
    """A run whose process was killed, or one of which a later process was."""
    script = """
import os, sys
from pathlib import Path
from gitml.tracking import starting
from gitml.tracking.starting import Wish
from tests.clones import Clone
place = Clone(Path(sys.argv[1])).place
resumed = starting.resume(place, sys.argv[2]) if sys.argv[2] else None
session, record = resumed or starting.start(place, Wish(name="dead"))
session.metric("auc", 0.5, 0, 1)
print(record.run_id, flush=True)
os._exit(9)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(one.folder), resume],
        cwd=Path(__file__).resolve().parent.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip()


def test_files_whose_journal_was_removed_are_named(ann: Clone) -> None:
    """Nobody can record them; to recover would come to nothing."""
    run = live.folder(ann.place.home, names.new_run_id())
    run.files.mkdir(parents=True)
    (run.files / "staged").touch()
    finding = only(ann, "journal", WARNING)
    assert run.run_id in finding.what
    cure(ann, finding)
    assert matter(ann) == []


def test_a_dead_run_is_recovered(ann: Clone) -> None:
    """The doctor only says so; the command records it."""
    run_id = dead_run(ann)
    finding = only(ann, run_id, WARNING)
    cure(ann, finding)
    assert matter(ann) == []
    assert set(ann.records()) == {"dead"}


def test_a_damaged_journal_is_told(ann: Clone) -> None:
    """How many lines are lost; the rest is recovered."""
    run_id = dead_run(ann)
    (journal,) = ann.place.live_run(run_id).folder.glob("*.jsonl")
    lines = journal.read_bytes().split(b"\n")
    lines[1] = lines[1][:-3]
    journal.write_bytes(b"\n".join(lines))
    found = matter(ann)
    assert [item for item in found if "1 line of the journal" in item.what]
    cure(ann, found[0])
    assert matter(ann) == []


def test_a_run_that_is_lost_elsewhere(ann: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its machine is another one, and silent: the user decides whether it is dead."""
    here = live.this_process()
    there = live.Owner("node-7", here.pid, here.started, "other boot")
    monkeypatch.setattr(live, "this_process", lambda: there)
    made, record = starting.start(ann.place, Wish(name="lost"))
    made.forked()
    monkeypatch.undo()
    (journal,) = ann.place.live_run(record.run_id).folder.glob("*.jsonl")
    assert matter(ann) == []
    then = time.time() - 3600
    os.utime(journal, (then, then))
    cure(ann, only(ann, "LOST", WARNING))
    assert matter(ann) == []
    assert ann.records()["lost"].status == "KILLED"


def test_a_live_run_is_no_trouble(ann: Clone) -> None:
    """Its snapshot is held by right."""
    (ann.folder / "train.py").write_text("dirty")
    made, record = starting.start(ann.place, Wish(name="live"))
    assert ann.git("for-each-ref", "refs/gitml/live")
    assert matter(ann) == []
    finishing.finish(ann.place, made, record, "FINISHED")
    assert matter(ann) == []


def orphan(one: Clone) -> None:
    """A held snapshot of a run that began some time ago and is not there any more."""
    run_id = names.new_run_id(round(time.time() * 1000) - 600_000)
    one.git("update-ref", f"refs/gitml/live/{run_id}", "main")


def test_an_orphaned_snapshot_is_let_go(ann: Clone) -> None:
    """By the command of the finding, or with others by the doctor itself."""
    for _ in range(2):
        orphan(ann)
    first, _ = matter(ann)
    cure(ann, first)
    assert len(matter(ann)) == 1
    assert len(repair(ann.place)) == 1
    assert matter(ann) == []
    assert repair(ann.place) == []


def test_a_snapshot_that_was_just_taken_is_left(ann: Clone) -> None:
    """Its run may have no journal yet."""
    ann.git("update-ref", f"refs/gitml/live/{names.new_run_id()}", "main")
    assert matter(ann) == []
    assert repair(ann.place) == []
    assert ann.git("for-each-ref", "refs/gitml/live")


def test_a_resumed_run_is_in_order(ann: Clone) -> None:
    """While it goes on; and a resumer that was killed is recovered as a run that was killed is."""
    run_id = ann.run("one")
    session, record = starting.resume(ann.place, run_id)
    assert matter(ann) == []
    finishing.finish(ann.place, session, record, "FINISHED")
    assert dead_run(ann, resume=run_id) == run_id
    assert only(ann, run_id, WARNING).fix == "gitml recover"
    assert len(repair(ann.place)) == 1
    assert matter(ann) == []
    assert ann.git("for-each-ref", "refs/gitml/live") == ""


def test_a_run_that_was_deleted_for_good_while_it_went_on(pair: tuple[Clone, Clone]) -> None:
    """Its journal stays, whoever tries to record it says so, and the user lets go of it."""
    ann, bob = pair
    run_id = ann.run("one")
    ann.push()
    bob.pull()
    made, record = starting.resume(bob.place, run_id)
    changes.delete(ann.place, [run_id])
    garbage.collect(ann.place, garbage.plan(ann.place))
    ann.push()
    bob.pull()
    made.metric("auc", 0.8, 6, 2)
    with pytest.raises(GitError, match="deleted for good, by gitml gc, while it went on"):
        finishing.finish(bob.place, made, record, "FINISHED")
    (recovered,) = recording.recover(bob.place)
    finding = only(bob, run_id, WARNING)
    assert recovered.problem == f"{finding.what}; run: {finding.fix}"
    (journal,) = bob.place.live_run(run_id).folder.glob("*.jsonl")
    assert b'"auc"' in journal.read_bytes()
    cure(bob, finding)
    assert recording.recover(bob.place) == []
    assert matter(bob) == []


@pytest.mark.parametrize("name", ["mine", "0" * 32, f"{'0' * 32}-x", "a/b", "x-1-2"])
def test_a_ref_among_the_live_ones_is_named(ann: Clone, name: str) -> None:
    """One that gitml did not make is left to the user, and breaks nothing."""
    ann.git("update-ref", f"refs/gitml/live/{name}", "main")
    dead_run(ann)
    assert len(repair(ann.place)) == 1
    (finding,) = (item for item in examine(ann.place) if name in item.what)
    cure(ann, finding)
    assert ann.git("for-each-ref", "refs/gitml/live") == ""


@pytest.mark.parametrize("name", [f"{LEDGER}.lock", "packed-refs.lock", "index.lock"])
def test_an_old_lock_is_named(ann: Clone, name: str) -> None:
    """A lock of this moment is somebody's at work."""
    ann.run("one")
    path = ann.folder / ".git" / name
    path.touch()
    assert matter(ann) == []
    then = time.time() - 60
    os.utime(path, (then, then))
    finding = only(ann, path.name, WARNING)
    cure(ann, finding)
    assert not path.exists()


def test_the_doctor_takes_the_ledgers_own_lock_away(ann: Clone) -> None:
    """Nobody but gitml has a reason to lock the ledger's branch for long."""
    ann.run("one")
    path = ann.folder / ".git" / f"{LEDGER}.lock"
    path.touch()
    then = time.time() - 60
    os.utime(path, (then, then))
    repair(ann.place)
    assert not path.exists()


def test_who_writes_to_the_ledger_is_noted(ann: Clone) -> None:
    """With the process id, where the system tells."""
    ann.run("one")
    with locks.held(ann.place.home / "ledger.lock"):
        (note,) = (item for item in examine(ann.place) if "writing to the ledger" in item.what)
        if sys.platform == "linux":
            assert str(os.getpid()) in note.what


# -- sharing ---------------------------------------------------------------------------------


def test_without_a_remote_it_is_noted(ann: Clone) -> None:
    """Nothing is wrong with that."""
    ann.git("remote", "remove", "origin")
    assert matter(ann) == []
    assert [item for item in examine(ann.place) if item.fix == "git remote add origin URL"]


def test_a_wrong_name_of_the_remote_is_an_error(ann: Clone) -> None:
    """The repository has remotes, but not the one that the settings name."""
    ann.git("remote", "rename", "origin", "upstream")
    assert "upstream" in only(ann, "'origin'", ERROR).fix


def test_credentials_in_a_url_are_named_and_not_shown(ann: Clone) -> None:
    """The command sets the URL without them."""
    ann.git("remote", "add", "extra", "https://ada:geheim@example.org/repo.git")
    finding = only(ann, "'extra'", WARNING)
    assert "geheim" not in finding.what + finding.fix
    cure(ann, finding)
    assert ann.git("remote", "get-url", "extra") == "https://example.org/repo.git"
    assert matter(ann) == []


def test_credentials_in_the_dvc_configuration_are_named_and_not_shown(ann: Clone) -> None:
    """In the file that is committed; in config.local they are in their place."""
    config, local = (ann.folder / ".dvc" / name for name in ("config", "config.local"))
    begin = "[core]\nremote = x\n['remote \"x\"']\n"
    config.write_text(f"{begin}url = s3://bucket/x\n")
    local.write_text(f"{begin}secret_access_key = geheim\n")
    assert [item for item in examine(ann.place) if "committed" in item.what] == []
    for line, word in (
        ("url = s3://bucket/x\nsecret_access_key = geheim", "'secret_access_key'"),
        ("url = https://a:geheim@127.0.0.1:9/x", "in the URL"),
    ):
        local.unlink(missing_ok=True)
        config.write_text(f"{begin}{line}\n")
        (finding,) = (item for item in examine(ann.place) if "committed" in item.what)
        assert word in finding.what
        assert "geheim" not in finding.what + finding.fix
        cure(ann, finding)
        assert "geheim" not in config.read_text()
        assert [item for item in examine(ann.place) if "committed" in item.what] == []


def test_a_remote_that_is_gone_is_told(ann: Clone, bare: Path) -> None:
    """Being offline is no error: runs are recorded all the same."""
    ann.run("one")
    bare.rename(bare.with_name("away.git"))
    finding = only(ann, "can't be reached", WARNING)
    assert finding.fix == "git remote set-url origin URL"
    cure(ann, replace(finding, fix=finding.fix.replace("URL", str(bare.with_name("away.git")))))
    assert matter(ann) == []


@pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh")
def test_an_ssh_host_that_does_not_answer_is_no_matter_of_accounts(ann: Clone) -> None:
    """ssh itself then speaks of access rights, whatever the cause."""
    ann.git("remote", "set-url", "origin", "ssh://git@127.0.0.1:9/repo.git")
    fix = only(ann, "can't be reached", WARNING).fix
    assert fix == "wait until it is there again, or: git remote set-url origin URL"


def test_a_remote_that_never_answers_does_not_hang_the_doctor(
    ann: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while it is told as unreachable."""
    monkeypatch.setattr(sharing, "_PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections, never answers
        port = server.getsockname()[1]
        ann.git("remote", "set-url", "origin", f"git://127.0.0.1:{port}/repo.git")
        only(ann, "no answer", WARNING)


def test_a_rewritten_remote_is_an_error_until_the_runs_are_back(
    pair: tuple[Clone, Clone], bare: Path
) -> None:
    """Somebody forced the branch back, and we fetched that."""
    ann, _ = pair
    ann.run("one")
    ann.push()
    older = run_git(bare, "rev-parse", LEDGER)
    ann.run("two")
    ann.push()
    run_git(bare, "update-ref", LEDGER, older)
    ann.git("fetch", "--quiet", "origin", f"+{LEDGER}:{TRACKING}")
    finding = only(ann, "lacks 1 run", ERROR)
    cure(ann, finding)
    assert matter(ann) == []
    assert set(records(bare)) == {"one", "two"}


def test_a_deleted_remote_ledger_is_an_error(ann: Clone, bare: Path) -> None:
    """The push makes it again."""
    ann.run("one")
    ann.push()
    run_git(bare, "update-ref", "-d", LEDGER)
    cure(ann, only(ann, "lost its ledger", ERROR), code=1)  # it tells that
    assert set(records(bare)) == {"one"}
    assert matter(ann) == []


def test_runs_that_wait_for_a_push_are_noted(ann: Clone) -> None:
    """How many there are."""
    ann.run("one")
    ann.run("two")
    (finding,) = (item for item in examine(ann.place) if "2 runs not pushed" in item.what)
    cure(ann, finding)
    assert [item for item in examine(ann.place) if "not pushed" in item.what] == []


def test_pushes_that_keep_failing_are_told(ann: Clone) -> None:
    """Three in a row, with the last reason; one failure is nothing yet."""
    ann.run("one")
    place = ann.place
    for number in range(3):
        assert matter(ann) == []
        autopush._note(place, Outcome(number, 0, "the remote refuses the ledger: it protects it"))
    only(ann, "it protects it", WARNING)
    autopush._note(place, Outcome(4, 1, None))
    assert matter(ann) == []


# -- artifacts -------------------------------------------------------------------------------


def test_artifacts_without_a_place_matter_once_there_are_some(tmp_path: Path, bare: Path) -> None:
    """Without large artifacts it is a note."""
    (one,) = team(tmp_path, bare, "one")
    assert matter(one) == []
    one.run("large", files={"model.bin": bytes(BIG)})
    finding = only(one, "no DVC remote", WARNING)
    cure(one, replace(finding, fix=finding.fix.replace("DIR_OR_URL", str(tmp_path / "models"))))
    assert matter(one) == []


def test_a_broken_dvc_configuration(ann: Clone) -> None:
    """The file is named, and put back as it was committed; else DVC itself says more."""
    (ann.folder / ".dvc" / "config").write_text("[nonsense")
    ann.git("add", ".dvc/config")
    cure(ann, only(ann, "DVC configuration", ERROR))
    assert matter(ann) == []
    (ann.folder / ".dvc" / "config.local").write_text("[nonsense")
    assert only(ann, "config.local", ERROR).fix == "dvc remote list"


def test_a_remote_folder_that_can_not_be_written(ann: Clone, tmp_path: Path) -> None:
    """Here a file is in its place."""
    (tmp_path / "dvc").write_text("in the way")
    cure(ann, only(ann, "can't be written", WARNING))
    assert matter(ann) == []


@pytest.mark.skipif(os.name == "nt" or not os.getuid(), reason="root may write everywhere")
def test_a_remote_folder_that_is_read_only(ann: Clone, tmp_path: Path) -> None:
    """The folder that is in the way is named."""
    (tmp_path / "dvc").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    assert f"nothing can be made in '{tmp_path / 'dvc'}'" in only(ann, "dvc", WARNING).what


@pytest.mark.skipif(sys.platform != "linux", reason="has no /proc")
def test_a_remote_folder_that_nobody_can_make(ann: Clone) -> None:
    """Though the user may write everywhere: only trying tells."""
    config = ann.folder / ".dvc" / "config"
    config.write_text("[core]\nremote = x\n['remote \"x\"']\nurl = /proc/nope\n")
    assert "nothing can be made in '/proc'" in only(ann, "/proc/nope", WARNING).what


def test_looking_leaves_nothing_in_the_remote(ann: Clone, tmp_path: Path) -> None:
    """Whether it can be written is tried."""
    ann.run("one", files={"model.bin": bytes(BIG)})
    ann.push()
    before = sorted(tmp_path.joinpath("dvc").rglob("*"))
    assert matter(ann) == []
    assert sorted(tmp_path.joinpath("dvc").rglob("*")) == before


def test_a_remote_folder_that_is_away(ann: Clone, tmp_path: Path) -> None:
    """As a share that is not mounted, once runs need what is in it; before, it is made."""
    assert matter(ann) == []
    ann.run("one", files={"model.bin": bytes(BIG)})
    ann.push()
    (tmp_path / "dvc").rename(tmp_path / "away")
    finding = only(ann, "is not there; it has the artifacts of 1 run", ERROR)
    assert "mount it" in finding.fix
    (tmp_path / "away").rename(tmp_path / "dvc")
    assert matter(ann) == []


def test_artifacts_that_the_remote_lost_are_uploaded_again(
    pair: tuple[Clone, Clone], tmp_path: Path
) -> None:
    """By a clone that has them; another is told that it is not the one."""
    ann, bob = pair
    ann.run("one", files={"model/a": bytes(BIG), "model/b": b"b"})
    ann.run("small")
    ann.push()
    bob.pull()
    for path in (tmp_path / "dvc" / "gitml" / "files" / "md5").rglob("*.dir"):
        path.unlink()
    assert only(bob, "lacks artifacts of 1 run", ERROR).fix.startswith("in a clone that has them")
    cure(ann, only(ann, "lacks artifacts of 1 run", ERROR))
    assert matter(ann) == matter(bob) == []


def test_artifacts_that_only_an_older_remote_has_are_noted(ann: Clone, tmp_path: Path) -> None:
    """They can be read; the command copies them to the project's remote of now."""
    ann.run("one", files={"model.bin": bytes(BIG)})
    ann.push()
    config = ann.folder / ".dvc" / "config"
    config.write_text(config.read_text().replace(str(tmp_path / "dvc"), str(tmp_path / "new")))
    assert matter(ann) == []
    (note,) = (item for item in examine(ann.place) if "when they were recorded" in item.what)
    cure(ann, note)
    assert [item for item in examine(ann.place) if "when they were recorded" in item.what] == []


def test_a_package_that_is_missing_is_named(ann: Clone) -> None:
    """DVC has a package for each kind of cloud; here, the one for Google's."""
    if find_spec("dvc_gs"):
        pytest.skip("it is installed")
    config = ann.folder / ".dvc" / "config"
    config.write_text("[core]\nremote = x\n['remote \"x\"']\nurl = gs://bucket\n")
    assert only(ann, "needs the package dvc-gs", WARNING).fix == "pip install dvc-gs"


def test_a_cloud_that_can_not_be_reached(ann: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of its library, on one line."""

    def fails(*args: object) -> None:
        raise GitError("no answer within 30 seconds")

    remote = storage.Remote("gitml", "s3://bucket/gitml")
    monkeypatch.setattr(storage, "runs_remote", lambda *args: remote)
    monkeypatch.setattr(storage, "missing", fails)
    only(ann, "s3://bucket/gitml", WARNING)


def test_damaged_objects_are_told(ann: Clone) -> None:
    """They were set aside when they were read."""
    folder = ann.place.cache.root / "damaged"
    folder.mkdir(parents=True)
    (folder / ("1" * 32)).write_text("other bytes")
    cure(ann, only(ann, "1 object in the cache", WARNING))
    assert matter(ann) == []


# -- what forges say -------------------------------------------------------------------------

SAID = {
    "pull requests only": (
        "GH006: Protected branch update failed for refs/heads/gitml/runs. Changes must be made"
        " through a pull request.",
        "GH013: Repository rule violations found for refs/heads/gitml/runs. - Changes must be made"
        " through a pull request.",
        "Branch refs/heads/gitml/runs can only be modified through pull requests.",
        "TF402455: Pushes to this branch are not permitted; you must use a pull request",
    ),
    "require linear history": (
        "GH013: Repository rule violations found. - This branch must not contain merge commits.",
        "you are not allowed to upload merges",
    ),
    "require signed commits": (
        "GH006: Protected branch update failed. Commits must have verified signatures.",
        "Commit must be signed with a GPG key",
    ),
    "status checks": (
        'GH006: Protected branch update failed. Required status check "ci" is expected.',
    ),
    "protects gitml/runs": (
        "GitLab: You are not allowed to push code to protected branches on this project.",
        "Gitea: Not allowed to push to protected branch gitml/runs",
        "GH013: Repository rule violations found. - Cannot update this protected ref.",
    ),
    "names of branches and tags": (
        "GH013: Repository rule violations found. - Cannot create ref due to creations being"
        " restricted.",
        "Branch name 'gitml/runs' does not follow the pattern '^feature/'",
    ),
    "artifacts.inline_unit": (
        "GH001: Large files detected. File x is 120.00 MB; this exceeds GitHub's file size limit",
        'File "x" is larger than the allowed size of 10 MB',
        "VS403654: The push was rejected because it contains a file(s) larger than 100 MB",
    ),
    "`workflow` scope": (
        "refusing to allow an OAuth App to create or update workflow `.github/workflows/ci.yml`"
        " without `workflow` scope",
        "refusing to allow a GitHub App to create or update workflow `.github/workflows/ci.yml`"
        " without `workflows` permission",
    ),
    "take the secret out": (
        "GH013: Repository rule violations found. - GITHUB PUSH PROTECTION - Push cannot contain"
        " secrets",
    ),
    "e-mail address": (
        "GH007: Your push would publish a private email address.",
        "You can only push commits if the committer email is one of your own verified emails.",
    ),
    "does not let you write": (
        "Permission to o/r.git denied to ada.",
        "The requested URL returned error: 403",
        "could not read Username for 'https://github.com': terminal prompts disabled",
    ),
    "git remote set-url origin URL": (
        "fatal: '/srv/gone' does not appear to be a git repository",
        "fatal: repository 'https://example.org/gone/' not found",
        "ERROR: Repository not found.",
    ),
    "rename that branch": (
        "cannot lock ref 'refs/heads/gitml/runs': 'refs/heads/gitml' exists; cannot create"
        " 'refs/heads/gitml/runs'",
    ),
}


@pytest.mark.parametrize(
    ("meaning", "said"), [(meaning, said) for meaning, all_ in SAID.items() for said in all_]
)
def test_the_words_of_forges_are_known(meaning: str, said: str) -> None:
    """Each is told as what it means, with the setting to change."""
    assert meaning in refusals.reason(f"[remote rejected] (pre-receive hook declined) {said}")


@pytest.mark.parametrize(
    ("said", "of_run"),
    [(said, meaning in {"artifacts.inline_unit", "`workflow` scope", "take the secret out"})
     for meaning, all_ in SAID.items() for said in all_],
)  # fmt: skip
def test_what_is_wrong_with_one_run_is_told_from_what_is_wrong_with_all(
    said: str, of_run: bool
) -> None:
    """Contents are a single run's fault; rules about the branch concern every run."""
    known = refusals.explain(said)
    assert known is not None
    assert known.of_run == of_run


def test_words_that_nobody_knows_are_repeated() -> None:
    """On one line, cut at a length that fits, with the doctor to ask."""
    text = refusals.reason("computer\nsays  no " * 100)
    assert text.startswith("computer says no computer")
    assert text.endswith("; run: gitml doctor")
    assert len(text) < 400


# -- the command -----------------------------------------------------------------------------


def test_the_command_ends_with_1_on_an_error(
    ann: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Warnings and notes are no reason to fail; each line is followed by its command."""
    monkeypatch.chdir(ann.folder)
    orphan(ann)
    assert run(["doctor"]) == 0
    assert "warning" in capsys.readouterr().out
    ann.git("branch", "gitml")
    assert run(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("error")
    assert lines[1].strip() == "git branch -m gitml gitml-old && gitml recover"


def test_the_command_in_json(
    ann: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The keys are a contract."""
    monkeypatch.chdir(ann.folder)
    assert run(["doctor", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found
    assert {frozenset(item) for item in found} == {frozenset({"severity", "what", "fix"})}


def test_a_broken_gitml_yaml_is_a_finding_like_others(
    ann: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other checks are made with the default settings, and nothing is repaired by them."""
    monkeypatch.chdir(ann.folder)
    ann.run("one")
    (ann.folder / "gitml.yaml").write_text("a: [\n")
    (ann.folder / ".git" / LEDGER).write_text("garbage\n")
    assert run(["doctor", "--fix", "--format", "json"]) == 1
    out, err = capsys.readouterr()
    first, *others = json.loads(out)
    assert first["severity"] == ERROR
    assert "gitml.yaml: line 2" in first["what"]
    assert first["fix"].startswith("edit ")
    assert [item for item in others if "can't be read" in item["what"]]
    assert "nothing was repaired" in err
    assert (ann.folder / ".git" / LEDGER).read_text() == "garbage\n"


def test_the_command_repairs(
    ann: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was done is told."""
    monkeypatch.chdir(ann.folder)
    ann.run("one")
    (ann.folder / ".git" / LEDGER).write_text("garbage\n")
    assert run(["doctor"]) == 1
    assert run(["doctor", "--fix"]) == 0
    assert "is at" in capsys.readouterr().err
