"""Hostile projects: nothing of theirs runs before their entry point does, and what they name stays.

The URIs and revisions are data, in `hostile/projects.yaml`; the repositories are made here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gitml import caches
from gitml import git as gate
from gitml.documents import load_yaml
from gitml.git import check_revision
from gitml.projects import known, uris
from tests import projects
from tests.cli import Caller
from tests.conftest import Git, new_repository, run_git
from tests.invariants import UserState, check_sound

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the canaries are shell scripts")

CORPUS = load_yaml(
    Path(__file__).with_name("hostile").joinpath("projects.yaml").read_bytes(), "projects.yaml"
)
MLPROJECT = "entry_points: {main: {command: 'echo ran'}}\n"


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Call the command line."""
    return Caller(capsys)


def cases(kind: str) -> list[Any]:
    """The cases of one kind that are refused, as parameters."""
    found = [case for case in CORPUS if kind in case and not case.get("runs")]
    return [pytest.param(case[kind], case["error"], id=ascii(case[kind])) for case in found]


@pytest.mark.parametrize(("uri", "error"), cases("uri"))
def test_a_hostile_uri_is_refused(repo: Path, call: Caller, uri: str, error: str) -> None:
    """One line; nothing was started, nothing is recorded."""
    done = call("run", "--yes", "--", uri, code=2)
    assert error in done.err
    assert projects.runs(repo) == []
    assert not (repo / "canary").exists()


@pytest.mark.parametrize(("revision", "error"), cases("rev"))
def test_a_hostile_revision_is_refused(repo: Path, call: Caller, revision: str, error: str) -> None:
    """Of a folder as of a URL."""
    for uri in (".", repo.as_uri()):
        assert error in call("run", uri, f"--version={revision}", "--yes", code=2).err


def test_what_looks_odd_and_is_harmless_is_taken() -> None:
    """A corpus that refuses all would prove nothing."""
    for case in CORPUS:
        if case.get("runs") and "uri" in case:
            uris.parse(case["uri"])
    for name in ("main", "v1.0", "feature/x-1", "refs/tags/v1", "0" * 40, "user@v1"):
        assert check_revision(name) == name


# -- repositories --------------------------------------------------------------------------


def canary(folder: Path, name: str = "canary") -> Path:
    """A program that leaves a file behind when it is run."""
    script = folder / "canary.sh"
    script.write_text(f"#!/bin/sh\ntouch '{folder / name}'\ncat\n")
    script.chmod(0o755)
    return script


def committed(folder: Path, message: str = "x") -> None:
    """Commit all that is in a folder."""
    run_git(folder, "add", "--all", "--force", ".")
    run_git(folder, "commit", "--quiet", "-m", message)


def with_hooks(folder: Path, script: Path) -> None:
    """Hooks in the repository that is fetched from, and a folder of hooks in its tree."""
    for name in ("post-checkout", "pre-receive", "post-upload-pack", "reference-transaction"):
        for place in (folder / ".git" / "hooks", folder / "hooks"):
            place.mkdir(exist_ok=True)
            (place / name).write_text(script.read_text())
            (place / name).chmod(0o755)
    run_git(folder, "config", "uploadpack.packObjectsHook", str(script))
    run_git(folder, "config", "core.hooksPath", "hooks")


