"""Promotion at a forge: `gitml registry promote` opens a pull request, and merging it decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitml.errors import ForgeError
from gitml.registry import files, promoting
from gitml.tracking.initialize import init
from tests.cli import Caller
from tests.conftest import run_git
from tests.forge_kinds import PROPOSAL, At, variables
from tests.forges import READ_TOKEN, TOKEN
from tests.registered import columns, log, register

BRANCH = "promote/churn/production/v1.0.0"
POLICY = """schema: 1
stages: [staging, production]
gates:
  production:
    - metrics.auc >= 0.9
    - signature.compatible
    - approved_by(1)
"""


@pytest.fixture
def team(at: At, monkeypatch: pytest.MonkeyPatch) -> At:
    """A clone of a forge with a policy and two versions, and a token in the environment."""
    clone = at.clone
    init(clone.folder)
    (clone.folder / "registry.yaml").write_text(POLICY, encoding="utf-8")
    clone.git("add", ".")
    clone.git("commit", "--quiet", "--message", "Set up gitml")
    clone.git("push", "--quiet", "origin", "main")
    for names, auc in ((("a",), 0.91), (("a", "b"), 0.95)):
        log(clone, signature=columns(**dict.fromkeys(names, "long")), metrics={"auc": auc})
        register(clone)
    monkeypatch.chdir(clone.folder)
    for name, value in variables(at.kind, at.forge.url).items():
        monkeypatch.setenv(name, value)
    return at


def held(at: At) -> dict[str, str]:
    """The stages on the forge's main branch."""
    data = run_git(at.forge.bare, "show", "main:registry/churn.yaml").encode() + b"\n"
    found = files.parse(data, "registry/churn.yaml").stages
    return {stage: str(version) for stage, version in found.items()}


def test_a_promotion_is_reviewed_and_merged(team: At, capsys: pytest.CaptureFixture[str]) -> None:
    """The command tells the request's page; merging it gives the stage to the version."""
    call = Caller(capsys)
    done = call("registry", "promote", "churn@v1.0.0", "production")
    page = {"github": "pull", "gitlab": "-/merge_requests"}[team.kind]
    assert f"opened {team.forge.url}/ada/churn/{page}/1" in done.out
    pull = team.forge.pull(1)
    assert (pull.title, pull.branch, pull.base) == (
        "churn: v1.0.0 in production",
        BRANCH,
        "main",
    )
    assert pull.labels == ["gitml"]
    assert "v1.0.0 takes the stage production; no version held it." in pull.body
    again = call("registry", "promote", "churn@v1.0.0", "production")
    assert "updated" in again.out
    assert len(team.forge.pulls) == 1
    team.merge(1)
    assert held(team) == {"production": "v1.0.0"}
    assert TOKEN not in done.out + done.err + team.clone.git("log", "--all", "-p")


def test_the_request_compares_with_the_version_in_use(team: At) -> None:
    """Metrics side by side, what the signature's change means, gates, and a page of the code."""
    place = team.clone.place
    promoting.promote(place, "churn", "production", "v1.0.0")
    team.merge(1, squash=True)
    promoting.promote(place, "churn", "production", "v2.0.0")
    text = team.forge.pull(2).body
    commits = [team.clone.git("rev-parse", f"churn@{it}^{{commit}}") for it in ("v1.0.0", "v2.0.0")]
    for line in (
        "| Version | `v1.0.0` | `v2.0.0` |",
        "| Registered by | `Ada Example` | `Ada Example` |",
        "| `auc` | 0.91 | 0.95 | +0.04, **better** |",
        "The signature changes, and **clients of the version in use may fail**.",
        "| `metrics.auc >= 0.9` | ✅ passed |",
        "| `signature.compatible` | ❌ failed |",
        "| `approved_by(1)` | ⏳ asked by the check | - |",
        f"compare/{commits[0]}...{commits[1]}",
    ):
        assert line in text
    team.merge(2)
    promoting.rollback(place, "churn", "production")
    assert team.forge.pull(3).title == "churn: back to v1.0.0 in production"
    team.merge(3)
    assert held(team) == {"production": "v1.0.0"}


