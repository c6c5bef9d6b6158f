"""`gitml ci init` and `gitml ci drift`: workflows are written, and no work of the user is lost."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gitml.documents import load_yaml
from gitml.version import __version__
from tests.cli import Caller
from tests.conftest import Git

CHECK = Path(".github/workflows/gitml-check.yml")
PIPELINE, JOBS = Path(".gitlab-ci.yml"), ".gitlab/gitml.yml"


@pytest.fixture
def call(repo: Path, capsys: pytest.CaptureFixture[str]) -> Caller:
    """The command line in an empty repository."""
    return Caller(capsys)


def test_the_workflows_are_written_once(call: Caller, git: Git) -> None:
    """The first call writes them, the second finds nothing to do, and nothing is committed."""
    done = call("ci", "init", "--forge", "github")
    names = [f".github/workflows/gitml-{it}.yml" for it in ("check", "sync", "deploy", "train")]
    assert [line.split()[1] for line in done.lines[:4]] == names
    assert done.lines[4:6] == ["now run:", f"  git add {' '.join(names)}"]
    again = call("ci", "init")
    assert (again.out, "nothing to do" in again.err) == ("", True)
    assert git("status", "--short") == "?? .github/"


@pytest.mark.parametrize(
    ("told", "step"),
    [
        ({}, "status check Check models"),
        ({"branch": "trunk"}, "a ruleset of trunk"),
        ({"secrets": ["AWS_ACCESS_KEY_ID", "TOKEN"]}, "secrets: AWS_ACCESS_KEY_ID, TOKEN"),
        ({"sign": True}, "GITML_SIGNING_KEY"),
        ({"owners": ["@acme/platform"]}, "a review from code owners in the ruleset of main"),
        ({"app": True}, "GITML_APP_CLIENT_ID"),
        ({"train": {"propose": {"model": "a", "stage": "b"}}}, "create and approve pull requests"),
    ],
)
def test_what_is_to_be_set_at_the_forge_is_told(
    told: dict[str, Any], step: str, call: Caller
) -> None:
    """As the settings ask for it, when files were written; later no more."""
    Path("gitml.yaml").write_text(json.dumps({"ci": told}), "utf-8")
    done = call("ci", "init", "--forge", "github")
    _, _, steps = done.out.partition("and set at the forge, once:\n")
    assert step in steps
    assert "jobs install gitml==" in done.err
    assert call("ci", "init").out == ""


def test_what_is_to_be_set_at_gitlab_is_told(call: Caller) -> None:
    """Variables by the environments of the jobs that use them, with those of the deployments."""
    told = {
        "deployments": {"production": {"target": "local"}},
        "ci": {"gitml": "gitml @ file:///x", "owners": ["@acme/platform"]},
    }
    Path("gitml.yaml").write_text(json.dumps(told), "utf-8")
    Path("registry.yaml").write_text("schema: 1\ngates: {production: [reproduced]}\n", "utf-8")
    done = call("ci", "init", "--forge", "gitlab")
    for step in (
        "the machine that serves production (ci/runners/deploy in gitml.yaml names it), or gitml",
        "GITML_REPORT_TOKEN for production",
        "the DVC remote needs for gitml, gitml-sign, production, masked",
        "GITML_WORKFLOW=evaluate",
        "code owner approval of main",
    ):
        assert step in done.out
    assert "jobs install" not in done.err


def test_where_jobs_get_gitml_is_told_once(call: Caller) -> None:
    """A name at an index may be anybody's: the first call asks, unless gitml.yaml names a place."""
    assert f"jobs install gitml=={__version__} from" in call("ci", "init", "--forge", "github").err
    assert "jobs install" not in call("ci", "init").err
    CHECK.unlink()
    Path("gitml.yaml").write_text("ci: {gitml: 'gitml @ git+https://git.example.org/it@0123'}\n")
    assert "jobs install" not in call("ci", "init", "--force").err


