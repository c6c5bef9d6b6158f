"""Every state that a repository can be in: runs are recorded, and nothing of the user's changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from gitml import git as gate
from gitml.errors import NoRepositoryError
from gitml.tracking import holding
from tests import invariants, trainings
from tests.conftest import Git, new_repository, run_git

HOOKS = """applypatch-msg commit-msg fsmonitor-watchman post-applypatch post-checkout post-commit
    post-index-change post-merge post-rewrite pre-applypatch pre-auto-gc pre-commit pre-merge-commit
    pre-push pre-rebase prepare-commit-msg reference-transaction sendemail-validate""".split()

TRAINING = """
from gitml.tracking import changes
from gitml.tracking.fluent.place import place

with mlflow.start_run() as run:
    me = run.info.run_id
    said(run=me, started=True)
    param("lr", 0.1, me)
    metric("loss", 0.5, 1, me)
    text("notes.txt", "some notes", me)
    text("Notes.txt", "other notes", me)
    text("Plots/a.txt", "a", me)
    text("plots/b.txt", "b", me)
said(run=me, ended="FINISHED")
if "only-record" not in sys.argv:
    with mlflow.start_run(run_id=me):
        metric("loss", 0.25, 2, me)
    changes.tag(place(), me, {"team": "blue"})
    said(run=me, tag=["team", "blue"])
    found = mlflow.search_runs(output_format="list")
    assert [run.info.run_id for run in found] == [me], found
    assert found[0].data.metrics == {"loss": 0.25}, found
"""


class Where(NamedTuple):
    """Where a training runs: the current folder, and what is added to its environment."""

    folder: Path
    env: Mapping[str, str] = {}


def without_commits(repo: Path, tmp: Path) -> Where:
    """No commit yet, and a file in the index."""
    run_git(tmp, "init", "--quiet", "new")
    (tmp / "new" / "staged.py").write_text("staged = True\n")
    run_git(tmp / "new", "add", "staged.py")
    return Where(tmp / "new")


def detached(repo: Path, tmp: Path) -> Where:
    """HEAD is a commit."""
    run_git(repo, "checkout", "--quiet", "--detach")
    return Where(repo)


def bare(repo: Path, tmp: Path) -> Where:
    """There is no work tree."""
    run_git(tmp, "clone", "--quiet", "--bare", str(repo), "bare.git")
    return Where(tmp / "bare.git")


def worktree(repo: Path, tmp: Path) -> Where:
    """A second work tree of the repository."""
    run_git(repo, "worktree", "add", "--quiet", str(tmp / "tree"), "-b", "other")
    return Where(tmp / "tree")


def submodule(repo: Path, tmp: Path) -> Where:
    """Inside of a submodule, whose git directory is another's."""
    outer = new_repository(tmp / "outer")
    file = ("-c", "protocol.file.allow=always")
    run_git(outer, *file, "submodule", "--quiet", "add", str(repo), "inner")
    run_git(outer, "commit", "--quiet", "--message", "With a submodule")
    (outer / "inner" / "train.py").write_text("print('changed')\n")
    return Where(outer / "inner")


def around_a_submodule(repo: Path, tmp: Path) -> Where:
    """A submodule that has moved on and has files of its own."""
    inside = submodule(repo, tmp)
    run_git(inside.folder, "-c", "user.name=a", "-c", "user.email=b", "commit", "-qam", "ahead")
    (inside.folder / "new.py").touch()
    return Where(inside.folder.parent)


def shallow(repo: Path, tmp: Path) -> Where:
    """A clone of depth 1."""
    run_git(repo, "commit", "--quiet", "--allow-empty", "--message", "Second")
    run_git(tmp, "clone", "--quiet", "--depth=1", f"file://{repo}", "shallow")
    return Where(tmp / "shallow")


