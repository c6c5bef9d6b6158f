"""`gitml validate` and the pre-commit hooks: wrong files of gitml, files too large for git."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from gitml.errors import GitmlError
from gitml.tracking import store
from gitml.validate import Finding, large_files, schema_of, validate
from tests.clones import Clone
from tests.conftest import Git, run_git

HOOKS = Path(__file__).resolve().parent.parent / ".pre-commit-hooks.yaml"


def write(folder: Path, name: str, content: str | bytes) -> str:
    """Write a file and return its name."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def test_every_fault_of_a_file_is_found(repo: Path) -> None:
    """A file with two faults gives two findings, each with its place."""
    name = write(repo, "gitml.yaml", "experimant: x\npush: {auto: 1}\n")
    assert validate(repo, [name]) == [
        Finding("gitml.yaml", "unknown key 'experimant'; did you mean 'experiment'?"),
        Finding("gitml.yaml", "push/auto: must be true or false or nothing, not 1"),
    ]


def test_a_newer_file_asks_for_an_upgrade(repo: Path) -> None:
    """As every command does; what else is in it may be right there."""
    message = "has schema 2, this gitml reads 1; upgrade gitml"
    for name, text in (
        ("gitml.yaml", "schema: 2\nnew: x\n"),
        (".gitml/run/run.json", '{"schema": 2}'),
    ):
        assert validate(repo, [write(repo, name, text)]) == [Finding(name, message)]
    for wrong in ("0", "true", "'2'"):
        name = write(repo, "gitml.yaml", f"schema: {wrong}\n")
        assert "upgrade" not in validate(repo, [name])[0].message


def test_a_file_that_can_not_be_read_is_a_finding(repo: Path) -> None:
    """Broken YAML and a missing file are reported like any other fault."""
    name = write(repo, "gitml.yaml", "a: [\n")
    assert validate(repo, [name, "b/gitml.yaml"]) == [
        Finding("gitml.yaml", "line 2: did not find expected node content"),
        Finding("b/gitml.yaml", "can't be read: No such file or directory"),
    ]


def test_files_of_others_are_left_alone(repo: Path) -> None:
    """Only files whose name gitml gives a meaning are checked."""
    names = [write(repo, name, "a: [\n") for name in ("a.yaml", "my-gitml.yaml", "gitml.yaml.txt")]
    assert validate(repo, names) == []
    assert [schema_of(name) for name in ("gitml.yaml", "a/gitml.yaml", ".gitml/run/run.json")] == [
        "gitml", "gitml", "run",
    ]  # fmt: skip


RUN = "runs/churn/2026/01/31/019b76da3c00747e82a9abc2a3d5fd69/run.json"
PATHS = {
    "gitml.yaml": "gitml",
    "a/gitml.yaml": "gitml",
    ".gitml/run/run.json": "run",
    "a/.gitml/run/run.json": "run",
    RUN: "run",
    f"a/{RUN}": "run",
    "runs/churn_2-x/experiment.json": "experiment",
    "a/runs/churn/experiment.json": "experiment",
    "registry.yaml": "registry",
    "registry/churn.yaml": "registered-model",
    "a/registry/churn.yaml": None,
    "registry/churn.yml": None,
    "registry/a/churn.yaml": None,
    "run.json": None,
    "experiment.json": None,
    "runs/churn/run.json": None,
    "runs/Churn/experiment.json": None,
    f"{RUN}.txt": None,
    "gitml.yaml.txt": None,
    "my-gitml.yaml": None,
}


@pytest.mark.parametrize("path", PATHS)
def test_a_file_is_known_by_its_path(path: str) -> None:
    """To the command and to the hook alike."""
    assert schema_of(path) == PATHS[path]
    hook = next(item for item in yaml.safe_load(HOOKS.read_text("utf-8")) if "files" in item)
    assert (re.search(hook["files"].strip(), path) is not None) == (PATHS[path] is not None)


def test_a_ledger_that_is_checked_out_is_checked(repo: Path, git: Git) -> None:
    """Runs and experiments in a work tree, as gitml wrote them and as somebody changed them."""
    one = Clone(repo)
    run_id = one.run("one", metric=float("nan"), files={"notes.txt": b"x"})
    store.change_experiment(one.place, "default", lambda item: replace(item, description="x"))
    git("worktree", "add", "--quiet", str(repo.parent / "ledger"), "gitml/runs")
    ledger = repo.parent / "ledger"
    assert validate(ledger) == []
    (run,) = ledger.glob("runs/*/*/*/*/*/run.json")
    (experiment,) = ledger.glob("runs/*/experiment.json")
    run.write_text(run.read_text().replace(run_id, "mine").replace('"auc"', '"auc\\n"'))
    experiment.write_text('{"schema": 1, "id": "default"}')
    assert {Path(finding.path).name for finding in validate(ledger)} == {run.name, experiment.name}


def test_without_names_the_whole_repository_is_checked(repo: Path, git: Git) -> None:
    """Tracked and new files count, ignored and deleted ones don't."""
    for name in ("gitml.yaml", "part/gitml.yaml", "ignored/gitml.yaml", "gone/gitml.yaml"):
        write(repo, name, "zzz: 1\n")
    write(repo, ".gitignore", "ignored\n")
    git("add", "gitml.yaml", "gone/gitml.yaml")
    (repo / "gone" / "gitml.yaml").unlink()
    assert [finding.path for finding in validate(repo)] == ["gitml.yaml", "part/gitml.yaml"]
    assert [finding.path for finding in validate(repo / "part")] == ["gitml.yaml"]


