"""CODEOWNERS as `gitml ci init` proposes it: models and policy have different owners."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli import Caller

FILE = Path(".github/CODEOWNERS")


@pytest.fixture
def call(repo: Path, capsys: pytest.CaptureFixture[str]) -> Caller:
    """The command line in a repository whose policy and model have owners."""
    Path("gitml.yaml").write_text('ci: {owners: ["@acme/platform"]}\n', "utf-8")
    Path("registry").mkdir()
    Path("registry/churn.yaml").write_text('schema: 1\nowners: ["@acme/churn"]\n', "utf-8")
    return Caller(capsys)


def owners_of(path: str) -> str:
    """Whose agreement a change of a file needs; of the lines that fit it the last one counts."""
    found = ""
    for line in FILE.read_text("utf-8").splitlines():
        pattern, _, owners = line.partition(" ")
        if (
            pattern.startswith("/")
            and (path == pattern[1:] or (pattern.endswith("/") and path.startswith(pattern[1:])))
        ) or pattern == "*":
            found = owners
    return found


def test_a_promotion_asks_the_owners_of_its_model_only(call: Caller) -> None:
    """The file of a model is its team's, and whatever judges it is the platform's."""
    call("ci", "init", "--forge", "github")
    assert owners_of("registry/churn.yaml") == "@acme/churn"
    for path in (
        "registry.yaml", "gitml.yaml", "registry/allowed_signers", "registry/new.yaml",
        ".github/CODEOWNERS", ".github/workflows/gitml-check.yml", "CODEOWNERS", "docs/CODEOWNERS",
    ):  # fmt: skip
        assert owners_of(path) == "@acme/platform", path
    assert owners_of("train.py") == ""


def test_lines_of_the_user_stay(call: Caller) -> None:
    """What is there stays, before our part: a later line that fits everything would win."""
    FILE.parent.mkdir()
    FILE.write_text("* @acme/all\n", "utf-8")
    call("ci", "init", "--forge", "github", "--force")
    assert (owners_of("train.py"), owners_of("registry.yaml")) == ("@acme/all", "@acme/platform")
    FILE.write_text(FILE.read_text("utf-8") + "/docs/ @acme/writers\n", "utf-8")
    call("ci", "init", "--force")
    assert owners_of("docs/a.md") == "@acme/writers"
    assert FILE.read_text("utf-8").rstrip().endswith("# gitml: end")
    assert FILE.read_text("utf-8").count("gitml: begin") == 1
    assert call("ci", "drift").out == ""


def test_a_new_model_is_drift(call: Caller) -> None:
    """Its owners are asked once the file says so; until then it is the platform's."""
    call("ci", "init", "--forge", "github")
    Path("registry/prices.yaml").write_text('schema: 1\nowners: ["@bob"]\n', "utf-8")
    assert "+/registry/prices.yaml @bob" in call("ci", "drift", code=1).lines
    assert owners_of("registry/prices.yaml") == "@acme/platform"


@pytest.mark.skipif(sys.platform == "win32", reason="no file has such a name there")
@pytest.mark.parametrize("name", ["*", "a\n* @mallory #", "x @mallory"])
def test_a_file_of_another_name_takes_nothing(call: Caller, name: str) -> None:
    """It is no model's, and its name is no line of ours, nor a pattern that others fit."""
    Path(f"registry/{name}.yaml").write_text('schema: 1\nowners: ["@mallory"]\n', "utf-8")
    call("ci", "init", "--forge", "github")
    assert "mallory" not in FILE.read_text("utf-8")


def test_the_file_that_counts_is_used(call: Caller) -> None:
    """Where the repository has one elsewhere, a second would hide it."""
    Path("CODEOWNERS").write_text("* @acme/all\n", "utf-8")
    call("ci", "init", "--forge", "github", "--force")
    assert not FILE.exists()
    assert "/registry/churn.yaml @acme/churn" in Path("CODEOWNERS").read_text("utf-8")


def test_without_owners_there_is_no_such_file(call: Caller) -> None:
    """Who owns the policy is for the project to say."""
    Path("gitml.yaml").write_text("", "utf-8")
    call("ci", "init", "--forge", "github")
    assert not FILE.exists()


def test_gitlab_has_a_section_of_its_own(call: Caller) -> None:
    """Lines of a section are asked for by themselves, so that one of the user's takes none away."""
    there = Path("CODEOWNERS")
    there.write_text("* @acme/all\n^[Docs]\n/docs/ @acme/writers\n", "utf-8")
    call("ci", "init", "--forge", "gitlab", "--force")
    assert there.read_text("utf-8").split("[gitml]\n")[1].splitlines()[:-1] == [
        "/registry.yaml @acme/platform",
        "/registry/ @acme/platform",
        "/gitml.yaml @acme/platform",
        "/.gitlab/ @acme/platform",
        "/.gitlab-ci.yml @acme/platform",
        "/CODEOWNERS @acme/platform",  # one that is looked at first may come later
        "/docs/CODEOWNERS @acme/platform",
        "/registry/churn.yaml @acme/churn",
    ]
    assert call("ci", "drift").out == ""
