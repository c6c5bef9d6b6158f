"""Interchange with the stock `dvc` command, both ways, in processes of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitml.storage import (
    Cache,
    Pointer,
    fetch,
    materialize,
    parse_pointer,
    pointer_text,
    project_remote,
    push,
    run_config_text,
    runs_remote,
    set_project_remote,
)
from tests.artifacts import (
    MODEL,
    dvc,
    objects_in,
    overwrite,
    read_folder,
    store_file,
    store_folder,
)
from tests.conftest import run_git

ODD = {"ünï/ß ö.txt": b"\xff", "a b/'quoted'.csv": b"1", "-dash": b"", "deep/er/and/deeper": b"x"}


@pytest.fixture
def cache(repo: Path) -> Cache:
    """The repository's cache of run artifacts."""
    return Cache(repo / ".git" / "gitml" / "cache")


@pytest.fixture
def project(repo: Path, tmp_path: Path) -> Path:
    """The repository, with a folder beside it as its DVC remote."""
    for path in set_project_remote(repo, str(tmp_path / "store")):
        run_git(repo, "add", str(path))
    run_git(repo, "commit", "--quiet", "--message", "Add a DVC remote")
    return repo


def commit_run(repo: Path, pointers: dict[str, Pointer]) -> str:
    """A commit with the part of a run that DVC reads, on no branch of the user's; its id."""
    remote = runs_remote(repo)
    assert remote is not None
    run = repo / ".gitml" / "run"
    (run / ".dvc").mkdir(parents=True)
    (run / "artifacts").mkdir()
    (run / ".dvc" / "config").write_text(run_config_text(remote))
    for name, pointer in pointers.items():
        text = pointer_text(pointer, name)
        (run / "artifacts" / f"{name}.dvc").write_text(text, encoding="utf-8")
    run_git(repo, "switch", "--quiet", "--create", "gitml/runs")
    run_git(repo, "add", "--force", ".gitml")
    run_git(repo, "commit", "--quiet", "--message", "A run")
    commit = run_git(repo, "rev-parse", "HEAD")
    run_git(repo, "switch", "--quiet", "main")
    return commit


def test_dvc_gets_artifacts_from_a_bare_remote_at_a_revision(
    project: Path, bare: Path, cache: Cache, tmp_path: Path
) -> None:
    """A folder and a file, by commit and by tag, without a clone and without any setting."""
    model, odd = (store_folder(cache, tmp_path, files) for files in (MODEL, ODD))
    single = store_file(cache, tmp_path, b"single")
    commit = commit_run(project, {"model": model, "odd": odd, "plot.png": single})
    assert push(cache, runs_remote(project), [model, odd, single]).missing == frozenset()
    run_git(project, "tag", "churn@v1.0.0", commit)
    run_git(project, "push", "--quiet", str(bare), "main", "gitml/runs", "churn@v1.0.0")
    for name, revision in (("model", commit), ("odd", "churn@v1.0.0"), ("plot.png", commit)):
        path = f".gitml/run/artifacts/{name}"
        dvc(tmp_path, "get", "--quiet", str(bare), path, "--rev", revision)
    assert read_folder(tmp_path / "model") == MODEL
    assert read_folder(tmp_path / "odd") == ODD
    assert (tmp_path / "plot.png").read_bytes() == b"single"


def test_dvc_pulls_a_run_and_verifies_it(project: Path, cache: Cache, tmp_path: Path) -> None:
    """In a checked-out run stock DVC hashes what it fetches, read-only or not."""
    model = store_folder(cache, tmp_path, MODEL)
    remote = runs_remote(project)
    assert remote is not None
    commit_run(project, {"model": model})
    run_git(project, "switch", "--quiet", "gitml/runs")
    push(cache, remote, [model])
    run = project / ".gitml" / "run"
    dvc(run, "pull", "--quiet")
    assert read_folder(run / "artifacts" / "model") == MODEL
    for md5 in objects_in(Path(remote.url)) - {model.md5}:
        overwrite(Path(remote.url) / "files/md5" / md5[:2] / md5[2:], b"evil")
    fresh = tmp_path / "fresh"
    run_git(tmp_path, "clone", "--quiet", "--branch", "gitml/runs", str(project), str(fresh))
    done = dvc(fresh / ".gitml" / "run", "pull", "--quiet", check=False)
    assert done.returncode != 0
    artifacts = fresh / ".gitml" / "run" / "artifacts"
    assert not any(path.read_bytes() == b"evil" for path in artifacts.glob("model/**/*.*"))


