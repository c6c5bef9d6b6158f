"""Projects from elsewhere: git URLs, versions, runs, and data that parameters name."""

from __future__ import annotations

import hashlib
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gitml
from gitml import caches
from gitml.errors import StorageError, UsageError
from gitml.projects import uris
from gitml.projects.uris import Folder, OfRun, Repository
from tests import projects
from tests.cli import Caller
from tests.conftest import Git, new_repository, run_git
from tests.invariants import UserState, check_sound

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are bash's")

SCRIPT = """
    import gitml, os, sys
    gitml.log_param("arguments", sys.argv[1:])
    with gitml.start_run(nested=True, run_name="inner"):
        gitml.log_metric("a", 1)
    print(os.getcwd())
    """
FILES = {
    "MLproject": """
        entry_points:
          main:
            parameters: {word: {default: hello}}
            command: "python t.py {word}"
          data:
            parameters: {file: path}
            command: "cat {file}"
          wait: {command: "echo waiting; exec sleep 600"}
        """,
    "t.py": SCRIPT,
    "part/MLproject": "entry_points: {main: {command: 'echo in $PWD'}}\n",
    "gitml.yaml": "ledger: {ref: theirs/runs}\nexperiment: theirs\n",
}


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Another repository with a project: a tag `v1`, a branch `next`, and a commit on top."""
    folder = new_repository(tmp_path / "theirs")
    projects.write(folder, FILES)
    run_git(folder, "add", ".")
    run_git(folder, "commit", "--quiet", "-m", "one")
    run_git(folder, "tag", "-a", "v1", "-m", "v1")
    run_git(folder, "checkout", "--quiet", "-b", "next")
    (folder / "t.py").write_text("print('next')\n")
    run_git(folder, "commit", "--quiet", "-am", "next")
    run_git(folder, "checkout", "--quiet", "main")
    return folder


# -- URIs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        (".", Folder(".")),
        ("a/b#c", Folder("a/b", "c")),
        ("C:\\x", Folder("C:\\x")),
        ("https://host/a/b", Repository("https://host/a/b")),
        ("https://host:8443/a.git#x/y", Repository("https://host:8443/a.git", "x/y")),
        ("http://127.0.0.1:80/a", Repository("http://127.0.0.1:80/a")),
        ("ssh://git@host:22/a", Repository("ssh://git@host:22/a")),
        ("git@host:a/b.git#.", Repository("git@host:a/b.git")),
        ("file:///a/b", Repository("file:///a/b")),
        ("runs:/abc", OfRun("abc")),
        ("runs:/abc#x", OfRun("abc", "x")),
        ("runs:/abc#", OfRun("abc", "")),
    ],
)
def test_what_a_uri_names(uri: str, source: object) -> None:
    """A folder, a repository or a run, and a folder in it."""
    assert uris.parse(uri) == source


# -- repositories --------------------------------------------------------------------------


def test_a_project_from_a_url_leaves_the_repository_as_it_was(
    repo: Path, theirs: Path, git: Git
) -> None:
    """It runs in a work tree that goes again; its runs, also nested ones, are the caller's."""
    (repo / "train.py").write_text("changed\n")
    before = UserState.of(repo)
    url = theirs.as_uri()
    done = projects.gitml("run", url, "-P", "word=a b", "--yes")
    assert UserState.of(repo) == before
    outer, inner = projects.runs(repo)
    assert outer.params == {"word": "a b", "arguments": ["a b"]}
    assert (outer.source.type, outer.source.name) == ("PROJECT", url)
    assert outer.tags["mlflow.source.git.repoURL"] == url
    assert outer.tags["mlflow.source.git.commit"] == run_git(theirs, "rev-parse", "HEAD")
    assert inner.parent_run == outer.run_id
    assert inner.code.commit == outer.code.commit
    assert {outer.experiment, inner.experiment} == {"default"}
    assert not outer.code.dirty
    assert not Path(done.stdout.decode().strip()).exists()
    assert list(caches.folder("projects").iterdir()) == []
    assert len(git("worktree", "list").splitlines()) == 1
    check_sound(repo)


