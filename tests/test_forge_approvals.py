"""Who approves a change: the last word of people who may write, on the commit as it is now."""

from __future__ import annotations

import pytest

from gitml.errors import ForgeError
from gitml.forge.approvals import Review, approvals
from tests.forge_kinds import PROPOSAL, At

CASES = {
    "one": ([("bob", "approved", "h")], ["bob"]),
    "two": ([("bob", "approved", "h"), ("cleo", "approved", "h")], ["bob", "cleo"]),
    "twice": ([("bob", "approved", "h"), ("bob", "approved", "h")], ["bob"]),
    "in another case": ([("bob", "approved", "h"), ("Bob", "refused", "h")], []),
    "of an older commit": ([("bob", "approved", "old")], []),
    "of an unknown commit": ([("bob", "approved", "")], []),
    "of its author": ([("ada", "approved", "h"), ("ADA", "approved", "h")], []),
    "taken back": ([("bob", "approved", "h"), ("bob", "refused", "h")], []),
    "given later": ([("bob", "refused", "h"), ("bob", "approved", "h")], ["bob"]),
    "dismissed": ([("bob", "dismissed", "h")], []),
    "refused for an older commit": ([("bob", "refused", "old"), ("bob", "approved", "h")], ["bob"]),
    "then refused an older commit": ([("bob", "approved", "h"), ("bob", "refused", "old")], []),
    "of no login": ([("b\nob", "approved", "h"), ("\x1b[2J", "approved", "h")], []),
    "of no one": ([("", "approved", "h")], []),
    "none": ([], []),
}


@pytest.mark.parametrize("case", CASES)
def test_the_last_word_on_the_newest_commit_counts(case: str) -> None:
    """An approval counts for the newest commit, if its writer is not the author and stays by it."""
    said, by = CASES[case]
    found = approvals("h", "ada", [Review(*it) for it in said])  # type: ignore[arg-type]
    assert list(found.by) == by


def opened(at: At) -> At:
    """The same with an open request."""
    at.push()
    at.client().propose(PROPOSAL)
    return at


def test_approvals_at_a_forge(at: At) -> None:
    """Those who approve are told with the commit that they approve, and the author."""
    opened(at)
    for login in ("cleo", "bob", "ada"):
        at.forge.review(1, login)
    found = at.client().approvals(1)
    assert found is not None
    assert found.head == at.forge.commit_of("promote")
    assert (found.author, found.by) == ("ada", ("bob", "cleo"))


def test_a_new_commit_takes_approvals_away(at: At) -> None:
    """What was approved is what was there: after a push, also back to it, it is to be done anew."""
    opened(at)
    at.forge.review(1, "bob")
    at.push(text="2")
    at.forge.refresh(at.forge.pull(1))
    found = at.client().approvals(1)
    assert found is not None
    assert found.by == ()
    at.forge.review(1, "bob")
    again = at.client().approvals(1)
    assert again is not None
    assert again.by == ("bob",)


def test_who_may_not_write_approves_nothing(github: At) -> None:
    """Anybody can review at a public GitHub: readers, strangers and bots do not count."""
    opened(github)
    for login in ("eve", "mallory", "bob"):
        github.forge.review(1, login)
    github.forge.review(1, "cleo", kind="Bot")
    found = github.client().approvals(1)
    assert found is not None
    assert found.by == ("bob",)


def test_a_comment_is_no_word_on_an_approval(github: At) -> None:
    """A review that only comments, or is not sent yet, changes nothing; a refusal does."""
    opened(github)
    github.forge.review(1, "bob")
    for state in ("COMMENTED", "PENDING"):
        github.forge.review(1, "bob", state)
    found = github.client().approvals(1)
    assert found is not None
    assert found.by == ("bob",)
    github.forge.review(1, "bob", "CHANGES_REQUESTED")
    again = github.client().approvals(1)
    assert again is not None
    assert again.by == ()


def test_permissions_that_can_not_be_read_are_an_error(github: At) -> None:
    """Approvals are not guessed: when GitHub does not tell who may write, nothing is approved."""
    opened(github)
    github.forge.review(1, "bob")
    github.forge.fail("GET .*/permission", status=403, data=b"{}")
    with pytest.raises(ForgeError, match="may not do that"):
        github.client().approvals(1)


def test_a_gitlab_that_does_not_tell_when_tells_nothing(gitlab: At) -> None:
    """Without the moment of an approval nobody knows what was approved: unknown, not approved."""
    opened(gitlab)
    gitlab.forge.review(1, "bob")
    gitlab.forge.review(1, "cleo", "OLD")
    assert gitlab.client().approvals(1) is None


@pytest.mark.parametrize(
    "login", ["project_7_bot_0a1b2c", "group_7_bot", "service_account_group_7_x"]
)
def test_the_bots_of_gitlab_approve_nothing(gitlab: At, login: str) -> None:
    """A token of the project is nobody who looks at a change."""
    opened(gitlab)
    gitlab.forge.review(1, login)
    found = gitlab.client().approvals(1)
    assert found is not None
    assert found.by == ()


def test_a_request_that_is_not_there(at: At) -> None:
    """A number that is wrong is told."""
    with pytest.raises(ForgeError, match=r"404 .*it is not there"):
        at.client().approvals(9)
