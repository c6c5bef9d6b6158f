"""The code of runs: what differs, and a folder of its own for it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from pathlib import Path

import pytest

import gitml
from gitml import git
from gitml.errors import FormatError, UsageError
from gitml.review.checkout import check_out, default_folder, put_artifacts
from gitml.review.code import FileChange, changed_files, diff
from gitml.review.histories import curves, histories
from gitml.review.view import RunView, packages, view
from gitml.tracking.fluent.place import place
from gitml.tracking.place import Place
from tests.conftest import Git, run_git


def record(name: str = "one", **files: str) -> str:
    """Write files of the work tree, record a run with metrics and artifacts; its id."""
    for path, text in files.items():
        Path(f"{path}.py").write_text(text, encoding="utf-8")
    run_git(Path.cwd(), "add", "--all")
    with gitml.start_run(run_name=name) as run:
        gitml.log_metric("loss", 1.0, step=1)
        gitml.log_metric("loss", 0.5, step=2)
        gitml.log_metric("auc", 0.9)
        gitml.log_text("small", "notes.txt")
        gitml.log_text("x" * 200_000, "large/weights.bin")
    run_id: str = run.info.run_id
    return run_id


@pytest.fixture
def where(repo: Path) -> Place:
    """The place of the current repository."""
    return place()


def commit_of(where: Place, run_id: str) -> str:
    """The run commit."""
    commit = view(where, run_id).commit
    assert commit is not None
    return commit


def test_the_files_that_differ(where: Place) -> None:
    """Added, removed and renamed files with their lines; the runs' own folders are left out."""
    text = "".join(f"line_{number} = {number}\n" for number in range(20))
    one = commit_of(where, record("one", stays="x = 1\n", moves=text, goes="a\n"))
    Path("moves.py").rename("moved.py")
    Path("goes.py").unlink()
    Path("b.bin").write_bytes(b"\0\1\2")
    other = commit_of(where, record("two", stays="x = 1\ny = 2\n", came="c\nd\n"))
    assert changed_files(where.repo, one, other) == (
        FileChange("b.bin", None, None),
        FileChange("came.py", 2, 0),
        FileChange("goes.py", 0, 1),
        FileChange("moved.py", 0, 0, "moves.py"),
        FileChange("stays.py", 1, 0),
    )
    assert changed_files(where.repo, one, one) == ()
    patch = diff(where.repo, one, other)
    assert "+y = 2" in patch
    assert "rename to moved.py" in patch
    assert ".gitml" not in patch


def test_the_users_diff_settings_do_not_matter(where: Place, git: Git) -> None:
    """Drivers, colours and programs of the user's own are left out of it."""
    for key, value in {
        "diff.external": "false", "color.ui": "always", "diff.noprefix": "true",
        "diff.renames": "false", "diff.x.textconv": "false", "diff.relative": "true",
    }.items():  # fmt: skip
        git("config", key, value)
    Path(".gitattributes").write_text("*.py diff=x\n")
    one = commit_of(where, record("one", a="1\n"))
    other = commit_of(where, record("two", a="2\n"))
    assert changed_files(where.repo, one, other) == (FileChange("a.py", 1, 1),)
    assert diff(where.repo, one, other).startswith("diff --git a/a.py b/a.py\n")


# -- a folder for it ---------------------------------------------------------------------------


def test_a_run_is_checked_out_beside_the_repository(where: Place, git: Git) -> None:
    """The code as it was on disk, uncommitted changes too; the user's files stay as they are."""
    run = view(where, record("calm otter/1", model="uncommitted = 1\n"))
    git("reset", "--hard", "--quiet")
    Path("model.py").write_text("mine\n", encoding="utf-8")
    before = git("status", "--porcelain"), git("rev-parse", "HEAD"), git("branch", "--list")
    folder = default_folder(where, run)
    assert folder == Path("../repo-calm-otter-1")
    check_out(where, run, folder)
    assert (folder / "model.py").read_text() == "uncommitted = 1\n"
    assert run_git(folder, "rev-parse", "HEAD") == run.commit
    assert run_git(folder, "status", "--porcelain") == ""
    assert (
        git("status", "--porcelain"),
        git("rev-parse", "HEAD"),
        git("branch", "--list"),
    ) == before
    assert Path("model.py").read_text() == "mine\n"


