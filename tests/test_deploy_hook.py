"""A bare repository without a forge: its hook does what CI does, after each push to it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from gitml.deploy.probe import address_at, look
from tests.clones import clone, team
from tests.conftest import run_git
from tests.deployments import decide, register, settings, taken_down
from tests.ports import free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the hook is a POSIX shell script")

HOOK = Path(__file__).parent.parent / "examples" / "post-receive"


@pytest.fixture
def hooked(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bare repository with the hook, which finds gitml as whoever pushes does."""
    path = shutil.copy(HOOK, bare / "hooks" / "post-receive")
    Path(path).chmod(0o755)
    here = tmp_path / "bin"
    here.mkdir()
    (here / "gitml").write_text(f'#!/bin/sh\nexec {sys.executable} -m gitml "$@"\n')
    (here / "gitml").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}{os.pathsep}{os.environ['PATH']}")
    return bare


def test_a_push_to_main_is_followed_by_its_tag_and_by_what_is_served(
    hooked: Path, tmp_path: Path
) -> None:
    """Whoever merges does no more than push; the tag is CI's, and nothing of a job is left."""
    (ann,) = team(tmp_path, hooked, "ann")
    port = free_port()
    server = clone(tmp_path, hooked, "server")
    settings(ann, {"production": {"target": "local", "port": port, "env_manager": "local"}})
    with taken_down(server):
        decide(ann, register(ann, 1))
        assert look(address_at("127.0.0.1", port)).version == "v1.0.0"
    tag = "churn#production#1"
    assert run_git(hooked, "for-each-ref", "--format=%(taggername)", f"refs/tags/{tag}") == "CI"
    assert "churn in production: v1.0.0 deployed" in (tmp_path / "deploy.log").read_text()


def test_a_machine_that_is_not_there_is_told_of_in_the_log(hooked: Path, tmp_path: Path) -> None:
    """The push was taken, and nobody who pushes sees what a deployment says."""
    (ann,) = team(tmp_path, hooked, "ann")
    ann.git("push", "--quiet", "origin", "HEAD:refs/tags/churn#production#1")
    assert "../server" in (tmp_path / "deploy.log").read_text()


def test_what_is_no_decision_starts_nothing(hooked: Path, tmp_path: Path) -> None:
    """A branch that is to be reviewed, a version, and a tag of production that is deleted."""
    (ann,) = team(tmp_path, hooked, "ann")
    (tmp_path / "server").mkdir()
    ann.git("push", "--quiet", "origin", "HEAD:refs/heads/promote/x", "HEAD:refs/tags/churn@v1.0.0")
    run_git(hooked, "update-ref", "refs/tags/churn#production#1", "main")
    ann.git("push", "--quiet", "origin", ":refs/tags/churn#production#1")
    assert not (tmp_path / "deploy.log").exists()
    ann.git("push", "--quiet", "origin", "HEAD:refs/tags/churn#production#2")
    assert (tmp_path / "deploy.log").exists()


def test_names_are_names_and_no_job_takes_the_list(hooked: Path, tmp_path: Path) -> None:
    """What the shell would run stays a name; what a job starts does not read the other refs."""
    (ann,) = team(tmp_path, hooked, "ann")
    (tmp_path / "server").mkdir()
    (tmp_path / "bin" / "gitml").write_text('#!/bin/sh\ncat\necho "$@" >>"$GITML_TEST_SAID"\n')
    said = tmp_path / "said"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITML_TEST_SAID", str(said))
        ann.git("commit", "--quiet", "--allow-empty", "--message", "More")
        odd = ("$(touch${IFS}here)#production#1", "`touch${IFS}here`#production#2", "x;touch")
        tags = [f"HEAD:refs/tags/{name}" for name in odd]
        ann.git("push", "--quiet", "origin", "HEAD:main", "HEAD:refs/heads/$(touch${IFS}a)", *tags)
    assert sorted(said.read_text().splitlines()) == [
        "deploy production", "deploy production", "registry sync",
    ]  # fmt: skip
    assert [*tmp_path.rglob("here")] == []
