"""`gitml ci comment`: one comment on a pull request, which is kept up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitml.forge.current import current_number
from tests.cli import HOSTILE, Caller
from tests.forge_kinds import PROPOSAL, At, variables
from tests.forges import TOKEN


@pytest.fixture
def call(at: At, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Caller:
    """The command line in a clone whose branch has a request, with a token."""
    at.push()
    at.client().propose(PROPOSAL)
    monkeypatch.chdir(at.clone.folder)
    for name, value in variables(at.kind, at.forge.url).items():
        monkeypatch.setenv(name, value)
    return Caller(capsys)


def bodies(at: At) -> list[str]:
    """The comments on the request."""
    return [note.body for note in at.forge.pull(1).comments]


def test_the_report_of_a_job_is_one_comment(at: At, call: Caller, tmp_path: Path) -> None:
    """A second time it is written anew; another marker is another comment. The page is told."""
    report = tmp_path / "report.md"
    report.write_text("## first\n", encoding="utf-8")
    done = call("ci", "comment", "--pr", "1", "--body-file", report)
    assert done.out.startswith("http")
    report.write_text("## second\n", encoding="utf-8")
    call("ci", "comment", "--pull-request", "1", "--body-file", report)
    call("ci", "comment", "--pr", "1", "-F", report, "--marker", "report:churn")
    assert bodies(at) == [
        "<!-- gitml:report -->\n## second\n",
        "<!-- gitml:report:churn -->\n## second\n",
    ]
    assert TOKEN not in done.out + done.err


def test_the_job_knows_its_request(
    at: At, call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In CI the number comes from the environment; elsewhere it has to be said."""
    report = tmp_path / "report.md"
    report.write_bytes(f"a\r\n{HOSTILE}\xff".encode("utf-8", "surrogatepass"))
    told = call("ci", "comment", "-F", report, code=2)
    assert "--pull-request N" in told.err
    ours = {"github": ("GITHUB_REF", "refs/pull/1/merge"), "gitlab": ("CI_MERGE_REQUEST_IID", "1")}
    monkeypatch.setenv(*ours[at.kind])
    call("ci", "comment", "-F", report)
    (body,) = bodies(at)
    assert all(char.isprintable() or char == "\n" for char in body)


def test_without_a_forge_there_is_no_comment(
    at: At, call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is told, with the variable that is missing; no such file is an error, too."""
    for name in ("GITHUB_TOKEN", "GITLAB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    report = tmp_path / "report.md"
    call("ci", "comment", "--pr", "1", "-F", report, code=2)
    report.write_text("x", encoding="utf-8")
    done = call("ci", "comment", "--pr", "1", "-F", report, code=2)
    assert "a comment can't be written: there is no token for 127.0.0.1 in " in done.err


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        ("GITHUB_REF", "refs/pull/12/merge", 12),
        ("GITHUB_REF", "refs/pull/12/head", 12),
        ("GITHUB_REF", "refs/heads/refs/pull/12/merge", None),
        ("GITHUB_REF", "refs/pull/0/merge", None),
        ("CI_MERGE_REQUEST_IID", "12", 12),
        ("CI_MERGE_REQUEST_IID", "12 ", None),
        ("CI_MERGE_REQUEST_IID", "", None),
    ],
)
def test_the_number_in_the_environment(name: str, value: str, number: int | None) -> None:
    """Only what is a number of a request is taken for one."""
    assert current_number({name: value}) == number
