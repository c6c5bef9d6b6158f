"""The snapshot: the tracked files as they are on disk, with what could not be stored named."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gitml import git as gate
from gitml.errors import GitError
from gitml.tracking import holding, snapshot
from tests import invariants
from tests.conftest import Git, new_repository, run_git


def take(repo: Path, **options: Any) -> snapshot.Snapshot:
    """The snapshot of a repository; whatever happens, nothing of the user's changes."""
    before = invariants.UserState.of(repo)
    taken = snapshot.take(gate.find(repo), **options)
    assert before.differences(invariants.UserState.of(repo)) == []
    assert list((gate.find(repo).home / "tmp").glob("*")) == []
    return taken


def commit(git: Git, *paths: str) -> None:
    """Commit files."""
    git("add", "--force", "--", *paths)
    git("commit", "--quiet", "--message", "Files")


def digest(data: bytes) -> str:
    """How the digest of what could not be stored is written."""
    return f"sha256 {hashlib.sha256(data).hexdigest()}"


def test_a_clean_work_tree_is_its_commit(repo: Path, git: Git) -> None:
    """Without changes nothing is written: the snapshot is HEAD's tree."""
    objects = git("count-objects")
    taken = take(repo)
    assert (taken.tree, taken.commit) == (git("rev-parse", "HEAD^{tree}"), git("rev-parse", "HEAD"))
    assert (taken.live, taken.branch, taken.dirty) == (taken.commit, "main", False)
    assert git("count-objects") == objects


def test_tracked_files_are_as_they_are_on_disk(repo: Path, git: Git) -> None:
    """Edits, deletions, additions to the index, links and modes are all in the snapshot."""
    for name in ("edited", "deleted", "run.sh", "both", "folder/inner"):
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_text(f"{name}\n")
    commit(git, ".")
    (repo / "edited").write_text("new\n")
    (repo / "deleted").unlink()
    (repo / "both").write_text("staged\n")
    git("add", "both")
    (repo / "both").write_text("on disk\n")
    (repo / "staged").write_text("staged\n")
    git("add", "staged")
    git("mv", "folder/inner", "moved")
    taken = take(repo)
    names = git("ls-tree", "-r", "--name-only", taken.tree).split()
    assert sorted(names) == ["both", "edited", "moved", "run.sh", "staged", "train.py"]
    assert git("show", f"{taken.tree}:edited") == "new"
    assert git("show", f"{taken.tree}:both") == "on disk"
    assert taken.dirty
    assert git("rev-parse", f"{taken.live}^{{tree}}", f"{taken.live}^") == "\n".join(
        (taken.tree, git("rev-parse", "HEAD"))
    )


@pytest.mark.skipif(sys.platform == "win32", reason="there are no modes")
def test_modes_and_links_are_kept(repo: Path, git: Git) -> None:
    """A file that became executable, and one that became a link, are that in the snapshot."""
    (repo / "other.py").touch()
    commit(git, "other.py")
    (repo / "train.py").chmod(0o755)
    (repo / "other.py").unlink()
    (repo / "other.py").symlink_to("train.py")
    taken = take(repo)
    modes = [line.split()[0] for line in git("ls-tree", taken.tree).splitlines()]
    assert modes == ["120000", "100755"]


def test_the_same_code_gives_the_same_snapshot(repo: Path) -> None:
    """Whoever takes it, and whenever: equal code has equal ids."""
    (repo / "train.py").write_text("print('changed')\n")
    assert take(repo) == take(repo)


def test_untracked_modules_are_stored_and_other_files_named(repo: Path, git: Git) -> None:
    """Of what git does not track, the code that was loaded is stored, but for what is ignored."""
    (repo / ".gitignore").write_text("ignored*\n")
    commit(git, ".gitignore")
    loaded = ["loaded.py", "ignored.py", "new/deep.py", "new/ignored.py", "train.py"]
    for name in (
        "loaded.py",
        "ignored.py",
        "notes.txt",
        "new/deep.py",
        "new/ignored.py",
        "lone.py",
    ):
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_text(name)
    taken = take(repo, modules=[repo / name for name in loaded] + [Path(os.__file__)])
    names = set(git("ls-tree", "-r", "--name-only", taken.tree).split())
    assert names == {".gitignore", "train.py", "loaded.py", "new/deep.py"}
    assert set(taken.untracked) == {"notes.txt", "new/", "lone.py"}
    assert taken.dirty  # it is not what the commit holds


def test_a_large_change_is_named_with_its_digest(repo: Path, git: Git) -> None:
    """A changed file over the limit keeps its old content, and is named."""
    (repo / "data.bin").write_bytes(b"small")
    commit(git, "data.bin")
    (repo / "data.bin").write_bytes(b"x" * 2000)
    taken = take(repo, max_file=1000)
    assert git("show", f"{taken.tree}:data.bin") == "small"
    assert taken.incomplete == {"data.bin": f"2000 bytes: {digest(b'x' * 2000)}"}


