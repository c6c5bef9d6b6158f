"""`actions/checkout`, version 7: one commit, or all history, with credentials or without."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.actions.errors import InvalidError
from tests.actions.hub import FULL_NAME, authorization
from tests.actions.work import Work

INPUTS = frozenset({"ref", "fetch-depth", "fetch-tags", "persist-credentials", "token"})
_SHA = re.compile(r"[0-9a-f]{40}")


def checkout(work: Work, given: Mapping[str, str]) -> None:
    """Put the repository into the workspace. CalledProcessError when git fails."""
    workspace, key = work.machine.workspace, f"http.{work.hub.url}/.extraheader"
    header = authorization(given.get("token") or work.token)
    _prepare(work)
    depth = int(given.get("fetch-depth") or 1)
    tags = "--tags" if given.get("fetch-tags") == "true" else "--no-tags"
    source, target = _refs(work, given.get("ref") or "")
    specs = [f"+{source}:{target}"]
    if depth == 0:
        specs += ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
    how = () if depth == 0 else (f"--depth={depth}",)
    git(work, "-c", f"{key}={header}", "fetch", tags, "--prune", *how, "origin", *specs)
    branch = target.removeprefix("refs/remotes/origin/")
    where = ("-B", branch, target) if branch != target else ("--detach", target)
    git(work, "checkout", "--quiet", "--force", *where)
    persists = given.get("persist-credentials") or "true"
    if persists not in ("true", "false"):
        raise InvalidError(f"persist-credentials: {persists}")
    if persists == "true":
        _persist(work, workspace / ".git", key, header)


def git(work: Work, *args: str) -> str:
    """Call git in the workspace; what it says is in the log."""
    done = subprocess.run(
        ("git", *args), cwd=work.machine.workspace, env=_environment(work),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    work.say(done.stdout)
    done.check_returncode()
    return done.stdout.strip()


def _environment(work: Work) -> dict[str, str]:
    path = str(Path(shutil.which("git") or "git").parent)
    return {"PATH": f"{path}:/usr/bin:/bin", "HOME": str(work.machine.home), **_QUIET}


_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}


def _prepare(work: Work) -> None:
    """A repository that is there is cleaned, which a machine of one's own keeps."""
    workspace = work.machine.workspace
    if (workspace / ".git").is_dir():
        git(work, "checkout", "--quiet", "--detach")
        git(work, "clean", "-ffdx")
        git(work, "reset", "--quiet", "--hard")
        return
    shutil.rmtree(workspace, ignore_errors=True)
    workspace.mkdir(parents=True)
    git(work, "init", "--quiet")
    git(work, "remote", "add", "origin", f"{work.hub.url}/{FULL_NAME}")


def _refs(work: Work, ref: str) -> tuple[str, str]:
    """What is fetched, and where to."""
    if not ref:
        return work.event.sha, _target(work.event.ref)
    if _SHA.fullmatch(ref):
        return ref, f"refs/remotes/origin/{ref}-commit"
    if ref.startswith("refs/"):
        return ref, _target(ref)
    refs = work.hub.refs()
    for full in (f"refs/heads/{ref}", f"refs/tags/{ref}"):
        if full in refs:
            return full, _target(full)
    raise InvalidError(f"no branch or tag is called {ref}")


def _target(ref: str) -> str:
    if ref.startswith("refs/heads/"):
        return ref.replace("refs/heads/", "refs/remotes/origin/", 1)
    return ref.replace("refs/pull/", "refs/remotes/pull/", 1)


def _persist(work: Work, folder: Path, key: str, header: str) -> None:
    """The token is in a file beside, which the repository's configuration includes."""
    file = work.machine.temp / "git-credentials.config"
    git(work, "config", "--file", str(file), key, header)
    for where in (folder, f"{folder}/worktrees/*"):
        git(work, "config", "--local", f"includeIf.gitdir:{where}.path", str(file))

    def forget() -> None:
        file.unlink(missing_ok=True)
        for where in (folder, f"{folder}/worktrees/*"):
            git(work, "config", "--local", "--unset-all", f"includeIf.gitdir:{where}.path")

    work.afterwards.append(forget)
