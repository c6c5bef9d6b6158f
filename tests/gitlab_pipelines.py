"""Pipelines of GitLab for tests: a runner's clone of a test forge, in which gitlab-ci-local runs.

The program is from npm, and executes what the repository has at the commit of an event: it expands
includes, `extends` and rules, and runs the scripts of jobs in a shell. What GitLab and its runner
do around that is here: variables of the event, those of the project with their scopes, and a clone
of one commit. `uvx` is one that takes nothing but this gitml, in the version that is named.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from gitml.version import __version__
from tests.conftest import run_git
from tests.forge_gitlab import begin
from tests.forges import NAME, OWNER, Forge, User
from tests.forges import Pipeline as Started

PACKAGE, VERSION = "gitlab-ci-local", "4.61.0"
_SECONDS = 180.0
_PEOPLES = ("GITLAB_", "CI_", "GITML_")
_UVX = f"""#!/bin/sh
case "$1 $2 $3" in
  "--from gitml=={__version__} gitml" | "--from gitml[serve]=={__version__} gitml") shift 3 ;;
  *) echo "uvx $*: not what the workflows may call" >&2; exit 99 ;;
esac
exec '{sys.executable}' -m gitml "$@"
"""


def program() -> Path:
    """Gitlab-ci-local, installed once beside this Python; the test is skipped where it can't be."""
    if missing := [it for it in ("node", "npm", "rsync") if not shutil.which(it)]:
        pytest.skip(f"{' and '.join(missing)} not installed, which {PACKAGE} needs")
    home = Path(sys.prefix) / "share" / f"{PACKAGE}-{VERSION}"
    found = home / "node_modules" / ".bin" / PACKAGE
    if not found.exists():
        _install(home)
    return found


def _install(home: Path) -> None:
    home.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as folder:
        there = Path(folder) / "it"
        options = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(there))
        command = ("npm", "install", *options, f"{PACKAGE}@{VERSION}")
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("npm does not answer")
        if done.returncode:
            pytest.skip(f"{PACKAGE} can't be had: {done.stderr[-200:]}")
        if not home.exists():  # another process may have been faster
            there.rename(home)


class Guarded(Forge):
    """A forge to which only those push who have one of its tokens `pushers`."""

    pushers: Collection[str] = ()

    def pushes(self, headers: Mapping[str, str], *, writes: bool) -> User | int:
        """Anybody may fetch."""
        login = base64.b64decode(headers.get("Authorization", "").removeprefix("Basic ")).decode()
        if writes and self.pushers and login.partition(":")[2] not in self.pushers:
            return 401
        return super().pushes(headers, writes=writes)


@dataclass(frozen=True)
class Pipeline:
    """What came of a pipeline: whether it was green, and all that its jobs printed."""

    passed: bool
    log: str


