"""The heads of the ledger, as they are now and at little cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitml import git as gate
from gitml.tracking.index.heads import read_heads
from tests.conftest import Git, run_git

LOCAL, ORIGIN = "refs/heads/gitml/runs", "refs/remotes/origin/gitml/runs"


def heads(repo: Path) -> dict[str, str]:
    """What is read, twice: the second answer is the first one's."""
    found = gate.find(repo)
    first = read_heads(found, "gitml/runs")
    assert read_heads(found, "gitml/runs") == first
    return first


@pytest.fixture
def commits(git: Git) -> list[str]:
    """Three commits for a branch to stand on."""
    for number in range(2):
        git("commit", "--quiet", "--allow-empty", "--message", str(number))
    return git("rev-list", "HEAD").split()


def test_every_move_of_a_head_is_seen(repo: Path, git: Git, commits: list[str]) -> None:
    """A branch made, moved, packed, moved again, packed again, and gone."""
    one, two, three = commits
    assert heads(repo) == {}
    git("update-ref", LOCAL, one)
    assert heads(repo) == {LOCAL: one}
    git("update-ref", LOCAL, two)
    assert heads(repo) == {LOCAL: two}
    git("pack-refs", "--all")
    assert heads(repo) == {LOCAL: two}
    git("update-ref", LOCAL, three)
    git("pack-refs", "--all")
    assert heads(repo) == {LOCAL: three}
    git("update-ref", "-d", LOCAL)
    assert heads(repo) == {}


def test_remote_tracking_heads_follow_the_local_one(
    repo: Path, git: Git, commits: list[str]
) -> None:
    """The local branch comes first, then the remotes by name; other branches are none."""
    one, two, three = commits
    git("update-ref", "refs/remotes/abc/gitml/runs", two)
    git("update-ref", ORIGIN, three)
    git("update-ref", "refs/heads/gitml/other", two)
    git("update-ref", LOCAL, one)
    assert list(heads(repo).items()) == [
        (LOCAL, one),
        ("refs/remotes/abc/gitml/runs", two),
        (ORIGIN, three),
    ]
    git("update-ref", ORIGIN, two)
    assert heads(repo)[ORIGIN] == two
    git("update-ref", "-d", "refs/remotes/abc/gitml/runs")
    assert list(heads(repo)) == [LOCAL, ORIGIN]


def test_a_head_that_points_to_another_ref_follows_it(
    repo: Path, git: Git, commits: list[str]
) -> None:
    """A symbolic ref's own file stays as it is when its target moves."""
    git("update-ref", "refs/heads/target", commits[0])
    git("symbolic-ref", LOCAL, "refs/heads/target")
    assert heads(repo) == {LOCAL: commits[0]}
    git("update-ref", "refs/heads/target", commits[1])
    assert heads(repo) == {LOCAL: commits[1]}


def test_git_is_not_asked_while_nothing_changes(
    repo: Path, git: Git, commits: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same answer comes without git, and a change needs git again."""
    git("update-ref", LOCAL, commits[0])
    there = gate.find(repo)
    first = read_heads(there, "gitml/runs")
    with monkeypatch.context() as without_git:
        without_git.setenv("PATH", "")
        assert read_heads(there, "gitml/runs") == first
    git("update-ref", LOCAL, commits[1])
    assert read_heads(there, "gitml/runs") == {LOCAL: commits[1]}


def test_a_linked_work_tree_sees_the_same_heads(
    repo: Path, tmp_path: Path, git: Git, commits: list[str]
) -> None:
    """Branches are those of the common repository."""
    git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    run_git(tmp_path / "linked", "update-ref", LOCAL, commits[0])
    assert heads(tmp_path / "linked") == heads(repo) == {LOCAL: commits[0]}