def test_from_promotion_to_the_tag(
    team: At, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check waits for an approval, its report is a comment, and the tag tells who approved."""
    call, clone = Caller(capsys), team.clone
    call("registry", "promote", "churn@v1.0.0", "production")
    clone.git("fetch", "--quiet", "origin", f"+{BRANCH}:refs/heads/review")
    report = tmp_path / "report.md"
    check = ("ci", "check", "--base", "origin/main", "--head", "review", "--report", report)

    def checked(code: int) -> str:
        done = call(*check, "--pull-request", "1", code=code)
        call("ci", "comment", "--pull-request", "1", "--body-file", report)
        (note,) = team.forge.pull(1).comments
        assert note.body.startswith("<!-- gitml:report -->\n## ")
        return done.out + note.body

    assert "approved by nobody, asked 1" in checked(1)
    team.forge.review(1, "ada")
    assert "approved by nobody, asked 1" in checked(1)
    team.forge.review(1, "bob")
    assert "approved by bob, asked 1" in checked(0)
    adding = ("commit-tree", "review^{tree}", "-p", "review", "-m", "more")
    clone.git("branch", "--force", "more", clone.git(*adding))  # which bob has not seen
    done = call(*check, "--head", "more", "--pull-request", "1", code=1)
    assert "which is not checked" in done.err
    onto = ("commit-tree", "review^{tree}", "-p", "origin/main", "-p", "review", "-m", "merge")
    clone.git("branch", "--force", "more", clone.git(*onto))  # as the forge merges it for a job
    call(*check, "--head", "more", "--pull-request", "1")
    team.merge(1)
    clone.git("pull", "--quiet", "origin", "main")
    call("registry", "sync")
    tag = run_git(team.forge.bare, "cat-file", "-p", "churn#production#1")
    assert "Approved-By: bob\n" in f"{tag}\n"


def test_a_report_that_is_out_of_date_is_replaced(
    team: At, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once the change touches no model any more, the comment says so; without one nothing does."""
    call, clone, report = Caller(capsys), team.clone, tmp_path / "report.md"
    call("registry", "promote", "churn@v1.0.0", "production")
    clone.git("fetch", "--quiet", "origin", f"+{BRANCH}:refs/heads/review")
    back = ("commit-tree", "origin/main^{tree}", "-p", "review", "-m", "Another time")
    clone.git("branch", "--force", "back", clone.git(*back))
    check = ("ci", "check", "--base", "origin/main", "--report", report, "--pull-request", "1")
    call(*check, "--head", "back")
    assert not report.exists()
    call(*check, "--head", "review", code=1)
    comment = ("ci", "comment", "--pull-request", "1", "--body-file", report)
    call(*comment)
    report.unlink()
    call(*check, "--head", "back")
    call(*comment)
    (note,) = team.forge.pull(1).comments
    assert note.body.startswith("<!-- gitml:report -->\n## ✅ No stage changes hands\n")
    assert clone.git("rev-parse", "back")[:12] in note.body


def test_an_earlier_report_that_can_not_be_looked_for(
    team: At, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Is told, and is no reason for the check to fail."""
    team.push()
    team.client().propose(PROPOSAL)
    team.forge.fail("GET .*/(comments|notes)", status=403)
    check = ("ci", "check", "--base", "HEAD", "--report", tmp_path / "report.md")
    done = Caller(capsys)(*check, "--pull-request", "1")
    assert "an earlier report is not looked for: " in done.err
    assert not (tmp_path / "report.md").exists()


def test_who_approves_later_has_not_approved_what_is_checked(
    team: At, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job that is late checks an older commit than the one that was approved meanwhile."""
    call, clone = Caller(capsys), team.clone
    call("registry", "promote", "churn@v1.0.0", "production")
    for name in ("late", "newest"):
        clone.git("fetch", "--quiet", "origin", f"+{BRANCH}:refs/heads/{name}")
        clone.git("switch", "--quiet", name)
        clone.git("commit", "--quiet", "--allow-empty", "--message", name)
        clone.git("push", "--quiet", "origin", f"HEAD:{BRANCH}")
    team.forge.review(1, "bob")
    check = ("ci", "check", "--base", "origin/main", "--pull-request", "1", "--head")
    assert "approved by bob, asked 1" in call(*check, "newest").out
    done = call(*check, "late", code=1)
    assert "??  approved_by(1)" in done.out
    assert "by now, which is not checked" in done.err


def test_a_forge_that_refuses_leaves_the_branch(team: At, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was pushed is told, so that a person can go on from there."""
    for name in ("GITHUB_TOKEN", "GITLAB_TOKEN"):
        monkeypatch.setenv(name, READ_TOKEN)
    with pytest.raises(ForgeError, match=f"the branch {BRANCH} is pushed, but .* may not do that"):
        promoting.promote(team.clone.place, "churn", "production", "v1.0.0")
    assert team.forge.commit_of(BRANCH)


def test_without_a_token_the_page_is_told(
    team: At, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person opens the request in the browser; nothing is asked of the API."""
    for name in ("GITHUB_TOKEN", "GITLAB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    done = Caller(capsys)("registry", "promote", "churn", "v1.0.0", "production")
    words = {"github": "/compare/main...promote", "gitlab": "/-/merge_requests/new?"}[team.kind]
    assert "open the pull request: " in done.out
    assert words in done.out
    assert "there is no token for 127.0.0.1" in done.err
    assert team.forge.requests == []


def test_a_clone_by_path_asks_no_forge(team: At, tmp_path: Path) -> None:
    """A token for some forge goes nowhere when the remote is a folder."""
    team.clone.git("remote", "set-url", "origin", str(team.forge.bare))
    done = promoting.promote(team.clone.place, "churn", "production", "v1.0.0")
    assert done.published is not None
    assert done.published.opened is not None
    assert done.published.opened.url == ""
    assert team.forge.requests == []