@pytest.mark.parametrize("as_worktree", [True, False])
def test_the_artifacts_come_along(where: Place, tmp_path: Path, as_worktree: bool) -> None:
    """In the run's own folder, large ones too."""
    run = view(where, record())
    check_out(where, run, tmp_path / "it", as_worktree=as_worktree)
    put_artifacts(where, run, tmp_path / "it")
    artifacts = tmp_path / "it/.gitml/run/artifacts"
    assert (artifacts / "notes.txt").read_text() == "small"
    assert (artifacts / "large/weights.bin").stat().st_size == 200_000
    assert (tmp_path / "it/.git").exists() == as_worktree
    assert (tmp_path / "it/.gitml/run/.gitignore").exists() == as_worktree
    assert (tmp_path / "it/train.py").is_file()


def test_the_artifacts_of_a_work_tree_are_not_seen_by_git(
    where: Place, tmp_path: Path, git: Git
) -> None:
    """Its status is clean whatever was logged, and it can be removed as a whole."""
    with gitml.start_run() as one:
        gitml.log_text("x" * 200_000, "large/weights.bin")
        gitml.log_text("!*", ".gitignore")
        gitml.log_text("!*", "large/.gitignore")
        gitml.log_text("small", "notes.txt")
    configured = git("config", "--list"), (Path(".git") / "info/exclude").read_text()
    run, folder = view(where, one.info.run_id), tmp_path / "it"
    check_out(where, run, folder)
    put_artifacts(where, run, folder)
    assert (folder / ".gitml/run/artifacts/.gitignore").read_text() == "!*"
    assert run_git(folder, "status", "--porcelain") == ""
    (folder / ".gitml/run/artifacts/notes.txt").write_text("edited")
    (folder / "new.py").touch()
    assert run_git(folder, "status", "--porcelain").split() == [
        "M", ".gitml/run/artifacts/notes.txt", "??", "new.py",
    ]  # fmt: skip
    run_git(folder, "restore", ".")
    (folder / "new.py").unlink()
    git("worktree", "remove", str(folder))
    assert not folder.exists()
    assert (git("config", "--list"), (Path(".git") / "info/exclude").read_text()) == configured


def with_link(where: Place, run: RunView, link: str, target: Path, git: Git) -> RunView:
    """The run as a stranger could push it: its commit has a link, its pointer lies elsewhere."""
    item = next(item for item in run.record.artifacts.values() if item.where != "git")
    pointer = git("rev-parse", f"{run.commit}:.gitml/run/{item.where}")
    link_blob = next(iter(git_input(where, str(target), "hash-object", "-w", "--stdin")))
    git("read-tree", str(run.commit))
    git("rm", "-r", "--cached", "--quiet", ".gitml/run/artifacts")
    git("update-index", "--add", "--cacheinfo", f"120000,{link_blob},.gitml/run/{link}")
    git("update-index", "--add", "--cacheinfo", f"100644,{pointer},.gitml/run/large.dvc")
    commit = git("commit-tree", git("write-tree"), "-m", "evil")
    artifacts = {"large/weights.bin": dataclasses.replace(item, where="large.dvc")}
    record = dataclasses.replace(run.record, artifacts=artifacts)
    return dataclasses.replace(run, commit=commit, record=record)


