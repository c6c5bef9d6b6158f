"""Bundles: a job that may not push leaves its runs in a file, and another publishes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitml import git
from gitml.errors import FormatError, GitmlError, UsageError
from gitml.tracking import bundling
from tests.cli import Caller
from tests.clones import BIG, LEDGER, Clone, records, team
from tests.conftest import run_git


@pytest.fixture
def jobs(tmp_path: Path, bare: Path) -> tuple[Clone, Clone]:
    """Two jobs of CI, each with a shallow clone of main: one that trains, one that may push."""
    (ann,) = team(tmp_path, bare, "ann", dvc=True)
    ann.run("before")
    ann.push()
    return shallow(tmp_path, bare, "train"), shallow(tmp_path, bare, "record")


def shallow(folder: Path, bare: Path, name: str) -> Clone:
    """A clone as CI makes it: one commit of one branch."""
    args = ("--quiet", "--depth=1", "--branch=main", "--no-tags", bare.as_uri())
    run_git(folder, "clone", *args, name)
    run_git(folder / name, "config", "user.name", name)
    run_git(folder / name, "config", "user.email", f"{name}@example.org")
    return Clone(folder / name)


def bundle(train: Clone, *runs: str) -> Path:
    """The bundle of a job."""
    file = train.folder.parent / "run.bundle"
    bundling.write(train.place, runs or bundling.unpublished(train.place), file)
    return file


def take(record: Clone, file: Path) -> list[str]:
    """Take the runs out of a bundle, as the other job does; their ids."""
    with bundling.read(record.place, file) as arrived:
        bundling.add(record.place, arrived)
    return [it.record.run_id for it in arrived]


def test_a_run_goes_by_a_bundle(jobs: tuple[Clone, Clone], bare: Path) -> None:
    """What one job records, another publishes: the same run, with its artifacts."""
    train, record = jobs
    run = train.run("nightly", metric=0.9, files={"model.bin": b"x" * BIG})
    assert "nightly" not in records(bare)
    assert take(record, bundle(train)) == [run]
    report = record.push()
    assert report.runs == (run,)
    assert not report.withheld
    assert records(bare)["nightly"].metrics["auc"].last == 0.9
    assert set(records(bare)) == {"before", "nightly"}
    assert git.refs(record.place.repo, bundling.REFS) == git.refs(train.place.repo, bundling.REFS)


def test_the_command_line_does_both(
    jobs: tuple[Clone, Clone],
    bare: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`runs bundle` writes what was not published, `push --from-bundle` publishes it."""
    train, record = jobs
    train.run("one")
    train.run("two")
    call, file = Caller(capsys), train.folder / "run.bundle"
    monkeypatch.chdir(train.folder)
    assert call("runs", "bundle", "-o", file).lines == [f"2 runs in {file}"]
    monkeypatch.chdir(record.folder)
    assert call("push", "--from-bundle", file).lines == ["pushed 2 runs"]
    assert len(records(bare)) == 3
    assert call("push", "--from-bundle", file).lines == ["everything is up to date"]


def test_without_a_run_there_is_no_bundle(jobs: tuple[Clone, Clone]) -> None:
    """A job that has recorded nothing says so."""
    with pytest.raises(UsageError, match="none was recorded"):
        bundle(jobs[0])


# -- what a bundle may not bring -------------------------------------------------------------


def refused(record: Clone, bare: Path, file: Path, why: str) -> None:
    """A bundle is refused, and neither the clone nor the remote has anything of it."""
    before = run_git(bare, "for-each-ref")
    with pytest.raises(GitmlError, match=why):
        take(record, file)
    assert record.place.ledger.local() == git.resolve(
        record.place.repo, record.place.ledger.tracking
    )
    assert git.refs(record.place.repo, bundling.REFS) == []
    record.push()
    assert run_git(bare, "for-each-ref") == before


def made(train: Clone, *refs: str) -> Path:
    """A bundle that somebody made by hand, of refs that he has set."""
    file = train.folder.parent / "run.bundle"
    run_git(train.folder, "bundle", "create", "--quiet", str(file), *refs, "--not", "--remotes")
    return file


def commit_of(clone: Clone, run: str) -> str:
    """The commit of a run."""
    entry = clone.place.ledger.find(run)
    assert entry is not None
    return entry.commit