def test_a_file_that_was_edited_is_shown_and_left(call: Caller) -> None:
    """Without a terminal to ask on, what the user changed stays, and the command ends with 1."""
    call("ci", "init", "--forge", "github")
    edited = CHECK.read_text("utf-8").replace("timeout-minutes: 20", "timeout-minutes: 30")
    CHECK.write_text(edited, "utf-8")
    done = call("ci", "init", code=1)
    assert "-    timeout-minutes: 30" in done.lines
    assert "+    timeout-minutes: 20" in done.lines
    assert f"left as they are: {CHECK}" in done.err
    assert CHECK.read_text("utf-8") == edited


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
@pytest.mark.parametrize(("answer", "replaced"), [("n", False), ("y", True)])
def test_on_a_terminal_the_diff_comes_before_the_question(
    answer: str, replaced: bool, call: Caller
) -> None:
    """Until it is answered the file is as the user has left it."""
    import pty

    call("ci", "init", "--forge", "github")
    good = CHECK.read_text("utf-8")
    CHECK.write_text(f"{good}# mine\n", "utf-8")
    mine, other = pty.openpty()
    command = (sys.executable, "-m", "gitml", "ci", "init")
    with subprocess.Popen(command, stdin=other, stdout=other, stderr=other) as child:
        os.close(other)
        shown = b""
        while b"Replace" not in shown:
            shown += (piece := os.read(mine, 4096))
            assert piece, shown
        assert b"-# mine" in shown.partition(b"Replace")[0]
        assert CHECK.read_text("utf-8") == f"{good}# mine\n"
        os.write(mine, f"{answer}\n".encode())
        with contextlib.suppress(OSError):  # which Linux gives at the end
            while os.read(mine, 4096):
                pass
    os.close(mine)
    assert child.returncode == (0 if replaced else 1)
    assert CHECK.read_text("utf-8") == (good if replaced else f"{good}# mine\n")


def test_force_replaces_what_was_edited(call: Caller) -> None:
    """With --force the diff is shown, and the file is as it would be written."""
    call("ci", "init", "--forge", "github")
    good = CHECK.read_text("utf-8")
    CHECK.write_text(good + "# mine\n", "utf-8")
    assert "-# mine" in call("ci", "init", "--force").lines
    assert CHECK.read_text("utf-8") == good


def test_drift_tells_what_differs(call: Caller) -> None:
    """It ends with 1 for a file that is missing or edited, with 0 for none, and writes nothing."""
    call("ci", "init", "--forge", "github")
    assert call("ci", "drift").out == ""
    CHECK.unlink()
    assert call("ci", "drift", code=1).lines == [f"{CHECK} is missing"]
    assert not CHECK.exists()


def test_a_new_setting_is_drift(call: Caller) -> None:
    """What gitml.yaml says counts, so that a workflow which was not written anew is found."""
    call("ci", "init", "--forge", "github")
    Path("gitml.yaml").write_text("ci: {runners: {deploy: models}}\n", "utf-8")
    assert "+    runs-on: models" in call("ci", "drift", code=1).lines


def test_the_forge_is_that_of_the_remote(call: Caller, git: Git) -> None:
    """The remote's host tells which forge it is; where none does, the command asks for it."""
    assert "--forge" in call("ci", "init", code=2).err
    git("remote", "add", "origin", "git@github.com:ada/flowers.git")
    assert call("ci", "init").out.startswith("wrote .github/")


def test_the_main_branch_is_the_one_of_the_remote(call: Caller, git: Git) -> None:
    """Workflows name the branch that decides, as the clone knows it."""
    git("update-ref", "refs/remotes/origin/trunk", "HEAD")
    git("remote", "add", "origin", "git@github.com:ada/flowers.git")
    git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    call("ci", "init")
    assert "branches: [trunk]" in Path(".github/workflows/gitml-sync.yml").read_text("utf-8")


@pytest.mark.parametrize("branch", ["a+b", "x, main", "'main'", "**"])
def test_a_branch_that_would_be_a_pattern_is_refused(branch: str, call: Caller) -> None:
    """A name that a workflow would read as something else is told of."""
    Path("gitml.yaml").write_text(f'ci: {{branch: "{branch}"}}\n', "utf-8")
    assert "pattern" in call("ci", "init", "--forge", "github", code=2).err


def test_settings_are_checked(call: Caller) -> None:
    """A misspelt key is met with a suggestion."""
    Path("gitml.yaml").write_text("ci: {runner: {deploy: models}}\n", "utf-8")
    assert "runners" in call("ci", "init", "--forge", "github", code=3).err


def test_nothing_is_written_through_a_link(call: Caller, tmp_path: Path) -> None:
    """A link in the repository leads no file out of it."""
    (tmp_path / "elsewhere").mkdir()
    Path(".github").symlink_to(tmp_path / "elsewhere")
    assert "symbolic link" in call("ci", "init", "--forge", "github", code=2).err
    assert not list((tmp_path / "elsewhere").iterdir())


def test_nothing_is_due_where_nothing_is_deployed(call: Caller, git: Git) -> None:
    """A workflow that asks which stages are due gets an empty list, as JSON."""
    assert call("ci", "stages").out == "[]\n"


# -- GitLab, where the pipeline is the user's ------------------------------------------------