def git_input(where: Place, text: str, *args: str) -> list[str]:
    """The lines that a git command prints of a text on its input."""
    return git.run(where.repo, *args, input=text.encode()).decode().split()


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
@pytest.mark.parametrize("link", ["artifacts", "artifacts/large"])
def test_nothing_is_written_through_a_link_of_a_run(
    where: Place, tmp_path: Path, git: Git, link: str
) -> None:
    """A commit with links in the run's folder is not checked out, and links are not followed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    run = with_link(where, view(where, record()), link, outside, git)
    for as_worktree in (True, False):
        with pytest.raises(FormatError, match=r"has a link at '\.gitml/run/artifacts"):
            check_out(where, run, tmp_path / "it", as_worktree=as_worktree)
    git("worktree", "add", "--quiet", "--detach", str(tmp_path / "by hand"), str(run.commit))
    with contextlib.suppress(UsageError):  # where it is not replaced
        put_artifacts(where, run, tmp_path / "by hand")
    assert list(outside.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(where: Place, tmp_path: Path) -> None:
    """Neither files nor a file are replaced; an empty folder is fine."""
    run = view(where, record())
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    for name in ("full", "full/x"):
        with pytest.raises(UsageError, match="is not empty"):
            check_out(where, run, tmp_path / name)
    (tmp_path / "empty").mkdir()
    check_out(where, run, tmp_path / "empty", as_worktree=False)
    assert (tmp_path / "empty/train.py").is_file()


def test_a_run_of_a_bare_repository(where: Place, tmp_path: Path) -> None:
    """A clone without a work tree can check out too."""
    run_id = record("one")
    run_git(tmp_path, "clone", "--quiet", "--bare", str(where.repo.root), "b.git")
    bare = Place(git.find(tmp_path / "b.git"), where.settings, tmp_path / "b.git/gitml")
    run = view(bare, run_id)
    assert default_folder(bare, run).name == "b-one"
    check_out(bare, run, tmp_path / "plain", as_worktree=False)
    check_out(bare, run, tmp_path / "tree")
    assert (tmp_path / "plain/train.py").read_text() == (tmp_path / "tree/train.py").read_text()


def test_a_run_without_a_commit_can_not_be_checked_out(where: Place, tmp_path: Path) -> None:
    """The message names the run."""
    run = view(where, record())
    with pytest.raises(UsageError, match=run.record.run_id[-8:]):
        check_out(where, RunView(run.record, None, {}), tmp_path / "it")


@pytest.mark.parametrize("name", ["..", "", "/", "a\x1b[1m\n", "-x"])
def test_the_default_folder_has_a_tame_name(where: Place, name: str) -> None:
    """Whatever a run is called, the folder is directly beside the repository."""
    from dataclasses import replace

    run = view(where, record())
    folder = default_folder(where, RunView(replace(run.record, name=name), run.commit, {}))
    assert folder.resolve().parent == where.repo.root.parent  # type: ignore[union-attr]
    assert folder.name.isprintable()
    assert folder.name.startswith("repo-")


# -- views and histories -----------------------------------------------------------------------


def test_a_live_run_has_a_snapshot_and_curves(where: Place) -> None:
    """What goes on can be looked at like what was recorded."""
    Path("train.py").write_text("changed = 1\n", encoding="utf-8")
    with gitml.start_run(run_name="live") as run:
        gitml.log_metric("loss", 0.5, step=1)
        seen = view(where, run.info.run_id)
        assert seen.record.status == "RUNNING"
        assert seen.commit is not None
        assert git.text(where.repo, "show", f"{seen.commit}:train.py") == "changed = 1"
        assert [p.value for p in histories(where, seen.record, seen.commit)["loss"]] == [0.5]
        assert [len(points) for points in curves(where, [(seen.record, None)], "loss")] == [1]


def test_histories_of_many_runs(where: Place) -> None:
    """In the order of the runs and of the steps; a run without the metric has no points."""
    views = [view(where, record()) for _ in range(2)]
    with gitml.start_run(run_name="empty") as run:
        pass
    views.append(view(where, run.info.run_id))
    pairs = [(item.record, item.commit) for item in views]
    found = [[(p.step, p.value) for p in points] for points in curves(where, pairs, "loss")]
    assert found == [[(1, 1.0), (2, 0.5)], [(1, 1.0), (2, 0.5)], []]
    assert sorted(histories(where, views[0].record, views[0].commit)) == ["auc", "loss"]


def test_packages_of_a_run(where: Place) -> None:
    """They are read from the run's requirements.txt."""
    found = packages(where, view(where, record()))
    assert "pytest" in found
    assert os.sep not in found["pytest"]