def test_the_code_is_taken_over_without_its_history(repo: Path, theirs: Path, git: Git) -> None:
    """As a commit that says whose it is, with its author and date: always the same one."""
    for _ in range(2):
        projects.gitml("run", theirs.as_uri(), "--yes")
    first, second = (run for run in projects.runs(repo) if run.parent_run is None)
    assert first.code.commit == second.code.commit
    commit = str(first.code.commit)
    there = run_git(theirs, "rev-parse", "HEAD")
    assert git("log", "-1", "--format=%an %ae %aI %T %P", commit).strip() == run_git(
        theirs, "log", "-1", "--format=%an %ae %aI %T", there
    )
    assert git("log", "-1", "--format=%B", commit).strip() == (
        f"gitml: code of {theirs.as_uri()}\n\nCommit: {there}"
    )
    assert subprocess.run(["git", "cat-file", "-e", there], cwd=repo, check=False).returncode


@pytest.mark.parametrize("name", ["next", "refs/heads/next", "full", "short"])
def test_a_version_is_a_branch_a_tag_or_a_commit(repo: Path, theirs: Path, name: str) -> None:
    """A commit also by the beginning of its id."""
    commit = run_git(theirs, "rev-parse", "next")
    wanted = {"full": commit, "short": commit[:9]}.get(name, name)
    done = projects.gitml("run", theirs.as_uri(), "--version", wanted, "--yes")
    assert done.stdout == b"next\n"
    (run,) = projects.runs(repo)
    assert run.tags["mlflow.source.git.commit"] == commit


def test_a_folder_of_a_repository_and_a_tag(repo: Path, theirs: Path) -> None:
    """The project is in the folder; the code of all of the repository is recorded."""
    done = projects.gitml("run", theirs.as_uri() + "#part", "--version", "v1", "--yes")
    assert done.stdout.endswith(b"/part\n")
    (run,) = projects.runs(repo)
    assert run.tags["mlflow.source.git.commit"] == run_git(theirs, "rev-parse", "v1^{commit}")
    assert run.source.name == theirs.as_uri() + "#part"


def test_a_commit_that_is_here_already_is_used_from_here(
    repo: Path, theirs: Path, git: Git, tmp_path: Path
) -> None:
    """With its history; it is the repository's own remote, and so known."""
    run_git(tmp_path, "clone", "--quiet", str(theirs), "mine")
    mine = tmp_path / "mine"
    run_git(mine, "remote", "set-url", "origin", theirs.as_uri())
    projects.gitml("run", theirs.as_uri(), cwd=mine)
    run, _ = projects.runs(mine)
    assert run.code.commit == run_git(theirs, "rev-parse", "HEAD")
    assert "mlflow.source.git.commit" not in run.tags


def test_what_there_is_not_is_told(repo: Path, theirs: Path, call: Caller, tmp_path: Path) -> None:
    """One line; and nothing stays behind."""
    url = theirs.as_uri()
    run_git(theirs, "branch", "v1")
    for args, code, words in (
        ([url, "--version", "nope"], 2, "has no revision 'nope'"),
        ([url, "--version", "v1"], 0, ""),
        ([f"{url}#nope"], 2, "the project has no folder 'nope'"),
        ([(tmp_path / "nothing").as_uri()], 3, "does not appear to be a git repository"),
        ([url, "-e", "nope"], 2, "no entry point 'nope'"),
        (["runs:/nope"], 2, "nope"),
    ):
        if words:
            assert words in call("run", *args, "--yes", code=code).err
    run_git(theirs, "checkout", "--quiet", "v1")
    run_git(theirs, "commit", "--quiet", "--allow-empty", "-m", "another v1")
    found = call("run", url, "--version", "v1", "--yes", code=2).err
    assert "has a branch and a tag 'v1'; name one of them in full" in found
    assert list(caches.folder("projects").iterdir()) == []
    assert projects.runs(repo) == []


def test_without_a_repository_there_is_nowhere_to_record(theirs: Path, tmp_path: Path) -> None:
    """One line that says what to do."""
    done = projects.gitml("run", theirs.as_uri(), "--yes", cwd=tmp_path, code=2)
    assert b"is not in a git repository; run: git init" in done.stderr


def test_a_sha256_repository_is_refused_by_a_sha1_one(repo: Path, tmp_path: Path) -> None:
    """Objects of the one can't be in the other."""
    folder = tmp_path / "new"
    folder.mkdir()
    run_git(folder, "init", "--quiet", "--object-format=sha256")
    projects.write(folder, {"x.py": ""})
    run_git(folder, "add", ".")
    run_git(folder, "-c", "user.name=A", "-c", "user.email=a@b", "commit", "--quiet", "-m", "x")
    done = projects.gitml("run", folder.as_uri(), "-e", "x.py", "--yes", code=2)
    assert b"names its objects by sha256, this repository by sha1" in done.stderr


