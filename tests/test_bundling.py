"""Bundles: a job that may not push leaves its runs in a file, and another publishes them."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path
from typing import Any

import pytest

from gitml import git
from gitml.errors import FormatError, GitmlError, UsageError
from gitml.tracking import bundled, bundling
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


# -- what would be too much to read, or is no file ---------------------------------------------


def entry(train: Clone, run: str, mode: str, path: str, data: bytes) -> Path:
    """The bundle of a run that has one more entry, of any mode, in any tree of its commit."""
    repo, commit = train.place.repo, commit_of(train, run)
    kind = {"160000": "commit"}.get(mode, "blob")
    id = commit if kind == "commit" else blob_of(train, data)
    tree = with_entry(train, f"{commit}^{{tree}}", path.split("/"), f"{mode} {kind} {id}")
    parent = git.text(repo, "rev-parse", f"{commit}^")
    made_by_hand = ("commit-tree", tree, "-p", parent, "-m", f"forged\n\nRun-Id: {run}")
    train.git("update-ref", f"{bundling.REFS}{run}", train.git(*made_by_hand))
    return made(train, f"{bundling.REFS}{run}")


def blob_of(train: Clone, data: bytes) -> str:
    """The id of a new blob."""
    return git.run(train.place.repo, "hash-object", "-w", "--stdin", input=data).decode().strip()


def with_entry(train: Clone, tree: str, parts: list[str], meta: str) -> str:
    """A tree with one more entry, whatever git would say to that."""
    repo = train.place.repo
    listed = git.run(repo, "ls-tree", "-z", tree).split(b"\0")[:-1] if tree else []
    name, *rest = parts
    if rest:
        there = [line for line in listed if line.partition(b"\t")[2] == name.encode()]
        below = there[0].split()[2].decode() if there else ""
        meta = f"040000 tree {with_entry(train, below, rest, meta)}"
    kept = [line for line in listed if line.partition(b"\t")[2] != name.encode()]
    told = b"".join(line + b"\0" for line in (*kept, f"{meta}\t{name}".encode()))
    return git.run(repo, "mktree", "-z", "--missing", input=told).decode().strip()


@pytest.mark.parametrize(
    ("mode", "path", "why"),
    [
        ("120000", ".gitml/run/artifacts/link", "is a symbolic link"),
        ("120000", ".gitml/run/run.json", "is a symbolic link"),
        ("100755", ".gitml/run/artifacts/program", "is a program"),
        ("160000", ".gitml/run/artifacts/sub", "is a submodule"),
        ("120000", "data", "is a symbolic link; commit that first"),
        ("160000", "vendor", "is a submodule; commit that first"),
        ("100644", "..", "contains '..'"),
        ("100644", "a/../b", "contains '..'"),
        ("100644", ".git/config", "contains '.git'"),
        ("100644", "a/.GIT/config", "contains '.git'"),
        ("100644", "git~1/config", "contains '.git'"),
        ("100644", ".gitml/run/artifacts/../../../x", "contains '..'"),
        ("100644", "TRAIN.py", "case alone"),
        ("100644", ".GITML/run/run.json", "case alone"),
        ("100644", ".gitml/run/RUN.json", "case alone"),
        ("100644", ".gitml/Run/x", "case alone"),
        ("100644", ".gitml/run/artifacts/e\u0301/x", "form NFC"),
        ("100644", ".gitml/run/artifacts/x\n", "x.n|newline"),
    ],
)
def test_what_is_no_plain_file_of_its_own_does_not_come(
    mode: str, path: str, why: str, jobs: tuple[Clone, Clone], bare: Path
) -> None:
    """Neither links nor submodules, nor names that no tree may have or that fall together."""
    train, record = jobs
    run = train.run("nightly", files={"notes": b"x"})
    refused(record, bare, entry(train, run, mode, path, b"/etc/passwd"), why)


def test_a_link_of_the_code_comes_along(jobs: tuple[Clone, Clone]) -> None:
    """What is committed is at the remote already; another target is not."""
    train, record = jobs
    (train.folder / "link").symlink_to("train.py")
    train.git("add", "link")
    train.git("commit", "--quiet", "--message", "A link")
    train.git("push", "--quiet", "origin", "HEAD:main")
    record.git("pull", "--quiet", "origin", "main")
    first = train.run("nightly")
    assert take(record, bundle(train, first)) == [first]
    (train.folder / "link").unlink()
    (train.folder / "link").symlink_to("/etc/passwd")
    second = train.run("again")
    with pytest.raises(FormatError, match="'link' is a symbolic link; commit that first"):
        take(record, bundle(train, second))


@pytest.mark.parametrize(
    ("limit", "most", "path", "why"),
    [
        ("LARGEST_RECORD", 1000, ".gitml/run/run.json", r"run\.json has .* MB, at most"),
        ("LARGEST", {"blob": 20_000, "tree": 99999, "commit": 99999}, "x", "the blob .* has"),
        ("LARGEST", {"blob": 1 << 20, "tree": 50, "commit": 99999}, "x", "the tree .* has"),
        ("LARGEST", {"blob": 1 << 20, "tree": 99999, "commit": 10}, "x", "the commit .* has"),
        ("MOST_BYTES", 10_000, "x", "the bundle has unpacked"),
        ("LARGEST_FILE", 100, "x", "the bundle has 0.0 MB"),
        ("MOST_OBJECTS", 3, "x", "objects, at most 3 are allowed"),
    ],
)
def test_what_is_too_much_is_not_read(
    limit: str,
    most: Any,
    path: str,
    why: str,
    jobs: tuple[Clone, Clone],
    bare: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sizes are asked for before anything is unpacked into memory."""
    train, record = jobs
    run = train.run("nightly")
    monkeypatch.setattr(bundled, limit, most)
    refused(record, bare, entry(train, run, "100644", path, b" " * 50_000), why)