def test_files_that_git_does_not_look_at_are_named(repo: Path, git: Git) -> None:
    """Assume-unchanged and skip-worktree files that differ are named, others are not."""
    for name in ("a.py", "b.py", "c.py", "gone.py"):
        (repo / name).write_text(name)
    commit(git, ".")
    git("update-index", "--assume-unchanged", "a.py", "c.py")
    git("update-index", "--skip-worktree", "b.py", "gone.py")
    (repo / "a.py").write_text("changed")
    (repo / "b.py").write_text("changed")
    (repo / "gone.py").unlink()
    taken = take(repo)
    assert set(taken.incomplete) == {"a.py", "b.py"}
    assert digest(b"changed") in taken.incomplete["a.py"]
    assert git("show", f"{taken.tree}:a.py") == "a.py"


def test_git_lfs_is_named(repo: Path, git: Git) -> None:
    """A changed file of Git LFS is named with its digest, whether LFS works or not."""
    (repo / ".gitattributes").write_text("*.bin filter=lfs\n")
    (repo / "model.bin").write_bytes(b"pointer")
    commit(git, ".gitattributes", "model.bin")
    git("config", "filter.lfs.clean", "false")
    git("config", "filter.lfs.required", "true")
    (repo / "model.bin").write_bytes(b"changed")
    (repo / "train.py").write_text("changed\n")
    taken = take(repo)
    assert taken.incomplete == {"model.bin": f"Git LFS: {digest(b'changed')}"}
    assert git("show", f"{taken.tree}:train.py") == "changed"


@pytest.mark.parametrize("changed", [b"new", b"longer than it was"])
def test_a_failing_filter_costs_its_file_only(repo: Path, git: Git, changed: bytes) -> None:
    """What a filter refuses is named, though git status may fail; all else is in the snapshot."""
    (repo / ".gitattributes").write_text("*.bin filter=bad\n")
    (repo / "model.bin").write_bytes(b"old")
    commit(git, ".gitattributes", "model.bin")
    git("config", "filter.bad.clean", "false")
    git("config", "filter.bad.required", "true")
    (repo / "model.bin").write_bytes(changed)
    (repo / "train.py").write_text("changed\n")
    taken = take(repo)
    assert list(taken.incomplete) == ["model.bin"]
    assert git("show", f"{taken.tree}:train.py") == "changed"
    assert git("cat-file", "blob", f"{taken.tree}:model.bin") == "old"


def test_a_conflict_holds_our_side(repo: Path, git: Git) -> None:
    """An unmerged path has our side's content in the snapshot, and is named."""
    git("checkout", "--quiet", "-b", "side")
    (repo / "train.py").write_text("side\n")
    git("commit", "--quiet", "--all", "--message", "Side")
    git("checkout", "--quiet", "main")
    (repo / "train.py").write_text("main\n")
    git("commit", "--quiet", "--all", "--message", "Main")
    with pytest.raises(AssertionError):
        git("merge", "side")
    taken = take(repo)
    assert git("show", f"{taken.tree}:train.py") == "main"
    assert taken.incomplete == {"train.py": "unmerged: holds our side"}


def test_workflows_keep_the_version_of_head(repo: Path, git: Git) -> None:
    """Changes below .github are left out: no token could push them."""
    workflow = repo / ".github" / "workflows" / "ci.yaml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text("on: push\n")
    commit(git, ".github")
    workflow.write_text("on: pull_request\n")
    (workflow.parent / "new.yaml").write_text("on: push\n")
    git("add", ".github")
    taken = take(repo)
    assert taken.tree == git("rev-parse", "HEAD^{tree}")
    assert set(taken.incomplete) == {".github/workflows/ci.yaml", ".github/workflows/new.yaml"}


def test_notebooks_go_without_their_outputs(repo: Path, git: Git) -> None:
    """A changed notebook is in the snapshot with its code and without what it printed."""
    notebook = {
        "cells": [
            {"cell_type": "code", "source": ["1 + 1"], "outputs": [], "execution_count": None},
            {"cell_type": "markdown", "source": ["größe"]},
        ],
        "nbformat": 4,
    }
    (repo / "a.ipynb").write_text(json.dumps(notebook))
    (repo / "odd.ipynb").write_text("[]")
    commit(git, ".")
    notebook["cells"][0].update(outputs=[{"text": "2" * 2000}], execution_count=7)  # type: ignore[index]
    notebook["cells"][0]["source"] = ["2 + 2"]  # type: ignore[index]
    (repo / "a.ipynb").write_text(json.dumps(notebook))
    (repo / "odd.ipynb").write_text("no notebook")
    taken = take(repo, max_file=1000)
    stored = json.loads(git("show", f"{taken.tree}:a.ipynb"))
    assert stored["cells"][0] == {
        "cell_type": "code", "source": ["2 + 2"], "outputs": [], "execution_count": None,
    }  # fmt: skip
    assert stored["cells"][1]["source"] == ["größe"]
    assert git("show", f"{taken.tree}:odd.ipynb") == "no notebook"


