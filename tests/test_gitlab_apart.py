"""At GitLab the code of who trained a version runs apart from protected variables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitml.ci import apart, generated
from gitml.ci import settings as ci_settings
from gitml.ci.apart import FAILED, GOES_ON, HERE, STARTED
from gitml.ci.needs import needs
from gitml.errors import GitError, UsageError
from gitml.registry import promoting, registering
from gitml.tracking import store
from tests import evaluations
from tests.conftest import run_git
from tests.deployments import publish
from tests.evaluations import Team
from tests.forge_kinds import variables
from tests.forges import TOKEN, Pipeline, serving
from tests.gitlab_pipelines import Guarded, Project, program
from tests.projects import gitml as command
from tests.projects import write

CANARY = "canaryWAREHOUSE0123456789"
VERSION = "digits@v1.0.0"
BRANCH = f"gitml/reproduce/{VERSION}"
POLICY = """\
schema: 1
ci: {signers: [ci@example.org]}
gates: {production: [reproduced]}
"""
PROJECT = """\
name: digits

entry_points:
  main:
    command: "python train.py"
"""
# It looks for a variable of the project in its own environment, and in that of what has started it.
TRAIN = """\
import os

import gitml

found, process = [], os.getpid()
while process > 1 and len(found) < 6:
    with open(f"/proc/{{process}}/environ", "rb") as file:
        found.append(b"WAREHOUSE_KEY" in file.read())
    with open(f"/proc/{{process}}/stat") as file:
        process = int(file.read().rpartition(")")[2].split()[1])
with open({seen!r}, "w") as file:
    file.write(f"seen: {{any(found)}}")
with gitml.start_run():
    gitml.log_metric("accuracy", 0.9)
    gitml.pyfunc.log_model(name="model", python_model=lambda model_input: model_input)
"""


@dataclass(frozen=True)
class Asked:
    """A team whose policy asks that runs come out again, and its project at GitLab."""

    team: Team
    forge: Guarded
    project: Project
    seen: Path

    def fetch(self, file: Path) -> str:
        """What the job that signs does first, without the job."""
        return apart.fetch(self.team.ada.place, VERSION, "main", file).word


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    """A version that was trained by a project's run, and is proposed."""
    forge, seen = Guarded(tmp_path / "forge"), tmp_path / "seen"
    run_git(forge.bare, "config", "receive.advertisePushOptions", "true")
    hook = forge.bare / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nread -r _ _ ref; echo $ref $GIT_PUSH_OPTION_0 >> options\n")
    hook.chmod(0o755)
    with serving(forge):
        team = evaluations.begin(tmp_path, forge.bare)
        ada = team.ada
        monkeypatch.chdir(ada.folder)
        write(ada.folder, {"registry.yaml": POLICY, "MLproject": PROJECT})
        (ada.folder / "train.py").write_text(TRAIN.format(seen=str(seen)), "utf-8")
        for file in generated.FORGES["gitlab"](ci_settings.read(ada.place)):
            generated.write(ada.folder, file)
        publish(ada, "The pipeline")
        command("run", ".", "--env-manager", "local", cwd=ada.folder)
        uri = f"runs:/{store.resolve(ada.place, 'latest')}/model"
        made = registering.register(ada.place, uri, "digits", registering.Wish())
        promoting.promote(ada.place, "digits", "production", str(made.version))
        forge.pushers = {TOKEN}
        mine = {"GITML_TOKEN": TOKEN, "GITML_SIGNING_KEY": str(team.keys["ci"])}
        secrets = {"gitml-sign": mine, "*": {"WAREHOUSE_KEY": CANARY}}
        project = Project(forge, tmp_path / "runner", secrets, {*mine, "WAREHOUSE_KEY"})
        project.isolated = True
        yield Asked(team, forge, project, seen)


def test_the_code_of_a_version_sees_no_protected_variable(asked: Asked) -> None:
    """It runs on a branch that is not protected; what it leaves is signed on the main branch."""
    program()
    asked.seen.unlink()
    done = asked.project.main("schedule", GITML_WORKFLOW="evaluate")
    assert done.passed, done.log
    assert f"the run again of {VERSION} is started" in done.log
    (one,) = asked.forge.pipelines
    main = run_git(asked.forge.bare, "rev-parse", "main")
    assert (one.ref, one.sha, one.variables) == (BRANCH, main, {"GITML_WORKFLOW": "reproduce"})
    assert not asked.seen.exists()
    assert f"refs/heads/{BRANCH} ci.skip\n" in (asked.forge.bare / "options").read_text("utf-8")

    done = asked.project.apart(one)
    assert done.passed, done.log
    assert asked.seen.read_text("utf-8") == "seen: False"

    done = asked.project.main("schedule", GITML_WORKFLOW="evaluate")
    assert done.passed, done.log
    pushed = (asked.forge.bare / "options").read_text("utf-8")
    assert pushed.count("ci.skip") == 1  # the run and its tag are news for others
    (tag,) = run_git(asked.forge.bare, "tag", "--list", "gitml/ci/*").split()
    assert "BEGIN SSH SIGNATURE" in run_git(asked.forge.bare, "cat-file", "-p", tag)
    assert asked.forge.commit_of(BRANCH) is None
    asked.team.ada.git("fetch", "--quiet", "--tags", "origin")
    head = "origin/promote/digits/production/v1.0.0"
    assert needs(asked.team.ada.place, "main", head) == []


