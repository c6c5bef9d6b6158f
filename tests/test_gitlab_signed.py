"""The pipeline of GitLab where tags are signed: with CI's key, which no job with code has."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitml.ci import generated
from gitml.ci import settings as ci_settings
from gitml.registry.verifying import verify
from tests import evaluations
from tests.conftest import run_git
from tests.deployments import publish
from tests.evaluations import Team
from tests.forges import serving
from tests.gitlab_pipelines import Guarded, Project, program

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")

TOKEN = "glpat-canarySYNC0123456789"
POLICY = "schema: 1\nstages: [staging, production]\n"


@pytest.fixture
def team(tmp_path: Path) -> Iterator[tuple[Team, Project]]:
    """A project that lists Ada's key and CI's, with a version of hers in production by main."""
    program()
    forge = Guarded(tmp_path / "forge")
    with serving(forge):
        team = evaluations.begin(tmp_path, forge.bare)
        ada = team.ada
        evaluations.signing(ada, team.keys["ada"])
        (ada.folder / "registry.yaml").write_text(POLICY, "utf-8")
        (ada.folder / "gitml.yaml").write_text("ci: {sign: true}\n", "utf-8")
        for file in generated.FORGES["gitlab"](ci_settings.read(ada.place)):
            generated.write(ada.folder, file)
        publish(ada, "The pipeline")
        branch = team.propose(team.version(evaluations.HONEST))
        ada.git("merge", "--quiet", f"origin/{branch}")
        ada.git("push", "--quiet", "origin", "main")
        secrets = {"GITML_TOKEN": TOKEN, "GITML_SIGNING_KEY": str(team.keys["ci"])}
        forge.pushers = {TOKEN}
        yield team, Project(forge, tmp_path / "runner", {"gitml-sign": secrets}, set(secrets))


def test_ci_signs_the_tags_that_it_makes(team: tuple[Team, Project]) -> None:
    """By the key of the protected file, of which nothing stays; the registry finds no fault."""
    one, project = team
    done = project.main()
    assert done.passed, done.log
    assert run_git(one.bare, "tag", "--list", "digits#*") == "digits#production#1"
    list_of_keys = f"gpg.ssh.allowedSignersFile={one.ada.folder / 'registry/allowed_signers'}"
    run_git(one.bare, "-c", list_of_keys, "tag", "-v", "digits#production#1")
    assert "BEGIN SSH" in run_git(one.bare, "cat-file", "-p", "digits#production#1")
    one.ada.git("fetch", "--quiet", "--tags", "origin")
    assert verify(one.ada.place, remote=True) == []
    assert not (project.clone / ".git/gitml-key").exists()
    assert one.keys["ci"].read_text("utf-8").splitlines()[1] not in done.log


def test_without_the_key_nothing_is_tagged(team: tuple[Team, Project]) -> None:
    """No tag is made that is not signed; one that is, by a job that does not sign, is found."""
    one, project = team
    del project.secrets["gitml-sign"]["GITML_SIGNING_KEY"]
    assert not project.main().passed
    assert run_git(one.bare, "tag", "--list", "digits#*") == ""
    project.edits = {
        "git config tag.gpgSign true": "true",
        "{ tr -d '\\r' < \"$GITML_SIGNING_KEY\"; ": "{ ",
    }
    assert project.main().passed
    one.ada.git("fetch", "--quiet", "--tags", "origin")
    assert [it.subject for it in verify(one.ada.place)] == ["digits#production#1"]
