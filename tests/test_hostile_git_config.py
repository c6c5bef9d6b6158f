"""A downloaded folder brings its `.git/config`: which of its programs gitml starts, and when.

git takes that file for the user's own, and so must gitml, or his filters and credential helpers
would not work. But what only reads starts none of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import gitml
import gitml.sklearn
from gitml import git
from gitml.cli.main import run
from gitml.errors import NoRepositoryError
from tests.clones import team
from tests.conftest import new_repository, run_git
from tests.models import estimator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="made of POSIX scripts")

HOOKS = """applypatch-msg commit-msg post-checkout post-commit post-index-change post-merge
post-rewrite pre-auto-gc pre-commit pre-push prepare-commit-msg reference-transaction""".split()

# Settings that name a program; each leaves a file of its name.
PROGRAMS = """core.fsmonitor core.sshCommand core.gitProxy core.editor core.pager core.askPass
core.alternateRefsCommand gpg.program gpg.ssh.program gpg.x509.program pager.log pager.diff
pager.status sequence.editor credential.helper diff.external diff.evil.command diff.evil.textconv
merge.evil.driver filter.evil.clean filter.evil.smudge filter.evil.process
uploadpack.packObjectsHook gc.recentObjectsHook remote.origin.uploadpack remote.origin.receivepack
trailer.Run-Id.cmd trailer.Run-Id.command interactive.diffFilter""".split()
ALIASES = "status log rev-parse cat-file for-each-ref ls-tree config update-ref diff".split()
SWITCHES = {
    "commit.gpgSign": "true",
    "tag.gpgSign": "true",
    "push.gpgSign": "if-asked",
    "log.showSignature": "true",
    "protocol.allow": "always",
    "protocol.ext.allow": "always",
    "core.untrackedCache": "true",
    "fetch.fsckObjects": "false",
}


def program(folder: Path, name: str) -> Path:
    """A script that leaves the file `canary/NAME` and fails."""
    path = folder / "programs" / name
    path.parent.mkdir(exist_ok=True)
    (folder / "canary").mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\ntouch '{folder}/canary/{name}'\nexit 1\n")
    path.chmod(0o755)
    return path


def ran(folder: Path) -> set[str]:
    """The programs that were started since the last call."""
    found = {path.name for path in (folder / "canary").iterdir()}
    for name in found:
        (folder / "canary" / name).unlink()
    return found


@pytest.fixture
def downloaded(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run of somebody else, whose `.git/config` names a program wherever it can."""
    folder = new_repository(tmp_path / "downloaded")
    (folder / ".gitattributes").write_text("*.py filter=evil diff=evil merge=evil\n")
    (folder / "gitml.yaml").write_text("experiment: theirs\n")
    run_git(folder, "add", ".")
    run_git(folder, "commit", "--quiet", "--message", "Second commit")
    run_git(folder, "remote", "add", "origin", str(bare))
    run_git(folder, "push", "--quiet", "origin", "main")
    monkeypatch.chdir(folder)
    gitml.set_tracking_uri(folder)
    for name in ("one", "two"):
        with gitml.start_run(run_name=name):
            gitml.log_metric("auc", 0.5)
            gitml.log_text("x", "notes.txt")
            gitml.sklearn.log_model(estimator(), name="model")
    for key in PROGRAMS:
        run_git(folder, "config", key, str(program(tmp_path, key)))
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in HOOKS:
        (hooks / name).write_text(program(tmp_path, f"hook-{name}").read_text())
        (hooks / name).chmod(0o755)
    run_git(folder, "config", "core.hooksPath", str(hooks))
    for name in ALIASES:
        run_git(folder, "config", f"alias.{name}", f"!{program(tmp_path, 'alias-' + name)}")
    extra = tmp_path / "extra"
    extra.write_text(f"[core]\n\tfsmonitor = {program(tmp_path, 'included')}\n")
    run_git(folder, "config", "include.path", str(extra))
    for key, value in SWITCHES.items():
        run_git(folder, "config", key, value)
    (folder / "train.py").write_text("print('changed')\n")
    ran(tmp_path)
    return folder


def record() -> None:
    """Record a run while a file is changed."""
    with gitml.start_run():
        gitml.log_metric("auc", 0.9)


def command(*words: str) -> Callable[[], object]:
    """Call the command line, whatever comes of it."""
    return lambda: run(list(words))


# What is called, and the programs of `.git/config` that it starts.
CALLS: dict[str, tuple[Callable[[], object], set[str]]] = {
    "runs list": (command("runs", "list"), set()),
    "runs show": (command("runs", "show", "latest"), set()),
    "runs diff": (command("runs", "diff", "one", "two"), set()),
    "runs artifacts": (command("runs", "artifacts", "latest"), set()),
    "validate": (command("validate"), set()),
    "models inspect": (command("models", "inspect", "runs:/latest/model"), set()),
    "load a model": (lambda: gitml.sklearn.load_model("runs:/latest/model"), set()),
    "gc": (command("gc"), set()),
    "recover": (command("recover"), set()),
    # As `git add` and `git checkout` do: without its filters a file is another one (Git LFS).
    "a run": (record, {"filter.evil.process"}),
    "run": (command("run", ".", "-e", "train.py"), {"filter.evil.process"}),
    "runs checkout": (command("runs", "checkout", "latest"), {"filter.evil.process"}),
    # As `git fetch` and `git push` do.
    "doctor": (command("doctor"), {"remote.origin.uploadpack"}),
    "pull": (command("pull"), {"remote.origin.uploadpack"}),
    "push": (command("push"), {"remote.origin.uploadpack"}),
}