def with_filters(folder: Path, script: Path) -> None:
    """Attributes that name filters, a monitor and an external diff."""
    (folder / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n*.bin filter=lfs\n")
    (folder / "a.bin").write_text("version https://git-lfs.github.com/spec/v1\n")
    run_git(folder, "config", "core.fsmonitor", str(script))


def with_bare_repository(folder: Path, script: Path) -> None:
    """A bare repository in the tree, whose configuration starts a program."""
    inner = folder / "inner"
    run_git(folder, "init", "--quiet", "--bare", "inner")
    run_git(inner, "config", "core.fsmonitor", str(script))
    run_git(inner, "config", "core.bare", "false")
    run_git(inner, "config", "core.worktree", "..")
    (inner / "MLproject").write_text(MLPROJECT)
    (inner / "refs" / "keep").write_text("")
    (inner / "objects" / "keep").write_text("")


def with_settings(folder: Path, script: Path) -> None:
    """Settings of gitml and DVC that would send runs and data elsewhere."""
    (folder / "gitml.yaml").write_text(
        "ledger: {ref: main, remote: 'https://evil.example/x'}\nartifacts: {remote: evil}\n"
    )
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text(
        "[core]\n    remote = evil\n['remote \"evil\"']\n    url = ext::sh -c canary\n"
    )
    (folder / "dvc.yaml").write_text("stages: {a: {cmd: touch canary}}\n")


def with_python(folder: Path, script: Path) -> None:
    """Files that Python would run, if it found them."""
    text = f"import os; os.system({str(script)!r} + ' </dev/null')\n"
    for name in ("sitecustomize.py", "usercustomize.py", "conftest.py", "click.py", "gitml.py"):
        (folder / name).write_text(text)


def with_submodule(folder: Path, script: Path) -> None:
    """A submodule that is named, but not there."""
    (folder / ".gitmodules").write_text(
        '[submodule "x"]\n\tpath = x\n\turl = https://evil.example/x\n'
    )
    head = run_git(folder, "rev-parse", "HEAD")
    run_git(folder, "update-index", "--add", "--cacheinfo", f"160000,{head},x")


HARMLESS: dict[str, Callable[[Path, Path], None]] = {
    "hooks": with_hooks,
    "filters": with_filters,
    "a bare repository": with_bare_repository,
    "settings": with_settings,
    "python": with_python,
    "a submodule": with_submodule,
}


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A repository with a project that says that it ran."""
    folder = new_repository(tmp_path / "theirs")
    (folder / "MLproject").write_text(MLPROJECT)
    return folder


@pytest.mark.parametrize("what", HARMLESS)
def test_a_hostile_repository_runs_its_entry_point_only(
    repo: Path, theirs: Path, tmp_path: Path, git: Git, what: str
) -> None:
    """All it names besides stays as it is, and so does the user's repository."""
    script = canary(tmp_path)
    HARMLESS[what](theirs, script)
    committed(theirs)
    run_git(repo, "config", "--global", "filter.evil.smudge", str(script))
    run_git(repo, "config", "--global", "filter.evil.clean", str(script))
    run_git(repo, "config", "--global", "filter.lfs.process", str(script))
    run_git(repo, "config", "--global", "filter.lfs.required", "true")
    (tmp_path / "canary").unlink(missing_ok=True)
    before = UserState.of(repo)
    done = projects.gitml("run", theirs.as_uri(), "--yes")
    assert done.stdout == b"ran\n"
    assert not (tmp_path / "canary").exists()
    assert UserState.of(repo) == before
    (run,) = projects.runs(repo)
    assert run.experiment == "default"
    held = git("show", "--name-only", "--format=", "gitml/runs^2")
    assert ".gitml/run/.dvc/config" not in held
    check_sound(repo)
    if what == "a bare repository":
        projects.gitml("run", theirs.as_uri() + "#inner", "--yes")
        assert not (tmp_path / "canary").exists()


def test_before_the_question_nothing_of_a_repository_has_run(
    repo: Path, theirs: Path, tmp_path: Path
) -> None:
    """Not its environment, not its data, not its command."""
    script = canary(tmp_path)
    with_python(theirs, script)
    setup = f"import os; os.system({str(script)!r} + ' </dev/null')\n"
    (theirs / "requirements.txt").write_text("./package\n")
    projects.write(theirs, {"package/setup.py": setup})
    committed(theirs)
    projects.gitml("run", theirs.as_uri(), code=2)
    assert not (tmp_path / "canary").exists()
    assert list(caches.folder("projects").iterdir()) == []
    assert not known.is_known(gate.find(repo), theirs.as_uri())


def link(target: str, name: str = "link") -> Callable[[Path], None]:
    """A symbolic link in a repository."""
    return lambda folder: (folder / name).symlink_to(target)


def chain(folder: Path) -> None:
    """Two links, each of which looks as if it stayed inside."""
    (folder / "d" / "e").mkdir(parents=True)
    (folder / "d" / "e" / "keep").write_text("")
    (folder / "d" / "e" / "top").symlink_to("../..")
    (folder / "d" / "e" / "out").symlink_to("top/../../x")


LINKS: dict[str, Callable[[Path], None]] = {
    "to a file of the system": link("/etc/passwd"),
    "to a folder above": link("../../x"),
    "to git's folder": link(".git/config"),
    "MLproject itself": link("/etc/passwd", "mlproject.yaml"),
    "through another": chain,
}


@pytest.mark.parametrize("what", LINKS)
def test_a_link_that_leads_out_is_refused(repo: Path, theirs: Path, what: str) -> None:
    """To read it would be to read the user's files."""
    LINKS[what](theirs)
    committed(theirs)
    done = projects.gitml("run", theirs.as_uri(), "--yes", code=3)
    assert b"leads out of it; it can't be run" in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert projects.runs(repo) == []
    assert list(caches.folder("projects").iterdir()) == []


def test_a_folder_of_a_project_is_none_that_a_link_leads_to(theirs: Path, tmp_path: Path) -> None:
    """Neither as it is now, nor at a version."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "MLproject").write_text(MLPROJECT)
    (theirs / "sub").symlink_to(tmp_path / "out")
    committed(theirs)
    done = projects.gitml("run", f"{theirs}#sub", cwd=theirs, code=2)
    assert b"the subdirectory 'sub' is outside the project" in done.stderr
    done = projects.gitml("run", f"{theirs}#sub", "--version", "HEAD", cwd=theirs, code=3)
    assert b"the project's link 'sub' leads out of it" in done.stderr
    assert projects.runs(theirs) == []


def test_a_link_inside_is_a_link(repo: Path, theirs: Path) -> None:
    """A project may have links."""
    (theirs / "MLproject").rename(theirs / "real")
    (theirs / "MLproject").symlink_to("real")
    committed(theirs)
    assert projects.gitml("run", theirs.as_uri(), "--yes").stdout == b"ran\n"
    (run,) = projects.runs(repo)
    assert not run.code.dirty


def raw_tree(folder: Path, *entries: tuple[str, str, bytes]) -> None:
    """A commit whose tree holds what git itself would not add: (mode, name, content)."""
    lines = []
    for mode, name, content in entries:
        done = subprocess.run(
            ["git", "hash-object", "-w", "--stdin"], cwd=folder, input=content, check=True,
            capture_output=True,
        )  # fmt: skip
        lines.append((mode, name, bytes.fromhex(done.stdout.decode().strip())))
    data = b"".join(f"{mode} {name}\0".encode() + id for mode, name, id in sorted(lines))
    done = subprocess.run(
        ["git", "hash-object", "-w", "--literally", "-t", "tree", "--stdin"],
        cwd=folder, input=data, check=True, capture_output=True,
    )  # fmt: skip
    commit = run_git(folder, "commit-tree", done.stdout.decode().strip(), "-m", "evil")
    run_git(folder, "update-ref", "refs/heads/main", commit)


EVIL_MODULES = b'[submodule "../../x"]\n\tpath = x\n\turl = ext::sh -c canary\n'
TREES = {
    "a .git": ("100644", ".git", b"gitdir: /"),
    "a .GIT": ("100644", ".GIT", b"gitdir: /"),
    "a git~1": ("100644", "git~1", b"gitdir: /"),
    "a parent": ("100644", "..", b"x"),
    "a submodule that leads out": ("100644", ".gitmodules", EVIL_MODULES),
    "a .gitmodules that is a link": ("120000", ".gitmodules", b"/etc/passwd"),
}


@pytest.mark.parametrize("what", TREES)
def test_objects_that_git_refuses_do_not_come_in(repo: Path, theirs: Path, what: str) -> None:
    """Not even into the object store."""
    raw_tree(theirs, ("100644", "MLproject", MLPROJECT.encode()), TREES[what])
    evil = run_git(theirs, "rev-parse", "main^{tree}")
    done = projects.gitml("run", theirs.as_uri(), "--yes", code=3)
    assert done.stderr.count(b"\n") == 1
    assert projects.runs(repo) == []
    found = subprocess.run(["git", "cat-file", "-e", evil], cwd=repo, check=False)
    assert found.returncode
    check_sound(repo)


# -- servers -------------------------------------------------------------------------------


@pytest.fixture
def served(theirs: Path, tmp_path: Path) -> Iterator[str]:
    """The repository at a URL of this machine, by git's plain protocol."""
    committed(theirs)
    run_git(tmp_path, "clone", "--quiet", "--bare", str(theirs), "site/theirs.git")
    run_git(tmp_path / "site" / "theirs.git", "update-server-info")
    yield from serve(partial(_Quiet, directory=str(tmp_path / "site")), "theirs.git")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def serve(handler: Any, path: str) -> Iterator[str]:
    """A server of this machine, and a URL of it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{path}"
        server.shutdown()


def test_a_server_without_shallow_fetches_gives_its_code_too(
    repo: Path, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then more is fetched than is needed."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert projects.gitml("run", served, "--yes").stdout == b"ran\n"
    (run,) = projects.runs(repo)
    assert run.source.name == served


class _Elsewhere(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Lead elsewhere."""
        self.send_response(301)
        self.send_header("Location", "file:///etc/passwd")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_a_redirect_is_not_followed(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked for is what runs, or nothing."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for url in serve(_Elsewhere, "x"):
        done = projects.gitml("run", url, "--yes", code=3)
        assert b"leads elsewhere, which is not followed" in done.stderr


def test_the_users_settings_for_git_do_not_come_along(
    repo: Path, theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Templates, hooks, replaced URLs and programs of his are not used for what is foreign."""
    committed(theirs)
    script = canary(tmp_path)
    for key in ("core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.editor"):
        run_git(repo, "config", "--global", key, str(script))
    run_git(repo, "config", "--global", "url.ext::sh.insteadOf", "file:")
    run_git(repo, "config", "--global", "protocol.ext.allow", "always")
    run_git(repo, "config", "--global", "init.templateDir", str(tmp_path / "template"))
    projects.write(tmp_path / "template" / "hooks", {"post-checkout": script.read_text()})
    os.chmod(tmp_path / "template" / "hooks" / "post-checkout", 0o755)
    assert projects.gitml("run", theirs.as_uri(), "--yes").stdout == b"ran\n"
    assert not (tmp_path / "canary").exists()