def partial(repo: Path, tmp: Path) -> Where:
    """A clone without blobs, which git fetches when they are asked for."""
    run_git(repo, "config", "uploadpack.allowFilter", "true")
    (repo / "more.py").write_text("more = True\n")
    run_git(repo, "add", "more.py")
    run_git(repo, "commit", "--quiet", "--message", "Second")
    run_git(tmp, "clone", "--quiet", "--filter=blob:none", f"file://{repo}", "partial")
    (tmp / "partial" / "train.py").write_text("print('changed')\n")
    return Where(tmp / "partial")


def two_sides(repo: Path) -> None:
    """A branch `side` whose change of train.py conflicts with that of main."""
    run_git(repo, "checkout", "--quiet", "-b", "side")
    (repo / "train.py").write_text("print('side')\n")
    run_git(repo, "commit", "--quiet", "--all", "--message", "Side")
    run_git(repo, "checkout", "--quiet", "main")
    (repo / "train.py").write_text("print('main')\n")
    run_git(repo, "commit", "--quiet", "--all", "--message", "Main")


def failing(repo: Path, *args: str) -> None:
    """Run a git command that stops half-way."""
    assert subprocess.run(("git", *args), cwd=repo, capture_output=True, check=False).returncode


def in_a_merge(repo: Path, tmp: Path) -> Where:
    """A merge has stopped at a conflict."""
    two_sides(repo)
    failing(repo, "merge", "side")
    return Where(repo)


def in_a_rebase(repo: Path, tmp: Path) -> Where:
    """A rebase has stopped at a conflict."""
    two_sides(repo)
    failing(repo, "rebase", "side")
    return Where(repo)


def in_a_bisect(repo: Path, tmp: Path) -> Where:
    """A bisection goes on."""
    two_sides(repo)
    run_git(repo, "bisect", "start", "main", "main~1")
    return Where(repo)


def locked_index(repo: Path, tmp: Path) -> Where:
    """Another git holds the index, or has died with it."""
    (repo / "train.py").write_text("print('changed')\n")
    (repo / ".git" / "index.lock").touch()
    return Where(repo)


def nobody(repo: Path, tmp: Path) -> Where:
    """Nobody has said who he is."""
    run_git(repo, "config", "--unset", "user.name")
    run_git(repo, "config", "--unset", "user.email")
    run_git(repo, "config", "user.useConfigOnly", "true")
    return Where(repo, {"HOME": "", "USER": "", "LOGNAME": "", "XDG_CONFIG_HOME": ""})


def failing_hooks(repo: Path, tmp: Path) -> Where:
    """Every hook fails."""
    plant_hooks(repo / ".git" / "hooks")
    return Where(repo)


def plant_hooks(folder: Path) -> None:
    """Hooks of every kind, each of which fails, and leaves a trace when it runs."""
    folder.mkdir(exist_ok=True)
    for name in HOOKS:
        hook = folder / name
        hook.write_text(f"#!/bin/sh\ntouch {folder}/ran-{name}\nexit 1\n")
        hook.chmod(0o755)


def hooks_elsewhere(repo: Path, tmp: Path) -> Where:
    """Every hook fails, and so does the file system monitor."""
    plant_hooks(tmp / "hooks")
    run_git(repo, "config", "core.hooksPath", str(tmp / "hooks"))
    run_git(repo, "config", "core.fsmonitor", str(tmp / "hooks" / "fsmonitor-watchman"))
    return Where(repo)


def signing_without_a_key(repo: Path, tmp: Path) -> Where:
    """Every commit is to be signed, and can't be."""
    for setting in ("commit.gpgSign", "tag.gpgSign", "log.showSignature"):
        run_git(repo, "config", setting, "true")
    run_git(repo, "config", "user.signingKey", "nobody")
    run_git(repo, "config", "gpg.program", "/bin/false")
    return Where(repo)