def test_a_record_of_gigabytes_is_refused_by_its_size(
    jobs: tuple[Clone, Clone], bare: Path
) -> None:
    """It is small in the bundle, and is never unpacked into this process."""
    train, record = jobs
    run = train.run("nightly")
    file = entry(train, run, "100644", ".gitml/run/run.json", b" " * (65 << 20))
    assert file.stat().st_size < 1 << 20
    refused(record, bare, file, "the blob .* has 65.0 MB, at most 64 MB")


def test_a_head_without_end_is_refused(jobs: tuple[Clone, Clone], tmp_path: Path) -> None:
    """Git would list each of its names."""
    line = b"%s refs/gitml/bundle/%s\n" % (b"0" * 40, b"0" * 32)
    (tmp_path / "file").write_bytes(b"# v2 git bundle\n" + line * 20_000 + b"\nPACK")
    with pytest.raises(FormatError, match="says what it has in more than"):
        take(jobs[1], tmp_path / "file")


def test_a_few_bytes_that_unpack_to_gigabytes_are_refused(
    jobs: tuple[Clone, Clone], tmp_path: Path
) -> None:
    """A delta says how large what it makes is, and git would make room for it first."""
    base = b"0" * (1 << 20)
    length = 3 << 30
    copy = b"\xf0\x00\x00\x10"  # a megabyte, from the beginning
    delta = varint(len(base)) + varint(length) + copy * (length >> 20)
    id = hashlib.sha1(b"blob %d\0" % len(base) + base, usedforsecurity=False).digest()
    objects = header(3, len(base)) + zlib.compress(base)
    objects += header(7, len(delta)) + id + zlib.compress(delta)
    pack = b"PACK" + (2).to_bytes(4, "big") + (2).to_bytes(4, "big") + objects
    pack += hashlib.sha1(pack, usedforsecurity=False).digest()
    ref = b"%s %s%s" % (b"1" * 40, bundling.REFS.encode(), b"0" * 32)
    (tmp_path / "file").write_bytes(b"# v2 git bundle\n" + ref + b"\n\n" + pack)
    with pytest.raises(FormatError, match=r"can't be taken: .* over limit"):
        take(jobs[1], tmp_path / "file")


def varint(number: int) -> bytes:
    """A size in a delta: seven bits a byte, the lowest first."""
    found = []
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def header(kind: int, size: int) -> bytes:
    """What an object in a pack begins with: its kind, and four bits of its size, then the rest."""
    first, rest = kind << 4 | size & 15, size >> 4
    return bytes([first | 128]) + varint(rest) if rest else bytes([first])