def test_a_pipeline_of_gitlab_is_made_of_two_files(call: Caller, git: Git) -> None:
    """Gitml's jobs are in a file of their own, and a pipeline includes them where there is none."""
    git("remote", "add", "origin", "git@gitlab.com:ada/flowers.git")
    lines = call("ci", "init").lines
    assert [line.split()[1] for line in lines[:2]] == [JOBS, ".gitlab-ci.yml"]
    assert lines[2:4] == ["now run:", f"  git add {JOBS} .gitlab-ci.yml"]
    assert load_yaml(PIPELINE.read_bytes(), "") == {"include": [{"local": JOBS}]}
    PIPELINE.write_text(PIPELINE.read_text("utf-8") + "test: {script: make test}\n", "utf-8")
    assert call("ci", "drift").out == ""


@pytest.mark.parametrize(
    ("before", "included"),
    [
        ("test: {script: make}\n", [{"local": JOBS}]),
        ("include: # of ours\n- remote: x\ntest: {}\n", [{"local": JOBS}, {"remote": "x"}]),
        ("a: b\ninclude:\n  - local: y\n", [{"local": JOBS}, {"local": "y"}]),
    ],
)
def test_a_pipeline_of_the_users_gets_the_include(
    before: str, included: list[dict[str, str]], call: Caller
) -> None:
    """It is shown first; nothing else of it changes."""
    PIPELINE.write_text(before, "utf-8")
    done = call("ci", "init", "--forge", "gitlab", code=1)
    assert f"- local: {JOBS}" in done.out
    assert PIPELINE.read_text("utf-8") == before
    call("ci", "init", "--force")
    told: Any = load_yaml(PIPELINE.read_bytes(), "")
    assert told.pop("include") == included
    kept: Any = load_yaml(before.encode(), "")
    assert told == {key: value for key, value in kept.items() if key != "include"}


@pytest.mark.parametrize("before", ["include: other.yml\n", "include: {local: other.yml}\n"])
def test_an_include_of_another_form_is_left_to_the_user(before: str, call: Caller) -> None:
    """The command says what to add, and ends with 1."""
    PIPELINE.write_text(before, "utf-8")
    done = call("ci", "init", "--forge", "gitlab", "--force", code=1)
    assert f".gitlab-ci.yml is yours; add to its include: {{local: {JOBS}}}" in done.lines
    assert PIPELINE.read_text("utf-8") == before
    assert "is yours" in call("ci", "drift", code=1).out


def test_each_stage_that_is_deployed_has_a_job(call: Caller) -> None:
    """GitLab's jobs have one environment each, so a new deployment is found as drift."""
    call("ci", "init", "--forge", "gitlab")
    Path("gitml.yaml").write_text("deployments: {production: {target: local}}\n", "utf-8")
    assert "+gitml-deploy-production:" in call("ci", "drift", code=1).lines


def test_which_job_gets_which_variable_is_told(call: Caller) -> None:
    """One of GitLab's without an environment would go to all, also to those that run code."""
    Path("gitml.yaml").write_text("deployments: {production: {target: local}}\n", "utf-8")
    said = call("ci", "init", "--forge", "gitlab").out
    assert "GITML_TOKEN for the environment gitml, masked and protected" in said
    assert "GITML_REPORT_TOKEN for production, masked and protected" in said
    assert "no other without an environment: each job of a protected branch gets it" in said
    assert "gitml/reproduce/*" not in said
    Path("registry.yaml").write_text("schema: 1\ngates: {production: [reproduced]}\n", "utf-8")
    said = call("ci", "init", "--forge", "gitlab", "--force").out
    assert "what reads the data of a training for gitml-reproduce, masked, not protected" in said
    assert "none that gitml/reproduce/* is one of" in said


@pytest.mark.parametrize("forge", ["github", "gitlab"])
def test_a_stage_is_a_name_and_no_more(call: Caller, forge: str) -> None:
    """A stage stands in scripts, so that what is none is refused before anything is written."""
    Path("gitml.yaml").write_text('deployments: {"x; id": {target: local}}\n', "utf-8")
    assert "'x; id' is not a stage" in call("ci", "init", "--forge", forge, code=3).err
    assert not Path(".github").exists()
    assert not Path(".gitlab").exists()


@pytest.mark.parametrize("entry_point", ["a: b", "it's # one", 'say "x" \\', "${{ x }}", "\u2028"])
def test_an_entry_point_is_text(call: Caller, entry_point: str) -> None:
    """Whatever its name, the workflow can be read, and has it as a text of GitHub's."""
    told = {"ci": {"train": {"entry_point": entry_point}}}
    Path("gitml.yaml").write_text(json.dumps(told), "utf-8")
    call("ci", "init", "--forge", "github")
    path = Path(".github/workflows/gitml-train.yml")
    steps: Any = load_yaml(path.read_bytes(), path.name)["jobs"]["train"]["steps"]
    said = next(it["env"]["ENTRY_POINT"] for it in steps if it.get("name") == "Run the entry point")
    text = entry_point.replace("'", "''")
    assert said.endswith(f"|| '{text}' }}}}")