@dataclass
class Project:
    """A project at GitLab, with a runner that keeps its clone from one pipeline to the next.

    `secrets` are its variables, by environment scope; those that are `protected` get only jobs of
    the main branch and of tags. With `isolated` each job has a folder of its own, which does not
    outlive it. `edits` are replaced in the file of jobs, for tests of tests.
    """

    forge: Forge
    folder: Path
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    protected: set[str] = field(default_factory=set)
    edits: dict[str, str] = field(default_factory=dict)
    isolated: bool = False

    @property
    def clone(self) -> Path:
        """The runner's clone."""
        return self.folder / "builds"

    def merge_request(self, number: int, path: str = f"{OWNER}/{NAME}") -> Pipeline:
        """The pipeline of a merge request as it is now, in the project `path`."""
        pull = self.forge.pull(number)
        told = {
            "CI_PIPELINE_SOURCE": "merge_request_event",
            "CI_MERGE_REQUEST_IID": str(number),
            "CI_MERGE_REQUEST_PROJECT_PATH": f"{OWNER}/{NAME}",
            "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": pull.branch,
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": pull.base,
            "CI_PROJECT_PATH": path,
        }
        one = next((it for it in pull.pipelines if "created" in it.jobs.values()), None)
        one = one or begin(self.forge, pull)
        done = self._run(self.forge.head(pull), told)
        one.jobs["gitml-check"] = "success" if done.passed else "failed"
        return done

    def main(self, source: str = "push", **variables: str) -> Pipeline:
        """A pipeline of the main branch: of a push, or of another source such as `schedule`."""
        told = {"CI_PIPELINE_SOURCE": source, "CI_COMMIT_BRANCH": "main", **variables}
        return self._run(self._at("refs/heads/main"), told, protected=True)

    def apart(self, one: Started, *, protected: bool = False) -> Pipeline:
        """A pipeline of another branch, which the API has started; what it leaves is kept there."""
        told = {"CI_PIPELINE_SOURCE": "api", "CI_COMMIT_BRANCH": one.ref, **one.variables}
        done = self._run(one.sha, told, protected=protected)
        for job in one.jobs:
            one.jobs[job] = "success" if done.passed else "failed"
            for file in (self.clone / ".gitlab-ci-local/artifacts" / job).glob("*.bundle"):
                one.files[file.name] = file.read_bytes()
        return done

    def tag(self, name: str) -> Pipeline:
        """The pipeline that a tag makes which another token than a job's has pushed."""
        told = {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_TAG": name}
        return self._run(self._at(f"refs/tags/{name}^{{commit}}"), told, protected=True)

    def _at(self, ref: str) -> str:
        return run_git(self.forge.bare, "rev-parse", ref)

    def _run(self, commit: str, told: Mapping[str, str], *, protected: bool = False) -> Pipeline:
        self._check_out(commit)
        url = self.forge.url
        host, _, port = url.removeprefix("http://").partition(":")
        variables = {
            "CI_COMMIT_SHA": commit,
            "CI_SERVER_URL": url,
            "CI_SERVER_PROTOCOL": "http",
            "CI_SERVER_HOST": host,
            "CI_SERVER_PORT": port,
            "CI_API_V4_URL": f"{url}/api/v4",
            "CI_PROJECT_URL": f"{url}/{OWNER}/{NAME}",
            "GITLAB_CI": "true",
            "CI_COMMIT_REF_PROTECTED": "true" if protected else "false",
            **told,
        }
        command: list[str] = [
            str(program()), "--force-shell-executor", "--no-color",
            "--concurrency=1", "--evaluate-rule-changes=false",
            "--variables-file", self._secrets(protected=protected),
            *(it for key, value in variables.items() for it in ("--variable", f"{key}={value}")),
            *(it for key in {"CI_COMMIT_BRANCH"} - told.keys() for it in ("--unset-variable", key)),
            *(["--shell-isolation"] if self.isolated else []),
        ]  # fmt: skip
        done = subprocess.run(
            command,
            cwd=self.clone,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        return Pipeline(done.returncode == 0, done.stdout)

    def _check_out(self, commit: str) -> None:
        """Have one commit, on no branch, as a runner does; what git does not know stays away."""
        if not self.clone.exists():
            self.clone.mkdir(parents=True)
            run_git(self.clone, "init", "--quiet")
            run_git(self.clone, "remote", "add", "origin", f"{self.forge.url}/{OWNER}/{NAME}.git")
        refspec = f"+{commit}:refs/pipelines/1"
        run_git(self.clone, "fetch", "--quiet", "--no-tags", "--depth=1", "origin", refspec)
        run_git(self.clone, "checkout", "--quiet", "--force", "--detach", commit)
        run_git(self.clone, "clean", "--quiet", "-ffdx")
        jobs = self.clone / ".gitlab/gitml.yml"
        for old, new in self.edits.items():
            text = jobs.read_text("utf-8")
            assert old in text, old
            jobs.write_text(text.replace(old, new), "utf-8")

    def _secrets(self, *, protected: bool) -> str:
        given: dict[str, dict[str, str]] = {}
        for scope, variables in self.secrets.items():
            for name, value in variables.items():
                if protected or name not in self.protected:
                    given.setdefault(name, {})[scope] = value
        text = yaml.safe_dump(
            {name: {"type": "variable", "values": values} for name, values in given.items()}
        )
        path = self.folder / "variables.yml"
        path.write_text(text, "utf-8")
        return os.path.relpath(path, self.clone)

    def _environment(self) -> dict[str, str]:
        """That of the machine, without what the people of the test have set for themselves."""
        mine = {it: value for it, value in os.environ.items() if not it.startswith(_PEOPLES)}
        return {**mine, "PATH": f"{self._programs()}:{os.environ['PATH']}"}

    def _programs(self) -> Path:
        folder = self.folder / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "uvx").write_text(_UVX, "utf-8")
        (folder / "uvx").chmod(0o755)
        return folder
