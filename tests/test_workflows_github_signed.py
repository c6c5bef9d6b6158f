"""GitHub's workflows of gitml where tags are signed: with CI's key, which is main's alone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitml.registry.verifying import verify
from gitml.registry.verifying.finding import SIGNATURE
from tests import released
from tests.actions.hub import App
from tests.actions.runner import Environment
from tests.conftest import run_git
from tests.released import Team
from tests.test_workflows_github_train import PROJECT, TRAIN

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


APP = App("Iv1", "canary-of-the-app", dict.fromkeys(("contents", "workflows"), "write"))
LOGIN = "name: Log in\nruns:\n  using: composite\n  steps: [{shell: bash, run: 'true'}]\n"


@pytest.mark.parametrize("form", [{}, {"app": True}, {"oidc": True}], ids=["own", "app", "oidc"])
def test_what_ci_tags_is_signed_however_it_shows_itself(team: Team, form: dict[str, bool]) -> None:
    """`registry verify` names the two versions of before there were keys, and nothing of CI's."""
    team.hub.app = APP
    team.runner.variables["GITML_APP_CLIENT_ID"] = APP.client_id
    team.runner.secrets["GITML_APP_KEY"] = APP.key
    team.configure(form, {".github/actions/gitml-login/action.yml": LOGIN})
    team.decide("v3.0.0")
    runs = team.runner.settle()
    assert [run.result for run in runs] == ["success"] * (2 if "app" in form else 1), runs[0].log
    team.ada.git("fetch", "--quiet", "--tags", "origin", "main:refs/remotes/origin/main")
    found = verify(team.ada.place, remote=True)
    assert {(it.kind, it.subject) for it in found} == {
        (SIGNATURE, "churn@v1.0.0"), (SIGNATURE, "churn@v2.0.0"),
    }, found  # fmt: skip
    assert (team.tags(), team.served) == (["churn#production#1"], "v3.0.0")


SNOOPS = """\
import os, pathlib
seen = dict(os.environ)
for folder in (os.environ["RUNNER_TEMP"], os.environ["HOME"]):
    for file in pathlib.Path(folder).rglob("*"):
        if file.is_file():
            seen[str(file)] = file.read_bytes().decode("utf-8", "replace")
for name, text in seen.items():
    if "OPENSSH PRIVATE" in text:
        print("found a key:", name)
"""


def test_what_a_training_runs_sees_no_key(team: Team) -> None:
    """The job that tags the version of what was trained has it, after the other one has ended."""
    propose = {"model": "churn", "stage": "production"}
    files = {"train.py": SNOOPS + TRAIN, "MLproject": PROJECT}
    team.configure({"train": {"propose": propose}}, files)
    team.hub.lets_workflows_propose = True
    team.hub.dispatch("gitml-train.yml")
    (train,) = team.runner.settle()
    assert train.results == dict.fromkeys(("train", "record", "propose"), "success"), train.log
    assert "found a key" not in train.log
    (tag,) = set(team.tags("churn@*")) - {f"churn@v{number}.0.0" for number in (1, 2, 3)}
    signers = f"gpg.ssh.allowedSignersFile={team.ada.folder / SIGNERS}"
    run_git(team.hub.bare, "-c", "gpg.format=ssh", "-c", signers, "tag", "-v", tag)
    path = ".github/workflows/gitml-train.yml"
    given = "    outputs:\n      recorded:"
    text = (team.ada.folder / path).read_text("utf-8")
    assert given in text
    worse = text.replace(given, f"    environment: gitml-sign\n{given}").replace(
        "ENTRY_POINT: ", "SIGNING_KEY: ${{ secrets.GITML_SIGNING_KEY }}\n          ENTRY_POINT: "
    )
    team.commit("A worse workflow", {path: worse})
    team.hub.take()
    team.hub.dispatch("gitml-train.yml")
    (train,) = team.runner.settle()
    assert "found a key: SIGNING_KEY" in train.log  # which is what would be seen


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