def test_submodules_are_named_for_what_they_lack(repo: Path, tmp_path: Path) -> None:
    """A submodule's commit is in the snapshot; what only it has is named."""
    outer = new_repository(tmp_path / "outer")
    file = ("-c", "protocol.file.allow=always")
    run_git(outer, *file, "submodule", "--quiet", "add", str(repo), "inner")
    run_git(outer, "commit", "--quiet", "--message", "With a submodule")
    inner = outer / "inner"
    (inner / "train.py").write_text("changed\n")
    assert take(outer).incomplete == {"inner": "submodule with changes of its own"}
    run_git(inner, "-c", "user.name=a", "-c", "user.email=b", "commit", "-qam", "Ahead")
    taken = take(outer)
    assert run_git(outer, "rev-parse", f"{taken.tree}:inner") == run_git(inner, "rev-parse", "HEAD")
    assert taken.incomplete == {"inner": "submodule at a commit that is not pushed"}


def test_the_scope_is_what_is_taken_from_disk(repo: Path, git: Git) -> None:
    """Outside of the scope the snapshot has what the index has."""
    for name in ("in", "out"):
        (repo / name).mkdir()
        (repo / name / "code.py").write_text("old")
    commit(git, ".")
    for name in ("in", "out"):
        (repo / name / "code.py").write_text("new")
        (repo / name / "module.py").write_text("new")
    modules = [repo / "in" / "module.py", repo / "out" / "module.py"]
    taken = take(repo, scope=repo / "in", modules=modules)
    assert git("show", f"{taken.tree}:in/code.py") == "new"
    assert git("show", f"{taken.tree}:out/code.py") == "old"
    assert "out/module.py" not in git("ls-tree", "-r", "--name-only", taken.tree)


def test_an_earlier_run_is_left_out(repo: Path, git: Git) -> None:
    """On a checked out run commit the snapshot is the code, without the run."""
    code = git("rev-parse", "HEAD^{tree}")
    (repo / ".gitml" / "run").mkdir(parents=True)
    (repo / ".gitml" / "run" / "run.json").write_text("{}")
    commit(git, ".gitml")
    assert take(repo).tree == code


def test_without_a_commit_or_a_work_tree_there_is_a_snapshot(tmp_path: Path, repo: Path) -> None:
    """An unborn branch has what is in the index and on disk; a bare repository its HEAD."""
    run_git(tmp_path, "init", "--quiet", "new")
    new = tmp_path / "new"
    (new / "code.py").write_text("code")
    run_git(new, "add", "code.py")
    taken = take(new)
    assert run_git(new, "show", f"{taken.tree}:code.py") == "code"
    assert (taken.commit, run_git(new, "log", "--format=%P", str(taken.live))) == (None, "")
    run_git(tmp_path, "clone", "--quiet", "--bare", str(repo), "bare.git")
    taken = take(tmp_path / "bare.git")
    assert taken.commit == run_git(repo, "rev-parse", "HEAD")
    assert (taken.branch, taken.dirty) == ("main", False)


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are text there")
def test_any_name_will_do(repo: Path, git: Git) -> None:
    """Names that are not UTF-8, or have line ends and quotes in them, are no obstacle."""
    names = [b"line\nend", b'quo"te', b"latin-\xe9", "größe".encode(), b"-dash", b" space "]
    top = os.fsencode(repo)
    for name in names:
        Path(os.fsdecode(top + b"/" + name)).write_text("old")
    git("add", ".")
    git("commit", "--quiet", "--message", "Names")
    for name in names:
        Path(os.fsdecode(top + b"/" + name)).write_text("new!")
    taken = take(repo)
    sizes = [line.split()[3] for line in git("ls-tree", "-l", taken.tree).splitlines()]
    assert sizes.count("4") == len(names)
    assert taken.incomplete == {}


def test_a_held_snapshot_is_whole(repo: Path, git: Git) -> None:
    """A snapshot that was pruned while it was made is refused, and no ref is left."""
    (repo / "train.py").write_text("changed\n")
    place = gate.find(repo)
    taken = snapshot.take(place)
    blob = git("rev-parse", f"{taken.tree}:train.py")
    (repo / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(GitError, match="pruned"):
        holding.hold(place, "name", taken)
    assert git("for-each-ref", "refs/gitml/live/") == ""
    taken = snapshot.take(place)
    ref = holding.hold(place, "name", taken)
    assert ref == "refs/gitml/live/name"
    assert git("rev-parse", ref) == taken.live


def test_an_index_that_is_wrong_about_a_file_deceives_no_experiment_of_dvc(
    repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC sets params and writes the index so that git itself sees no change; the snapshot does."""
    params = repo / "params.yaml"
    params.write_text("lr: 1\n")
    os.utime(params, (1_700_000_000, 1_700_000_000))
    git("add", ".")
    git("commit", "--quiet", "--message", "Params")
    git("config", "core.trustctime", "false")
    params.write_text("lr: 2\n")
    os.utime(params, (1_700_000_000, 1_700_000_000))
    assert git("status", "--porcelain") == ""
    monkeypatch.setenv("DVC_EXP_NAME", "happy-ox")
    taken = take(repo)
    assert git("show", f"{taken.tree}:params.yaml") == "lr: 2"
    assert taken.dirty