def changed(train: Clone, run: str, path: str, data: bytes) -> str:
    """A commit as that of the run, with one more file, or another one."""
    blob = git.run(train.place.repo, "hash-object", "-w", "--stdin", input=data).decode().strip()
    env = {"GIT_INDEX_FILE": str(train.folder / ".git" / "other")}
    repo = train.place.repo
    git.run(repo, "read-tree", commit_of(train, run), env=env)
    git.run(repo, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", env=env)
    tree = git.text(repo, "write-tree", env=env)
    parent = git.text(repo, "rev-parse", f"{commit_of(train, run)}^")
    return run_git(
        train.folder, "commit-tree", tree, "-p", parent, "-m", f"forged\n\nRun-Id: {run}"
    )


def test_nothing_but_runs_comes(jobs: tuple[Clone, Clone], bare: Path) -> None:
    """A branch, a tag or a ledger in a bundle makes all of it refused."""
    train, record = jobs
    run = train.run("nightly")
    for ref in ("refs/heads/main", "refs/tags/churn@v1.0.0", LEDGER):
        train.git("update-ref", f"{bundling.REFS}{run}", commit_of(train, run))
        if ref != LEDGER:
            train.git("update-ref", ref, commit_of(train, run))
        refused(record, bare, made(train, f"{bundling.REFS}{run}", ref), "which is no run")


def test_no_other_commit_comes(jobs: tuple[Clone, Clone], bare: Path) -> None:
    """Code that is not at the remote does not get there below a run."""
    train, record = jobs
    (train.folder / "train.py").write_text("print('mine')\n")
    train.git("commit", "--quiet", "--all", "--message", "Not reviewed")
    run = train.run("nightly")
    refused(record, bare, bundle(train), "commits that are not its own")
    assert run


@pytest.mark.parametrize(
    "path", [".github/workflows/mine.yml", ".gitlab-ci.yml", ".gitea/workflows/mine.yml"]
)
def test_a_run_does_not_change_what_ci_runs(
    path: str, jobs: tuple[Clone, Clone], bare: Path
) -> None:
    """A workflow on the commit of a run would be run when that gets a tag."""
    train, record = jobs
    run = train.run("nightly")
    train.git("update-ref", f"{bundling.REFS}{run}", changed(train, run, path, b"on: push\n"))
    refused(record, bare, made(train, f"{bundling.REFS}{run}"), "what CI runs")


def test_a_run_is_not_another(jobs: tuple[Clone, Clone], bare: Path) -> None:
    """The record is that of the run which the bundle names."""
    train, record = jobs
    run = train.run("nightly")
    other = run[:-4] + ("ffff" if run[-4:] == "0000" else "0000")
    train.git("update-ref", f"{bundling.REFS}{other}", commit_of(train, run))
    refused(record, bare, made(train, f"{bundling.REFS}{other}"), "commits that are not its own")


def test_a_published_run_is_not_replaced(jobs: tuple[Clone, Clone], bare: Path) -> None:
    """A bundle brings new runs, and changes none that is recorded."""
    train, record = jobs
    train.pull()
    run = records(bare)["before"].run_id
    train.tag(run, claimed="mine")
    train.git("update-ref", f"{bundling.REFS}{run}", commit_of(train, run))
    refused(record, bare, made(train, f"{bundling.REFS}{run}"), "recorded already")


@pytest.mark.parametrize(
    ("path", "data", "why"),
    [
        (".gitml/run/run.json", b"{}", "no 'schema'"),
        (".gitml/run/run.json", b'{"schema": 1, "run_id": 7}', "not a run record"),
        (".gitml/run/metrics/auc.tsv", b"not\ta\tmetric\n", "auc"),
        (
            ".gitml/run/.dvc/config",
            b"[core]\n    remote = gitml\n['remote \"gitml\"']\n    url = https://evil.example\n",
            "another DVC remote",
        ),
    ],
)
def test_a_run_that_is_forged_is_refused(
    path: str, data: bytes, why: str, jobs: tuple[Clone, Clone], bare: Path
) -> None:
    """What can't be a run of this project is none."""
    train, record = jobs
    run = train.run("nightly")
    train.git("update-ref", f"{bundling.REFS}{run}", changed(train, run, path, data))
    refused(record, bare, made(train, f"{bundling.REFS}{run}"), why)


def test_a_file_that_is_no_bundle_is_told_of(jobs: tuple[Clone, Clone], tmp_path: Path) -> None:
    """What a job leaves may be anything."""
    for data in (b"", b"x" * 1000, b"# v2 git bundle\n"):
        (tmp_path / "file").write_bytes(data)
        with pytest.raises(UsageError, match="no bundle"):
            take(jobs[1], tmp_path / "file")


def test_of_several_runs_one_is_on_top(jobs: tuple[Clone, Clone]) -> None:
    """What is registered is the run that all others in the bundle belong to."""
    train, record = jobs
    train.run("one")
    with bundling.read(record.place, bundle(train)) as arrived:
        assert bundling.top(arrived).name == "one"
    train.run("two")
    with bundling.read(record.place, bundle(train)) as arrived, pytest.raises(UsageError):
        bundling.top(arrived)


def test_a_run_below_somebody_elses_is_refused(jobs: tuple[Clone, Clone], bare: Path) -> None:
    """A run may not be made a part of one that is not in the bundle."""
    train, record = jobs
    run = train.run("nightly")
    entry = train.place.ledger.find(run)
    assert entry is not None
    text = next(git.read_objects(train.place.repo, [entry.blob]))
    data = text.replace(b'"run_id"', b'"parent_run": "%s",\n  "run_id"' % (b"0" * 32), 1)
    assert data != text
    commit = changed(train, run, ".gitml/run/run.json", data)
    train.git("update-ref", f"{bundling.REFS}{run}", commit)
    with pytest.raises(FormatError, match="not in the bundle"):
        take(record, made(train, f"{bundling.REFS}{run}"))
    assert bare.is_dir()