def git_in_the_environment(repo: Path, tmp: Path) -> Where:
    """The environment speaks of another repository, as in a hook of its."""
    other = new_repository(tmp / "other")
    env = {
        "GIT_DIR": str(other / ".git"),
        "GIT_WORK_TREE": str(other),
        "GIT_INDEX_FILE": str(other / ".git" / "index"),
        "GIT_OBJECT_DIRECTORY": str(other / ".git" / "objects"),
        "GIT_NAMESPACE": "other",
        "GIT_AUTHOR_DATE": "nonsense",
        "GIT_TRACE": "1",
    }
    return Where(repo, env)


def sha256(repo: Path, tmp: Path) -> Where:
    """Object ids have 64 digits."""
    folder = tmp / "sha256"
    run_git(tmp, "init", "--quiet", "--object-format=sha256", str(folder))
    (folder / "train.py").write_text("print('training')\n")
    run_git(folder, "add", "train.py")
    run_git(folder, "-c", "user.name=a", "-c", "user.email=b", "commit", "-qm", "First")
    (folder / "train.py").write_text("print('changed')\n")
    return Where(folder)


def sha256_without_commits(repo: Path, tmp: Path) -> Where:
    """Object ids have 64 digits, and there is none."""
    run_git(tmp, "init", "--quiet", "--object-format=sha256", "new256")
    return Where(tmp / "new256")


def sparse(repo: Path, tmp: Path) -> Where:
    """Not everything is checked out, nor in the index."""
    for name in ("in", "out"):
        (repo / name).mkdir()
        (repo / name / "code.py").write_text(f"{name} = True\n")
    run_git(repo, "add", ".")
    run_git(repo, "commit", "--quiet", "--message", "Folders")
    run_git(repo, "sparse-checkout", "set", "--sparse-index", "in")
    (repo / "train.py").write_text("print('changed')\n")
    return Where(repo)


def not_looked_at(repo: Path, tmp: Path) -> Where:
    """git was told not to look at a file."""
    run_git(repo, "update-index", "--assume-unchanged", "train.py")
    (repo / "train.py").write_text("print('changed, and git does not look')\n")
    return Where(repo)


def with_filter(repo: Path, name: str, *settings: str) -> Where:
    """A changed file goes through a filter."""
    (repo / ".gitattributes").write_text(f"*.bin filter={name} diff={name} merge={name} -text\n")
    (repo / "model.bin").write_bytes(b"model")
    run_git(repo, "add", ".")
    run_git(repo, "commit", "--quiet", "--message", "Binary")
    for setting in settings:
        run_git(repo, "config", *setting.split("=", 1))
    (repo / "model.bin").write_bytes(b"changed")
    (repo / "train.py").write_text("print('changed')\n")
    return Where(repo)


def large_files(repo: Path, tmp: Path) -> Where:
    """A changed file is Git LFS's, and that does not work."""
    return with_filter(repo, "lfs", "filter.lfs.clean=false", "filter.lfs.required=true")


def failing_filter(repo: Path, tmp: Path) -> Where:
    """A changed file can't be filtered."""
    return with_filter(repo, "bad", "filter.bad.clean=false", "filter.bad.required=true")


def split_index(repo: Path, tmp: Path) -> Where:
    """The index is in two files, of which one can expire."""
    run_git(repo, "config", "core.splitIndex", "true")
    run_git(repo, "config", "splitIndex.sharedIndexExpire", "now")
    run_git(repo, "update-index", "--split-index")
    (repo / "train.py").write_text("print('changed')\n")
    return Where(repo)


def many_files(repo: Path, tmp: Path) -> Where:
    """The index has another format and holds untracked files too."""
    run_git(repo, "config", "feature.manyFiles", "true")
    run_git(repo, "update-index", "--index-version", "4", "--untracked-cache")
    (repo / "train.py").write_text("print('changed')\n")
    return Where(repo)


def line_endings(repo: Path, tmp: Path) -> Where:
    """Line endings are converted, and unsafe ones refused."""
    run_git(repo, "config", "core.autocrlf", "true")
    run_git(repo, "config", "core.safecrlf", "true")
    (repo / "train.py").write_bytes(b"print('changed')\r\n")
    return Where(repo)