def test_ids_and_pointers_are_those_of_dvc_add(project: Path, cache: Cache, tmp_path: Path) -> None:
    """Files and folders: the pointer, the manifest and the objects, byte for byte."""
    folders = {"model": MODEL, "odd": ODD, "none": {}}
    for name, content in folders.items():
        for path, data in content.items():
            target = project / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        (project / name).mkdir(exist_ok=True)
    singles = {"single.bin": b"single", "yes": b"y", "1e5": b"", "a: b #c": b"d", "ö ü.txt": b"e"}
    for name, data in singles.items():
        (project / name).write_bytes(data)
    dvc(project, "add", "--quiet", *folders, *singles)
    ours = {name: store_folder(cache, tmp_path, content) for name, content in folders.items()}
    ours |= {name: store_file(cache, tmp_path, data) for name, data in singles.items()}
    for name, pointer in ours.items():
        written = (project / f"{name}.dvc").read_bytes()
        assert pointer_text(pointer, name).encode() == written
        assert parse_pointer(written, name) == pointer
    theirs = project / ".dvc" / "cache"
    assert objects_in(theirs) == objects_in(cache.root)
    for md5 in objects_in(theirs):
        stored = theirs / "files" / "md5" / md5[:2] / md5[2:]
        assert stored.read_bytes() == cache.path(md5).read_bytes()
        assert stored.stat().st_mode == cache.path(md5).stat().st_mode


def test_what_dvc_pushed_is_fetched(project: Path, cache: Cache, tmp_path: Path) -> None:
    """The other way round: a folder from `dvc add` and `dvc push`."""
    for path, data in MODEL.items():
        (project / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (project / "data" / path).write_bytes(data)
    dvc(project, "add", "--quiet", "data")
    dvc(project, "push", "--quiet")
    pointer = parse_pointer((project / "data.dvc").read_bytes(), "data.dvc")
    remote = project_remote(project)
    assert remote is not None
    fetch(cache, [remote], [pointer])
    materialize(cache, pointer, tmp_path / "out")
    assert read_folder(tmp_path / "out") == MODEL


def test_dvc_gc_of_the_project_spares_the_runs(project: Path, cache: Cache, tmp_path: Path) -> None:
    """`dvc gc --workspace --cloud` empties the project's cache and remote, and only those."""
    model = store_folder(cache, tmp_path, MODEL)
    remote = runs_remote(project)
    assert remote is not None
    push(cache, remote, [model])
    before = objects_in(cache.root)
    for name, data in (("data.csv", b"1,2"), ("same.bin", MODEL["model.bin"])):
        (project / name).write_bytes(data)
        dvc(project, "add", "--quiet", name)
    dvc(project, "push", "--quiet")
    assert len(objects_in(tmp_path / "store")) == 2
    for name in ("data.csv.dvc", "same.bin.dvc"):
        (project / name).unlink()
    dvc(project, "gc", "--workspace", "--cloud", "--force", "--quiet")
    assert objects_in(tmp_path / "store") == objects_in(project / ".dvc/cache") == set()
    assert objects_in(cache.root) == objects_in(Path(remote.url)) == before


def test_dvc_is_not_disturbed_by_the_runs(project: Path, cache: Cache, tmp_path: Path) -> None:
    """Recording and pushing leave the work tree and `dvc status` as they were."""
    (project / "data.csv").write_text("1,2\n")
    dvc(project, "add", "--quiet", "data.csv")
    dvc(project, "push", "--quiet")
    before = run_git(project, "status", "--porcelain")
    model = store_folder(cache, tmp_path, MODEL)
    push(cache, runs_remote(project), [model])
    assert run_git(project, "status", "--porcelain") == before
    assert dvc(project, "status", "--cloud", "--quiet").returncode == 0