def test_what_reads_starts_nothing(downloaded: Path, tmp_path: Path) -> None:
    """What records starts the filters, and what speaks with a remote the programs for that."""
    started = {}
    for name, (act, _) in CALLS.items():
        act()
        started[name] = ran(tmp_path)
    assert started == {name: expected for name, (_, expected) in CALLS.items()}


# -- remotes -------------------------------------------------------------------------------


@pytest.fixture
def partial(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A partial clone that lacks the records, which git fetches when somebody reads them."""
    (first,) = team(tmp_path, bare, "first")
    first.run("one")
    first.push()
    run_git(bare, "config", "uploadpack.allowFilter", "true")
    run_git(tmp_path, "clone", "--quiet", "--filter=blob:none", bare.as_uri(), "partial")
    monkeypatch.chdir(tmp_path / "partial")
    return tmp_path / "partial"


def ext(script: Path) -> dict[str, dict[str, str]]:
    """The ways to have git start a program as the transport of a remote."""
    url = f"ext::{script} %S"
    return {
        "url": {"remote.origin.url": url},
        "insteadOf": {f"url.{url}.insteadOf": "file://"},
        "vcs": {"remote.origin.vcs": "ext", "remote.origin.url": f"{script} %S"},
        "pushurl": {"remote.origin.pushUrl": url},
    }


@pytest.mark.parametrize("way", ext(Path()))
@pytest.mark.parametrize("allow", ["protocol.ext.allow", "protocol.allow"])
def test_no_url_that_is_a_command_is_followed(
    way: str, allow: str, partial: Path, tmp_path: Path
) -> None:
    """Neither when git fetches what a partial clone lacks, nor in a pull or push."""
    for key, value in {**ext(program(tmp_path, "ext"))[way], allow: "always"}.items():
        run_git(partial, "config", key, value)
    for words in (("runs", "list"), ("runs", "show", "latest"), ("pull",), ("push",), ("doctor",)):
        run(list(words))
    with gitml.start_run():
        gitml.log_metric("auc", 0.9)
    run(["push"])
    assert not ran(tmp_path)
    with pytest.raises(AssertionError):
        run_git(partial, "push", "origin", "HEAD:other")
    assert ran(tmp_path) == {"ext"}  # git itself would have


@pytest.mark.parametrize("scope", ["--local", "--global"])
def test_the_user_may_allow_himself_a_url_that_is_a_command(
    scope: str, partial: Path, tmp_path: Path
) -> None:
    """His own configuration says so; that of the folder does not count."""
    run_git(partial, "config", scope, "protocol.ext.allow", "always")
    run_git(partial, "config", "remote.origin.url", f"ext::{program(tmp_path, 'ext')} %S")
    for words in (("pull",), ("push",)):
        run(list(words))
        assert ran(tmp_path) == ({"ext"} if scope == "--global" else set())


def test_reading_a_partial_clone_fetches_as_git_does(partial: Path, tmp_path: Path) -> None:
    """With the ssh program that the folder names: deploy keys are set so. It is written down."""
    run_git(partial, "config", "remote.origin.url", "ssh://host.invalid/x")
    run_git(partial, "config", "core.sshCommand", str(program(tmp_path, "ssh")))
    run(["runs", "list"])
    assert ran(tmp_path) == {"ssh"}


# -- the work tree -------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["folder", "file"])
def test_a_folder_does_not_say_that_the_home_is_its_work_tree(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run would take a snapshot of it."""
    home = tmp_path / "home"
    folder = new_repository(home / "downloads" / "x")
    run_git(folder, "config", "core.worktree", str(home))
    if form == "file":
        (folder / ".git").rename(folder / "inner")
        (folder / ".git").write_text("gitdir: inner\n")
    (home / "diary.txt").write_text("secret")
    monkeypatch.chdir(folder)
    for start in (folder, None):
        with pytest.raises(NoRepositoryError, match=r"core\.worktree"):
            git.find(start)
    run_git(
        tmp_path,
        "config",
        "--file",
        str(folder / ("inner" if form == "file" else ".git") / "config"),
        "--unset",
        "core.worktree",
    )
    assert git.find(folder).root == folder


def test_a_work_tree_may_be_anywhere(tmp_path: Path) -> None:
    """Links, work trees, submodules and git folders elsewhere lead to their repository."""
    one = new_repository(tmp_path / "one")
    run_git(one, "worktree", "add", "--quiet", str(tmp_path / "tree"))
    run_git(tmp_path, "init", "--quiet", "--separate-git-dir", "apart", "two")
    allow = ("-c", "protocol.file.allow=always")
    run_git(one, *allow, "submodule", "--quiet", "add", str(one), "sub")
    (tmp_path / "three").mkdir()
    (tmp_path / "three" / ".git").symlink_to(one / ".git")
    (tmp_path / "link").symlink_to(one)
    for name in ("one", "tree", "two", "one/sub", "three"):
        assert git.find(tmp_path / name).root == tmp_path / name
    assert git.find(tmp_path / "link").root == one