def without_case(repo: Path, tmp: Path) -> Where:
    """The work tree's file system takes `A` and `a` for one name, or git was told so."""
    for name in ("core.ignoreCase", "core.precomposeUnicode", "core.protectNTFS"):
        run_git(repo, "config", name, "true")
    return Where(repo)


def odd_settings(repo: Path, tmp: Path) -> Where:
    """Settings that change what git prints and does."""
    settings = {
        "core.logAllRefUpdates": "always", "i18n.logOutputEncoding": "UTF-16",
        "i18n.commitEncoding": "latin1", "format.pretty": "oneline", "log.decorate": "full",
        "color.ui": "always", "core.quotePath": "true", "status.showUntrackedFiles": "no",
        "core.commentChar": "0", "core.abbrev": "4", "alias.status": "!false",
        "core.pager": "false",
        "diff.noprefix": "true", "submodule.recurse": "true", "transfer.fsckObjects": "true",
        "core.sharedRepository": "group", "user.name": "Zoë <x>", "fetch.prune": "true",
        "color.diff": "always", "trailer.separators": "=", "core.fsyncMethod": "batch",
        "core.bigFileThreshold": "1", "pack.packSizeLimit": "1m", "log.mailmap": "false",
        "user.useConfigOnly": "true", "index.version": "4", "core.checkStat": "minimal",
    }  # fmt: skip
    for name, value in settings.items():
        run_git(repo, "config", name, value)
    return Where(repo)


def odd_path(repo: Path, tmp: Path) -> Where:
    """The path and an untracked file have odd names."""
    folder = tmp / "a folder with spaces, ümlaut and 'quotes'"
    repo.rename(folder)
    (folder / "ünlisted file.py").touch()
    (folder / "train.py").write_text("print('changed')\n")
    return Where(folder)


def behind_a_link(repo: Path, tmp: Path) -> Where:
    """The current folder is a link to the repository."""
    (tmp / "link").symlink_to(repo)
    return Where(tmp / "link")


def replaced(repo: Path, tmp: Path) -> Where:
    """One commit stands for another."""
    two_sides(repo)
    run_git(repo, "replace", "main", "side")
    return Where(repo)


def stale_ledger_lock(repo: Path, tmp: Path) -> Where:
    """A git that moved the ledger died a long time ago."""
    return old_lock(repo, "refs/heads/gitml/runs.lock")


def old_lock(repo: Path, name: str) -> Where:
    """A lock of git's that is old."""
    lock = repo / ".git" / name
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    os.utime(lock, (1_700_000_000, 1_700_000_000))
    return Where(repo)


def locked_packed_refs(repo: Path, tmp: Path) -> Where:
    """Another git packs refs, or has died over it."""
    run_git(repo, "pack-refs", "--all")
    (repo / ".git" / "packed-refs.lock").touch()
    return Where(repo)


State = Callable[[Path, Path], Where]