def test_a_staged_file_over_the_limit_is_found(repo: Path, git: Git) -> None:
    """The default limit is 5 MB; a file of exactly that size may stay in git."""
    for name, size in (("big model.bin", 5_000_001), ("fits.bin", 5_000_000), ("new.bin", 9**7)):
        write(repo, name, bytes(size))
    git("add", "big model.bin", "fits.bin")
    (finding,) = large_files(repo)
    assert finding.path == "big model.bin"
    assert finding.message.startswith("5.0 MB is too large for git; run: ")


@pytest.mark.parametrize("below", [".", "a part"])
def test_the_commands_give_the_files_to_dvc(repo: Path, git: Git, below: str) -> None:
    """One after the other, in a repository that has no DVC yet, and again in one that has it."""
    folder = repo / below
    for names in (("big model.bin", "data/é'.bin"), ("later.bin",)):
        for name in names:
            write(folder, name, bytes(2000) + name.encode())
        git("add", "--all")
        found = large_files(folder, limit=1000)
        assert [finding.path for finding in found] == sorted(names)
        for finding in found:
            run_as_told(folder, finding.message.partition("; run: ")[2])
        git("add", "--all")
        assert large_files(folder, limit=1000) == []
        for name in names:
            assert (
                f"{Path(below, name).as_posix()}.dvc"
                in git("-c", "core.quotePath=false", "ls-files").splitlines()
            )


def run_as_told(folder: Path, command: str) -> None:
    """Run a shell's line with the `dvc` of this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, shell=True, cwd=folder, env={**os.environ, "PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stderr}"


def test_only_the_named_files_are_measured(repo: Path, git: Git) -> None:
    """A hook that gets names reports no other file, whatever the form of the name."""
    for name in ("a.bin", "data/b.bin", "é\n.bin"):
        write(repo, name, bytes(2000))
    git("add", ".")
    assert [found.path for found in large_files(repo, ["./a.bin", "train.py"], 1000)] == ["a.bin"]
    assert [found.path for found in large_files(repo, ["data/b.bin"], 1000)] == ["data/b.bin"]
    assert len(large_files(repo, ["é\n.bin"], 1000)) == 1
    assert large_files(repo, [], 1000) == []
    assert [found.path for found in large_files(repo / "data", limit=1000)] == ["b.bin"]


def test_the_limit_is_that_of_gitml_yaml(repo: Path, git: Git) -> None:
    """`snapshot.max_file` says what is too large for the snapshot and for git alike."""
    write(repo, "gitml.yaml", "snapshot: {max_file: 1kB}\n")
    write(repo, "a.bin", bytes(1001))
    git("add", ".")
    assert [found.path for found in large_files(repo)] == ["a.bin"]


def test_what_git_would_store_is_measured(repo: Path, git: Git) -> None:
    """A file that a filter replaces by a pointer, as Git LFS does, is not large for git."""
    git("config", "filter.pointer.clean", "echo pointer")
    write(repo, ".gitattributes", "*.bin filter=pointer\n")
    write(repo, "a.bin", bytes(10_000))
    git("add", ".")
    assert large_files(repo, limit=1000) == []


def test_outside_a_repository_the_error_says_so(tmp_path: Path) -> None:
    """Without git there is no index to look at."""
    with pytest.raises(GitmlError):
        large_files(tmp_path, limit=1)
    with pytest.raises(GitmlError):
        validate(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gitml.cli.main") is None, reason="no command line yet")
def test_the_hooks_stop_a_commit(repo: Path, git: Git, tmp_path: Path) -> None:
    """pre-commit, with the hooks as gitml offers them, refuses a wrong file and a large one."""
    offered = tmp_path / "hooks"
    offered.mkdir()
    run_git(offered, "init", "--quiet", "--initial-branch=main")
    hooks = yaml.safe_load(HOOKS.read_text(encoding="utf-8"))
    for hook in hooks:  # the gitml that is installed here, instead of one from the network
        hook["language"] = "system"
        hook["entry"] = f"{Path(sys.executable).as_posix()} -m {hook['entry']}"
    write(offered, ".pre-commit-hooks.yaml", yaml.safe_dump(hooks))
    run_git(offered, "add", ".")
    run_git(offered, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "-m", "x")
    write(repo, "part/gitml.yaml", "zzz: 1\n")
    write(repo, "model.bin", bytes(5_000_001))
    git("add", ".")
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "try-repo", str(offered), "--all-files"],
        cwd=repo, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "part/gitml.yaml: unknown key 'zzz'" in done.stdout
    assert "model.bin: 5.0 MB is too large for git" in done.stdout


def test_a_gate_that_is_none_is_found(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`gitml validate` reads what a schema can't tell, in the policy and in a model's file."""
    from tests.cli import Caller

    text = "schema: 1\ngates: {production: [metrics.auc >> 1]}\n"
    for name in ("registry.yaml", "registry/churn.yaml"):
        write(repo, name, text)
    said = Caller(capsys)("validate", code=1).lines
    assert [line.partition(": gates/production/0: ")[0] for line in said] == [
        "registry.yaml", "registry/churn.yaml",
    ]  # fmt: skip
