"""What gitml asks of other repositories: in time, whatever the user's settings, and no more."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gitml import git
from gitml.errors import GitError, NoRepositoryError, UsageError
from gitml.git import network
from tests.clones import Clone, team
from tests.conftest import run_git


@pytest.fixture
def ann(tmp_path: Path, bare: Path) -> Clone:
    """A clone with one recorded run."""
    (clone,) = team(tmp_path, bare, "ann")
    clone.run("first")
    return clone


@pytest.fixture
def black_hole() -> Iterator[str]:
    """The address of a server that takes every connection and never says a word."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        host, port = server.getsockname()
        yield f"{host}:{port}"
        server.shutdown(socket.SHUT_RDWR)
    for connection in taken:
        connection.close()


@pytest.mark.parametrize("scheme", ["http", "git"])
def test_a_remote_that_never_answers_is_an_error(
    ann: Clone, black_hole: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push and a pull come to an end where a server takes the connection and says nothing."""
    monkeypatch.setattr(network, "ANSWER_SECONDS", 1.0)
    ann.git("remote", "set-url", "origin", f"{scheme}://{black_hole}/x.git")
    for talk in (ann.push, ann.pull):
        with pytest.raises(GitError, match="the remote 'origin' did not answer within 1 seconds"):
            talk()
    assert children() == []


@pytest.mark.parametrize("program", ["uploadpack", "receivepack"])
def test_a_remote_that_falls_silent_is_an_error(
    ann: Clone, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch and a push come to an end where the other side has stopped to answer."""
    ann.push()
    ann.run("second")
    monkeypatch.setattr(network, "SILENCE_SECONDS", 1.0)
    ann.git("config", f"remote.origin.{program}", "sleep 600 && git-receive-pack")
    repo, ref = ann.place.repo, ann.place.ledger.ref
    talk = network.fetch if program == "uploadpack" else network.push
    with pytest.raises(GitError, match="did not answer within 1 seconds"):
        talk(repo, "origin", [f"{ref}:{ref}x"])
    assert children() == []


def children() -> list[psutil.Process]:
    """What this process has started and what still runs."""
    found = psutil.Process().children(recursive=True)
    psutil.wait_procs(found, timeout=5)
    return [one for one in found if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


SETTINGS = {
    "push.followTags": "true",
    "push.gpgSign": "true",
    "push.pushOption": "ci.skip",
    "push.recurseSubmodules": "check",
    "remote.origin.mirror": "true",
    "remote.origin.push": "refs/*:refs/*",
    "remote.origin.tagOpt": "--tags",
    "push.default": "nothing",
    "fetch.prune": "true",
    "fetch.pruneTags": "true",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_push_sends_what_it_names_whatever_the_settings(
    ann: Clone, bare: Path, name: str
) -> None:
    """No setting of the user's makes a push fail, or publish or prune anything of his."""
    ann.git("tag", "--annotate", "--message", "Mine", "private")
    ann.git("branch", "mine")
    ann.git("config", name, SETTINGS[name])
    assert len(ann.push().runs) == 1
    ann.run("second")
    assert len(ann.push().runs) == 1
    ann.pull()
    assert ann.git("tag") == "private"
    there = run_git(bare, "for-each-ref", "--format=%(refname)").splitlines()
    assert there == ["refs/heads/gitml/runs", "refs/heads/main"]


def test_nothing_is_pushed_by_force(ann: Clone, bare: Path) -> None:
    """No caller can: what the remote has is never overwritten."""
    first = run_git(bare, "rev-parse", "main")
    ann.git("commit", "--quiet", "--amend", "--message", "Another")
    with pytest.raises(AssertionError, match="nothing is ever pushed by force"):
        git.push(ann.place.repo, "origin", ["+HEAD:refs/heads/main"])
    (done,) = git.push(ann.place.repo, "origin", ["HEAD:refs/heads/main"])
    assert (done.accepted, done.raced) == (False, True)
    assert run_git(bare, "rev-parse", "main") == first


def test_what_git_says_of_a_url_has_no_credential_in_it(ann: Clone) -> None:
    """Neither the password nor a token in the query or fragment, whatever git repeats."""
    ann.git(
        "remote", "set-url", "origin", "https://bob:hidden1@127.0.0.1:9/r?token=hidden2#hidden3"
    )
    for talk in (ann.pull, ann.push):
        with pytest.raises(GitError) as said:
            talk()
        told = f"{said.value} {said.value.stderr}"
        assert "127.0.0.1:9/r" in told
        assert "hidden" not in told


@pytest.mark.parametrize("name", [".git", "..", "."])
def test_objects_that_git_would_refuse_do_not_come_in(ann: Clone, bare: Path, name: str) -> None:
    """A ledger with such a name in it is refused in one line; all else goes on."""
    ann.push()
    run_git(bare, "config", "receive.fsckObjects", "false")
    tree = bytes.fromhex(run_git(bare, "rev-parse", "gitml/runs:runs"))
    evil = b"40000 %b\0%b" % (name.encode(), tree)
    (bare / "evil").write_bytes(evil)
    made = run_git(bare, "hash-object", "-t", "tree", "-w", "--literally", "evil")
    who = ("-c", "user.name=a", "-c", "user.email=b")
    head = run_git(bare, *who, "commit-tree", made, "-p", "gitml/runs", "-m", "evil")
    run_git(bare, "update-ref", "refs/heads/gitml/runs", head)
    assert "hasDot" in str(ann.pull().refused)
    with pytest.raises(GitError, match="hasDot"):
        ann.push()
    assert git.attempt(ann.place.repo, "cat-file", "-e", made).returncode
    ann.run("second")
    assert set(ann.records()) == {"first", "second"}


def test_old_faults_of_the_users_code_are_let_in(ann: Clone, bare: Path) -> None:
    """Histories have commits that tools of old wrote, and runs continue them."""
    text = f"tree {run_git(bare, 'rev-parse', 'main^{tree}')}\n"
    text += "author A <a@b> 1 +051800\ncommitter A <a@b> 1 +051800\n\nOld\n"
    (bare / "old").write_text(text)
    old = run_git(bare, "hash-object", "-t", "commit", "-w", "--literally", "old")
    run_git(bare, "update-ref", "refs/heads/old", old)
    network.fetch(ann.place.repo, "origin", ["+refs/heads/old:refs/remotes/origin/old"])
    assert ann.git("rev-parse", "origin/old") == old


@pytest.mark.parametrize("name", ["GIT_COMMON_DIR", "GIT_QUARANTINE_PATH", "GIT_SHALLOW_FILE"])
def test_a_stray_variable_of_git_does_not_act(
    ann: Clone, bare: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the environment of a hook of another repository has them."""
    run_git(tmp_path, "init", "--quiet", "--bare", "other.git")
    monkeypatch.setenv(name, str(tmp_path / "other.git"))
    assert len(ann.push().runs) == 1
    monkeypatch.delenv(name)
    assert run_git(bare, "rev-parse", "gitml/runs") == ann.git("rev-parse", "gitml/runs")


@pytest.mark.parametrize("url", ["fd::17", "ext::sh -c touch% canary", "foo::bar"])
def test_a_url_of_the_settings_starts_no_program(ann: Clone, url: str) -> None:
    """The settings come with the repository, whoever wrote them."""
    ann.git("config", "protocol.allow", "always")
    (ann.folder / "gitml.yaml").write_text(f"ledger: {{remote: '{url}'}}\n")
    ann.git("config", "gitml.ledger", f"{url} gitml/runs")
    for talk in (ann.push, ann.pull):
        with pytest.raises(GitError, match=r"transport '.*' not allowed"):
            talk()
    assert not (ann.folder / "canary").exists()


def planted(clone: Clone) -> Path:
    """A bare repository among the files of a clone, whose every hook leaves a file `canary`."""
    inner = clone.folder / "inner.git"
    run_git(clone.folder, "init", "--quiet", "--bare", "--template=", inner.name)
    (inner / "hooks").mkdir()
    for name in ("pre-receive", "update", "reference-transaction", "post-receive"):
        hook = inner / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch '{clone.folder}/canary'\n")
        hook.chmod(0o755)
    for folder in ("objects", "refs", "refs/heads"):
        (inner / folder / ".keep").touch()
    clone.git("add", "--force", inner.name)
    return inner


@pytest.mark.parametrize("form", ["./inner.git", "./inner", "file://{}", "{}", "a/../inner.git"])
def test_no_hook_runs_that_came_with_a_clone(ann: Clone, form: str) -> None:
    """A folder in a work tree that the settings name is no remote, though git would push to it."""
    url = form.format(planted(ann))
    (ann.folder / "a").mkdir()
    (ann.folder / "gitml.yaml").write_text(f"ledger: {{remote: '{url}'}}\n")
    for talk in (ann.push, ann.pull):
        with pytest.raises(UsageError, match="in the work tree"):
            talk()
    assert not (ann.folder / "canary").exists()
    ann.git("remote", "add", "own/runs", url)  # a clone can't bring that
    ann.git("config", "gitml.ledger", "own/runs gitml/runs")
    (ann.folder / "gitml.yaml").write_text("ledger: {remote: own/runs}\n")
    assert ann.push().runs


def test_a_bare_repository_that_came_with_a_clone_is_refused(ann: Clone, tmp_path: Path) -> None:
    """Its settings may name programs; one that git does not track is the user's own."""
    inner = planted(ann)
    for folder in (inner, inner / "refs"):
        with pytest.raises(NoRepositoryError, match="bare repository among the files"):
            git.find(folder)
    own = ann.folder / "own.git"
    run_git(ann.folder, "init", "--quiet", "--bare", own.name)
    assert git.find(own).git_dir == own
    assert git.find(ann.folder / ".git").git_dir == ann.folder / ".git"