STATES: list[State] = [
    around_a_submodule, bare, behind_a_link, detached, failing_filter, failing_hooks,
    git_in_the_environment, hooks_elsewhere, in_a_bisect, in_a_merge, in_a_rebase, large_files,
    line_endings, locked_index, locked_packed_refs, many_files, nobody, not_looked_at, odd_path,
    odd_settings, partial, replaced, sha256, sha256_without_commits, shallow,
    signing_without_a_key, sparse, split_index, stale_ledger_lock, submodule, without_case,
    without_commits, worktree,
]  # fmt: skip


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_runs_are_recorded_in_every_state(
    repo: Path, tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is recorded, resumed, tagged and found, and nothing of the user's is touched."""
    monkeypatch.setattr(holding, "_ORPHAN_SECONDS", 0)  # what a lock has kept goes at once
    folder, env = state(repo, tmp_path)
    script = trainings.write(tmp_path, TRAINING)
    before, others = invariants.UserState.of(folder), elsewhere(tmp_path, folder)
    outcome = trainings.run(script, cwd=folder, env=env)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert elsewhere(tmp_path, folder) == others
    for lock in ("index.lock", "packed-refs.lock"):
        if f"{folder}/.git/{lock}" in before.files:
            assert before.differences(invariants.UserState.of(folder)) == []
            (folder / ".git" / lock).unlink()
            before = invariants.UserState.of(folder)
    invariants.check(folder, outcome.acknowledged, before, in_flight=0)


def elsewhere(tmp: Path, folder: Path) -> dict[str, tuple[int, str]]:
    """The files beside the repository: those of other repositories, and what hooks leave."""
    ours = tuple({str(gate.find(folder).place), str(gate.find(folder).common_dir), str(folder)})
    found = {str(path): path for path in tmp.rglob("*") if not str(path).startswith(ours)}
    return {name: invariants.seen(path) for name, path in found.items()}


# -- states in which a run can't be recorded at once -----------------------------------------


def test_a_branch_in_the_way_keeps_the_journal(repo: Path, tmp_path: Path, git: Git) -> None:
    """A branch called `gitml` keeps the run in its journal; the warning says what to do."""
    git("branch", "gitml")
    before = invariants.UserState.of(repo)
    outcome = record(repo, tmp_path)
    assert outcome.stderr.count("RecordingWarning") == 1
    assert "git branch -m gitml gitml-old && gitml recover" in outcome.stderr
    assert before.differences(invariants.UserState.of(repo)) == []
    git("branch", "-m", "gitml", "gitml-old")
    invariants.check(repo, finished(outcome), invariants.UserState.of(repo), in_flight=0)


def record(folder: Path, tmp: Path, **env: str) -> trainings.Outcome:
    """What came of one run."""
    script = trainings.write(tmp, TRAINING)
    outcome = trainings.run(script, "only-record", cwd=folder, env=env)
    assert outcome.code == 0, outcome.stderr
    return outcome


def finished(outcome: trainings.Outcome) -> list[dict[str, object]]:
    """The acknowledged calls."""
    return outcome.acknowledged


@pytest.mark.parametrize("in_worktree", [False, True])
def test_a_ledger_that_is_checked_out_is_not_moved(
    repo: Path, tmp_path: Path, git: Git, in_worktree: bool
) -> None:
    """Where the ledger's branch is checked out its files stay as they are; the run is kept."""
    record(repo, tmp_path)
    if in_worktree:
        git("worktree", "add", "--quiet", str(tmp_path / "tree"), "gitml/runs")
    else:
        git("checkout", "--quiet", "gitml/runs")
    before = invariants.UserState.of(repo)
    outcome = record(repo, tmp_path)
    assert "gitml/runs is checked out" in outcome.stderr
    assert before.differences(invariants.UserState.of(repo)) == []
    if in_worktree:
        git("worktree", "remove", str(tmp_path / "tree"))
    else:
        git("checkout", "--quiet", "main")
    invariants.check(repo, finished(outcome), invariants.UserState.of(repo), in_flight=0)


def test_a_plain_clone_goes_on_with_the_ledger_of_its_remote(repo: Path, tmp_path: Path) -> None:
    """A clone has only `origin/gitml/runs`: its first record continues that one."""
    first = record(repo, tmp_path)
    run_git(tmp_path, "clone", "--quiet", str(repo), "clone")
    clone = tmp_path / "clone"
    before = invariants.UserState.of(clone)
    second = record(clone, tmp_path)
    runs = invariants.check(clone, finished(second), before, in_flight=0)
    assert set(runs) == {*first.runs(), *second.runs()}


without_rights = pytest.mark.skipif(
    os.name == "nt" or (os.geteuid() == 0 and shutil.which("setpriv") is None),
    reason="root may write everywhere",
)


def as_reader(
    repo: Path, script: Path, *args: str, env: Mapping[str, str] | None = None, closed: str = ""
) -> subprocess.CompletedProcess[bytes]:
    """Run a script as somebody who may read the repository, but for the folder `closed` of it."""
    folders = [Path(folder) for folder, _, _ in os.walk(repo)]
    for folder in folders:
        folder.chmod(0o555)
    if closed:
        (repo / closed).chmod(0o000)
    try:
        return without_roots_rights(repo, script, *args, env=env)
    finally:
        for folder in folders:
            folder.chmod(0o755)


def without_roots_rights(
    repo: Path, script: Path, *args: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a script that what is closed to its user is closed to, even if that is root."""
    no_rights = "--bounding-set=-dac_override,-dac_read_search"
    lame = ("setpriv", no_rights, "--inh-caps=-all", sys.executable)
    argv = lame if os.geteuid() == 0 else (sys.executable,)
    return subprocess.run(
        (*argv, str(script), *args), cwd=repo, env=trainings.environment(env),
        capture_output=True, check=False,
    )  # fmt: skip


@without_rights
def test_a_repository_that_may_only_be_read_has_its_journals_elsewhere(
    repo: Path, tmp_path: Path
) -> None:
    """Without the right to write, journals go to the user's state folder, to be recorded later."""
    large = '    text("large.bin", "x" * 300_000, me)\nsaid(run=me, ended'
    script = trainings.write(tmp_path, TRAINING.replace("said(run=me, ended", large, 1))
    before = invariants.UserState.of(repo)
    done = as_reader(repo, script, "only-record")
    assert done.returncode == 0, done.stderr
    assert b"RecordingWarning" in done.stderr
    assert not (repo / ".git" / "gitml").exists()
    calls = trainings.calls(done.stdout)
    invariants.check(repo, calls, before, in_flight=0)


READING = """
print([run.info.run_name for run in mlflow.search_runs(output_format="list")])
(run,) = mlflow.search_runs(output_format="list")
print(len(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/large.bin")))
"""


def large_run(repo: Path, tmp_path: Path) -> None:
    """Record a run with a large artifact, as the repository's owner."""
    body = TRAINING.replace(
        'text("notes.txt"', 'text("large.bin", "x" * 300_000, me)\n    text("n"'
    )
    outcome = trainings.run(trainings.write(tmp_path, body), "only-record", cwd=repo)
    assert outcome.code == 0, outcome.stderr


@without_rights
def test_who_may_only_read_sees_runs_and_their_artifacts(repo: Path, tmp_path: Path) -> None:
    """Also those artifacts that no remote has: they come from the repository's cache."""
    large_run(repo, tmp_path)
    script = trainings.write(tmp_path, READING, "read.py")
    done = as_reader(repo, script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(b"300000\n")


@without_rights
def test_a_folder_that_is_closed_to_others_stops_nobody(repo: Path, tmp_path: Path) -> None:
    """Where what is gitml's may not even be looked into, runs are listed and recorded."""
    record(repo, tmp_path)
    script = trainings.write(tmp_path, TRAINING, "more.py")
    before = invariants.UserState.of(repo)
    done = as_reader(repo, script, "only-record", closed=".git/gitml")
    assert done.returncode == 0, done.stderr
    listing = trainings.write(tmp_path, READING.splitlines()[1], "read.py")
    listed = as_reader(repo, listing, closed=".git/gitml")
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count(b",") == 1
    invariants.check(repo, trainings.calls(done.stdout), before, in_flight=0)


@without_rights
def test_who_has_no_home_keeps_journals_among_temporary_files(repo: Path, tmp_path: Path) -> None:
    """Of a repository that may only be read, too, no call is lost."""
    script = trainings.write(tmp_path, TRAINING)
    before = invariants.UserState.of(repo)
    nowhere = tmp_path / "file"
    nowhere.touch()
    env = {"HOME": str(nowhere), "XDG_STATE_HOME": "", "TMPDIR": str(tmp_path)}
    done = as_reader(repo, script, "only-record", env=env)
    assert done.returncode == 0, done.stderr
    assert b"NotAcknowledged" not in done.stderr
    code = 'from gitml.cli.main import main; main(["recover"])'
    again = trainings.run(trainings.write(tmp_path, code, "recover.py"), cwd=repo, env=env)
    assert again.code == 0, again.stderr
    invariants.check(repo, trainings.calls(done.stdout), before, in_flight=0)


CLOSING = """
with mlflow.start_run() as run:
    me = run.info.run_id
    said(run=me, started=True)
    metric("loss", 0.5, 1, me)
    text("notes.txt", "some notes", me)
    os.chmod(".git", 0)
    metric("loss", 0.25, 2, me)
    with mlflow.start_run(nested=True) as child:
        said(run=child.info.run_id, started=True)
        metric("loss", 1.0, 1, child.info.run_id)
    said(run=child.info.run_id, ended="FINISHED")
"""


@without_rights
def test_a_repository_that_closes_in_mid_run_stops_no_training(repo: Path, tmp_path: Path) -> None:
    """What is logged meanwhile, in new runs too, is recorded when it is open again."""
    script = trainings.write(tmp_path, CLOSING)
    before = invariants.UserState.of(repo)
    try:
        done = without_roots_rights(repo, script)
    finally:
        (repo / ".git").chmod(0o755)
    assert done.returncode == 0, done.stderr
    invariants.check(repo, trainings.calls(done.stdout), before, in_flight=0)


def test_what_is_gitmls_is_as_open_as_what_is_gits(repo: Path) -> None:
    """The first to look for runs does not close the folder to those who share the repository."""
    from gitml.tracking import store
    from gitml.tracking.place import place_of

    assert store.search(place_of(gate.find(repo))) == []
    modes = [(repo / ".git" / name).stat().st_mode for name in ("gitml", "objects")]
    assert modes[0] == modes[1]


def test_the_current_folder_may_vanish(repo: Path, tmp_path: Path) -> None:
    """A training whose current folder is deleted under it is recorded all the same."""
    body = TRAINING.replace("    text(", "    os.rmdir(os.getcwd())\n    text(", 1)
    script = trainings.write(tmp_path, body)
    (repo / "deep").mkdir()
    before = invariants.UserState.of(repo)
    outcome = trainings.run(script, "only-record", cwd=repo / "deep")
    assert (outcome.code, outcome.stderr) == (0, "")
    invariants.check(repo, finished(outcome), before, in_flight=0)


def test_a_training_may_begin_in_a_folder_that_is_gone(repo: Path, tmp_path: Path) -> None:
    """With GITML_REPO a run needs no current folder; without it the error says so in one line."""
    body = "os.rmdir(os.getcwd())\n" + TRAINING
    script = trainings.write(tmp_path, body)
    before = invariants.UserState.of(repo)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    script = Path("..", script.name)  # from where the training is, as long as that is there
    env = {"GITML_REPO": str(repo)}
    outcome = trainings.run(script, "only-record", cwd=tmp_path / "one", env=env)
    assert (outcome.code, outcome.stderr) == (0, "")
    invariants.check(repo, finished(outcome), before, in_flight=0)
    lost = trainings.run(script, "only-record", cwd=tmp_path / "two")
    assert lost.stderr.splitlines()[-1] == (
        "gitml.errors.NoRepositoryError: the current folder was deleted; change to another, or"
        " name the repository in GITML_REPO"
    )


def test_a_repository_of_somebody_else_is_refused_in_one_line(tmp_path: Path) -> None:
    """Outside of any repository a run is refused with what to do, and nothing is made."""
    script = trainings.write(tmp_path, TRAINING)
    (tmp_path / "nowhere").mkdir()
    outcome = trainings.run(script, cwd=tmp_path / "nowhere")
    assert "NoRepositoryError" in outcome.stderr
    assert "run: git init" in outcome.stderr
    assert list((tmp_path / "nowhere").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_a_repository_with_a_line_break_in_its_path_is_refused(tmp_path: Path) -> None:
    """In one line that says so: git's answers could not be told apart."""
    folder = new_repository(tmp_path / "a\nb")
    with pytest.raises(NoRepositoryError, match="has a line break in its path"):
        gate.find(folder)