# -- trust ---------------------------------------------------------------------------------


def test_unknown_code_is_shown_and_needs_a_yes(repo: Path, theirs: Path) -> None:
    """Without a terminal it does not run; once it was agreed to, it does."""
    refused = projects.gitml("run", theirs.as_uri(), "-e", "data", "-P", "file=.", code=2)
    assert b"runs with --yes only" in refused.stderr
    for words in (theirs.as_uri(), run_git(theirs, "rev-parse", "HEAD"), "cat {file}"):
        assert words.encode() in refused.stderr
    assert projects.runs(repo) == []
    projects.gitml("run", theirs.as_uri(), "--yes")
    projects.gitml("run", theirs.as_uri() + "/", "--version", "next")


@pytest.mark.parametrize(("answer", "code"), [("n\n", 2), ("y\n", 0)])
def test_the_terminal_is_asked(repo: Path, theirs: Path, answer: str, code: int) -> None:
    """No is the default."""
    mine, theirs_end = pty.openpty()
    argv = projects.command("run", theirs.as_uri())
    with subprocess.Popen(
        argv, stdin=theirs_end, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        os.write(mine, answer.encode())
        _, said = running.communicate()
    os.close(mine)
    os.close(theirs_end)
    assert running.returncode == code
    assert b"Run it? [y/N]" in said
    assert len(projects.runs(repo)) == (0 if code else 2)


# -- folders at a version, and runs --------------------------------------------------------


def test_a_folder_at_a_version_is_not_the_folder(theirs: Path, tmp_path: Path) -> None:
    """The work tree stays as it is, uncommitted changes and all."""
    (theirs / "t.py").write_text("raise SystemExit(5)\n")
    (theirs / "gitml.yaml").write_text("experiment: mine\n")
    before = UserState.of(theirs)
    done = projects.gitml("run", ".", "--version", "next", cwd=theirs)
    assert done.stdout == b"next\n"
    assert UserState.of(theirs) == before
    (run,) = projects.runs(theirs)
    assert (run.experiment, run.code.commit) == ("mine", run_git(theirs, "rev-parse", "next"))


def test_a_folder_of_another_repository_at_a_version(repo: Path, theirs: Path) -> None:
    """Its code is taken over, and no path of this machine is recorded."""
    projects.gitml("run", theirs / "part", "--version", "v1")
    (run,) = projects.runs(repo)
    assert run.source.name == "theirs/part"
    assert "gitml: code of theirs" in run_git(
        repo, "log", "-1", "--format=%B", str(run.code.commit)
    )
    projects.gitml("run", theirs, "--version", "nope", code=2)


def test_the_code_of_a_run_runs_again(repo: Path) -> None:
    """As it was on disk then; the new run stands on the old one, and is of the same folder."""
    projects.write(repo / "part", {"x.py": "print('old')"})
    projects.gitml("run", "part", "-e", "x.py")
    projects.write(repo / "part", {"x.py": "print('new')"})
    done = projects.gitml("run", "runs:/latest", "-e", "x.py")
    assert done.stdout == b"old\n"
    first, second = projects.runs(repo)
    assert second.source.name == f"runs:/{first.run_id}#part"
    assert second.code.tree == first.code.tree
    again = projects.gitml("run", f"runs:/{second.run_id}", "-e", "x.py")
    assert again.stdout == b"old\n"
    assert (repo / "part" / "x.py").read_text() == "print('new')"


def test_the_code_of_a_run_that_only_a_fork_has_is_a_strangers(
    repo: Path, theirs: Path, git: Git
) -> None:
    """Such a run is listed like all others, but its code runs after a yes only."""
    run_git(theirs, "rm", "--quiet", "gitml.yaml")
    run_git(theirs, "commit", "--quiet", "--message", "The usual settings")
    projects.gitml("run", ".", cwd=theirs)
    run_id = projects.runs(theirs)[0].run_id
    git("remote", "add", "fork", str(theirs))
    git("fetch", "--quiet", "fork")
    refused = projects.gitml("run", f"runs:/{run_id}", code=2)
    assert b"runs with --yes only" in refused.stderr
    assert b"python t.py {word}" in refused.stderr
    projects.gitml("run", f"runs:/{run_id}", "--yes")
    projects.gitml("run", f"runs:/{run_id}", code=2)  # nothing is known by it
    git("remote", "rename", "fork", "origin")
    projects.gitml("run", f"runs:/{run_id}")


# -- what is left behind -------------------------------------------------------------------


def test_what_a_killed_run_left_is_taken_away(repo: Path, theirs: Path, git: Git) -> None:
    """By the next `gitml run` or `gitml recover`."""
    argv = projects.command("run", theirs.as_uri(), "-e", "wait", "--yes")
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"waiting\n"
        assert list(caches.folder("projects").iterdir()) != []
        projects.gitml("recover")
        assert len(git("worktree", "list").splitlines()) == 2  # it lives
        running.kill()
    projects.gitml("recover")
    assert list(caches.folder("projects").iterdir()) == []
    assert len(git("worktree", "list").splitlines()) == 1
    (run,) = projects.runs(repo)
    assert run.status == "KILLED"
    check_sound(repo)


def test_a_project_that_fails_leaves_nothing(repo: Path, theirs: Path, git: Git) -> None:
    """Neither a folder nor a work tree."""
    projects.gitml("run", theirs.as_uri(), "-e", "data", "-P", "file=/nope", "--yes", code=2)
    projects.gitml("run", theirs.as_uri(), "-e", "wait", "--timeout", "0.2", "--yes", code=1)
    assert list(caches.folder("projects").iterdir()) == []
    assert len(git("worktree", "list").splitlines()) == 1


# -- data ----------------------------------------------------------------------------------


def test_a_path_may_be_an_artifact_of_a_run(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is fetched, verified, and gone at the end; the command line is recorded as it was."""
    (theirs / "gitml.yaml").unlink()
    monkeypatch.chdir(theirs)
    with gitml.start_run() as made:
        gitml.log_text("some words", "notes/a.txt")
    uri = f"runs:/{made.info.run_id}/notes/a.txt"
    done = projects.gitml("run", ".", "-e", "data", "-P", f"file={uri}")
    assert done.stdout == b"some words"
    run = projects.runs(theirs)[-1]
    assert f"file={uri}" in run.source.command
    assert run.params["file"] == uri
    kept = projects.gitml(
        *("run", ".", "-e", "data", "-P", f"file={uri}", "--storage-dir", theirs / "data")
    )
    assert kept.stdout == b"some words"
    assert [path.read_text() for path in (theirs / "data").glob("*/a.txt")] == ["some words"]
    projects.gitml("run", ".", "-e", "data", "-P", "file=runs:/latest/nope", code=2)


def test_a_path_may_be_what_dvc_tracks(
    theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is used if it is what was tracked, else the tracked bytes are fetched."""
    from dvc.repo import Repo

    (theirs / "gitml.yaml").unlink()
    monkeypatch.chdir(theirs)
    with Repo.init(str(theirs)) as dvc:
        with dvc.config.edit() as config:
            config["remote"]["store"] = {"url": str(tmp_path / "store")}
            config["core"]["remote"] = "store"
        projects.write(theirs, {"rows.csv": "1,2\n"})
        dvc.add("rows.csv")
        dvc.push()
    ask = ("run", ".", "-e", "data", "-P", "file=dvc:rows.csv")
    assert projects.gitml(*ask).stdout == b"1,2\n"
    assert projects.runs(theirs)[-1].params["file"] == "dvc:rows.csv"
    (theirs / "rows.csv").write_text("3,4\n")
    assert projects.gitml(*ask).stdout == b"1,2\n"
    shutil.rmtree(theirs / ".dvc" / "cache")
    assert projects.gitml(*ask).stdout == b"1,2\n"
    (stored,) = (path for path in (tmp_path / "store").rglob("*") if path.is_file())
    stored.chmod(0o644)
    stored.write_text("5,6\n")
    shutil.rmtree(theirs / ".git" / "gitml" / "cache")
    with pytest.raises(StorageError):
        gitml.projects.run(".", "data", parameters={"file": "dvc:rows.csv"})
    with pytest.raises(UsageError, match=r"DVC tracks nothing at 'dvc:t\.py'"):
        gitml.projects.run(".", "data", parameters={"file": "dvc:t.py"})


def test_a_path_may_be_a_file_or_a_folder_behind_a_url(
    theirs: Path, spool_bucket: object, endpoint: str
) -> None:
    """From a bucket or a web server; the run tells which bytes came, by their md5."""
    import boto3

    client = boto3.client("s3", endpoint_url=endpoint)
    for name, text in {"t/a.csv": "1\n", "t/sub/b.csv": "2\n"}.items():
        client.put_object(Bucket="bucket", Key=name, Body=text.encode(), ACL="public-read")
    run_git(theirs, "rm", "--quiet", "gitml.yaml")
    run_git(theirs, "commit", "--quiet", "-m", "a plain one")
    ask = ("run", ".", "-e", "data", "-P")
    assert projects.gitml(*ask, "file=s3://bucket/t/a.csv", cwd=theirs).stdout == b"1\n"
    run = projects.runs(theirs)[-1]
    assert run.params["file"] == "s3://bucket/t/a.csv"
    assert run.tags["gitml.data.file"] == hashlib.md5(b"1\n").hexdigest()
    url = f"{endpoint}/bucket/t/sub/b.csv"
    assert projects.gitml(*ask, f"file={url}", cwd=theirs).stdout == b"2\n"
    projects.gitml("runs", "reproduce", "latest", cwd=theirs)
    client.put_object(Bucket="bucket", Key="t/sub/b.csv", Body=b"3\n", ACL="public-read")
    done = projects.gitml("runs", "reproduce", "latest", cwd=theirs, code=1)
    assert b"data         different  file: " in done.stdout
    tree = ("run", ".", "-e", "tree", "-P", "folder=s3://bucket/t")
    projects.write(theirs, {"MLproject": """
        entry_points: {tree: {parameters: {folder: path}, command: "cd {folder} && cat */b.csv"}}
        """})  # fmt: skip
    assert projects.gitml(*tree, cwd=theirs).stdout == b"3\n"


def test_submodules_and_files_of_lfs_are_named(repo: Path, theirs: Path, tmp_path: Path) -> None:
    """They are not fetched; the project runs without them."""
    other = new_repository(tmp_path / "other")
    allow = ("-c", "protocol.file.allow=always")
    run_git(theirs, *allow, "submodule", "--quiet", "add", str(other), "lib/other")
    pointer = f"version https://example.org/lfs/v1\noid sha256:{'0' * 64}\nsize 9\n"
    (theirs / "big.bin").write_text(pointer)
    (theirs / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    run_git(theirs, "add", ".")
    run_git(theirs, "commit", "--quiet", "-m", "more")
    said = projects.gitml("run", theirs.as_uri(), "--yes").stderr.decode()
    assert "the submodule 'lib/other' is not fetched; its folder is empty" in said
    assert "what Git LFS holds is not fetched; there are pointers in 'big.bin'" in said


def test_from_python_unknown_code_needs_leave(repo: Path, theirs: Path) -> None:
    """Nobody can be asked; leave that is given in code is for that call alone."""
    with pytest.raises(UsageError, match="pass allow_code=True if you trust who wrote it"):
        gitml.projects.run(theirs.as_uri())
    assert projects.runs(repo) == []
    assert gitml.projects.run(theirs.as_uri(), allow_code=True).get_status() == "FINISHED"
    with pytest.raises(UsageError, match="is not known here"):
        gitml.projects.run(theirs.as_uri())


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        ("models:/churn/1", 2, "churn"),
        ("https://user:geheim@host/a.csv", 2, "'https://host/a.csv' is no URL"),
        ("https://host/a.csv?sig=geheim", 2, "'https://host/a.csv' is no URL"),
        ("foo://host/a.csv", 2, "is no URL that gitml fetches data from"),
        ("http://127.0.0.1:1/a.csv", 3, "http://127.0.0.1:1/a.csv"),
    ],
)
def test_what_is_no_data_is_told_and_nothing_runs(
    theirs: Path, value: str, code: int, said: str
) -> None:
    """One line, without a secret; there is no run."""
    done = projects.gitml("run", ".", "-e", "data", "-P", f"file={value}", cwd=theirs, code=code)
    assert said in done.stderr.decode()
    assert b"geheim" not in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert projects.runs(theirs) == []
