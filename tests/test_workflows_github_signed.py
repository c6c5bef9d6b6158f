"""GitHub's workflows of gitml where tags are signed: with CI's key, which is main's alone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import released
from tests.actions.runner import Environment
from tests.conftest import run_git
from tests.released import Team

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")

SIGNERS = "registry/allowed_signers"
EVIL = """\
on: push
permissions: {}
jobs:
  evil:
    runs-on: ubuntu-latest
    environment: gitml-sign
    steps:
      - env: {KEY: '${{ secrets.GITML_SIGNING_KEY }}'}
        run: echo "<$KEY>"
"""


def key(folder: Path, name: str) -> tuple[Path, str]:
    """A new key, and its line in the list of those that count."""
    path = folder / name
    command = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path))
    subprocess.run(command, check=True)
    public = path.with_suffix(".pub").read_text("utf-8").split()[:2]
    return path, f"{name}@example.org {' '.join(public)}\n"


@pytest.fixture
def team(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A team that lists ada's key and CI's, with a version that ada has signed."""
    with released.standing(released.begun(tmp_path_factory), tmp_path / "team") as found:
        (adas, one), (cis, other) = (key(tmp_path, name) for name in ("ada", "ci"))
        found.configure({"sign": True}, {SIGNERS: one + other})
        for name, value in (
            ("gpg.format", "ssh"),
            ("user.signingKey", str(adas)),
            ("tag.gpgSign", "true"),
        ):
            found.ada.git("config", name, value)
        found.version(3)
        secrets = {"GITML_SIGNING_KEY": cis.read_text("utf-8").strip()}
        signs = Environment(secrets=secrets, branches=("main",))
        found.runner.environments["gitml-sign"] = signs
        found.hub.take()
        yield found


def test_ci_signs_the_tags_that_it_makes(team: Team) -> None:
    """With its own key, which the main branch lists; what is signed by nobody is not deployed."""
    team.decide("v3.0.0")
    (sync,) = team.runner.settle()
    assert sync.result == "success", sync.log
    assert (team.tags(), team.served) == (["churn#production#1"], "v3.0.0")
    signers = f"gpg.ssh.allowedSignersFile={team.ada.folder / SIGNERS}"
    run_git(team.hub.bare, "-c", "gpg.format=ssh", "-c", signers, "tag", "-v", "churn#production#1")
    secret = team.runner.environments["gitml-sign"].secrets["GITML_SIGNING_KEY"]
    assert secret.splitlines()[1] not in sync.log
    team.decide("v2.0.0")
    (sync,) = team.runner.settle()
    assert sync.result == "failure"
    assert team.served == "v3.0.0"


def test_another_branch_does_not_get_the_key(team: Team) -> None:
    """Whoever may push can have a workflow of his own there: the environment does not admit it."""
    (team.ada.folder / ".github" / "workflows" / "evil.yml").write_text(EVIL, "utf-8")
    team.ada.git("checkout", "--quiet", "-b", "evil")
    team.ada.git("add", ".")
    team.ada.git("commit", "--quiet", "--message", "Evil")
    team.ada.git("push", "--quiet", "origin", "evil")
    (evil,) = team.runner.settle()
    assert (evil.workflow.path, evil.result) == (".github/workflows/evil.yml", "failure")
    assert "<" not in evil.log