def test_on_a_protected_branch_it_does_not_run(asked: Asked) -> None:
    """There it would see what is protected, as it does where the job is told to go on."""
    program()
    asked.seen.unlink()
    main = run_git(asked.forge.bare, "rev-parse", "main")
    one = Pipeline(1, main, BRANCH, {"gitml-reproduce": ""}, "ada", {"GITML_WORKFLOW": "reproduce"})
    done = asked.project.apart(one, protected=True)
    assert not done.passed
    assert "take gitml/reproduce/* out of the protected branches" in done.log
    assert not asked.seen.exists()
    asked.project.edits = {'"${CI_COMMIT_REF_PROTECTED:-}" != false': "0 != 0"}
    done = asked.project.apart(one, protected=True)
    assert done.passed, done.log
    assert asked.seen.read_text("utf-8") == "seen: True"


@pytest.fixture
def token(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token of the job that signs."""
    url = f"{asked.forge.url}/ada/churn.git"
    asked.team.ada.git("remote", "set-url", "origin", url.replace("://", f"://ada:{TOKEN}@"))
    for name, value in variables("gitlab", asked.forge.url).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("token")
def test_it_is_run_once(asked: Asked, tmp_path: Path) -> None:
    """While it goes on nothing is started; one that failed is told of until main moves."""
    file = tmp_path / "left"
    assert asked.fetch(file) == STARTED
    (one,) = asked.forge.pipelines
    assert asked.fetch(file) == GOES_ON
    one.jobs["gitml-reproduce"] = "failed"
    assert asked.fetch(file) == FAILED
    assert len(asked.forge.pipelines) == 1
    publish_more(asked)
    assert asked.fetch(file) == STARTED
    assert len(asked.forge.pipelines) == 2
    assert not file.exists()
    asked.forge.pipelines[1].jobs["gitml-reproduce"] = "success"
    asked.forge.pipelines[1].files["gitml-run.bundle"] = b"\x00\xff no JSON"
    assert asked.fetch(file) == HERE
    assert file.read_bytes() == b"\x00\xff no JSON"


@pytest.mark.usefixtures("token")
def test_what_others_have_started_does_not_count(asked: Asked, tmp_path: Path) -> None:
    """Nor what ran another file of jobs than the main branch ever had: anybody may push there."""
    file, files = tmp_path / "left", {"gitml-run.bundle": b"forged"}
    main, jobs = run_git(asked.forge.bare, "rev-parse", "main"), {"gitml-reproduce": "success"}
    asked.forge.pipelines.append(Pipeline(1, main, BRANCH, jobs, "bob", {}, files))
    tree = run_git(asked.forge.bare, "rev-parse", "main^{tree}")
    other = run_git(asked.forge.bare, "commit-tree", tree, "-p", main, "-m", "Other jobs")
    asked.forge.pipelines.append(Pipeline(2, other, BRANCH, jobs, "ada", {}, files))
    assert asked.fetch(file) == STARTED
    assert not file.exists()

    asked.forge.pipelines.clear()
    run_git(asked.forge.bare, "update-ref", f"refs/heads/{BRANCH}", other)
    with pytest.raises(GitError, match="nobody else may push there"):
        asked.fetch(file)
    assert asked.forge.pipelines == []
    with pytest.raises(UsageError, match="is no version"):
        apart.fetch(asked.team.ada.place, "main", "main", file)


@pytest.mark.usefixtures("token")
def test_a_version_without_a_tag(asked: Asked, tmp_path: Path) -> None:
    """It is called by its commit, and so is its branch; some paths no branch can have."""
    place, file = asked.team.ada.place, tmp_path / "left"
    commit = run_git(asked.forge.bare, "rev-parse", f"{VERSION}^{{commit}}")
    assert apart.fetch(place, f"{VERSION}={commit}/model", "main", file).word == STARTED
    (one,) = asked.forge.pipelines
    assert one.ref == f"{BRANCH}={commit}/model"
    one.jobs["gitml-reproduce"] = "success"
    one.files["gitml-run.bundle"] = b"left"
    assert apart.fetch(place, f"{VERSION}={commit}/model", "main", file).word == HERE
    for path in ("a model", "a:b", "a..b", "*"):
        with pytest.raises(UsageError, match="under a plain name"):
            apart.fetch(place, f"{VERSION}={commit}/{path}", "main", file)


def publish_more(asked: Asked) -> None:
    """Have the main branch move on."""
    (asked.team.ada.folder / "notes.txt").write_text("more\n", "utf-8")
    asked.team.ada.git("add", ".")
    asked.team.ada.git("commit", "--quiet", "--message", "More")
    asked.team.ada.git("push", "--quiet", "origin", "HEAD:main")
