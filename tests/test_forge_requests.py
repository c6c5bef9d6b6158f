"""Pull requests, comments and statuses at GitHub and GitLab, in a repository that really merges."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gitml.errors import ForgeError, UsageError
from gitml.forge import Status
from tests.conftest import run_git
from tests.forge_kinds import PROPOSAL, At
from tests.forges import READ_TOKEN, WORKFLOW_TOKEN, Pull, User

# -- pull requests -------------------------------------------------------------------------


def test_a_pushed_branch_becomes_a_request_that_merges(at: At) -> None:
    """A proposal opens a request with its title, body and labels, and merging it changes main."""
    commit = at.push()
    opened = at.client().propose(PROPOSAL)
    pull = at.forge.pull(1)
    assert (opened.number, opened.created, opened.remark) == (1, True, "")
    assert opened.url.startswith(at.forge.url)
    assert (pull.title, pull.body, pull.base) == ("Promote churn", "Why: *better*", "main")
    assert pull.labels == ["gitml", "promotion"]
    at.merge(1)
    assert run_git(at.forge.bare, "merge-base", "--is-ancestor", commit, "main") == ""
    assert at.client().find("promote") is None


def test_proposing_again_brings_the_request_up_to_date(at: At) -> None:
    """There is one open request for a branch; what is as it should be is not written again."""
    at.push()
    first = at.client().propose(PROPOSAL)
    before = at.wrote()
    again = at.client().propose(PROPOSAL)
    assert again == replace(first, created=False)
    repeated = {"github": ["POST /issues/1/labels"], "gitlab": []}[at.kind]
    assert at.wrote()[len(before) :] == repeated
    changed = at.client().propose(replace(PROPOSAL, title="Promote churn v2", labels=("late",)))
    assert (changed.number, changed.created) == (1, False)
    assert at.forge.pull(1).title == "Promote churn v2"
    assert at.forge.pull(1).labels == ["gitml", "promotion", "late"]
    assert len(at.forge.pulls) == 1


def test_a_request_is_found_by_its_branch(at: At) -> None:
    """Only the open request of this repository's own branch counts, not that of a fork."""
    at.push()
    assert at.client().find("promote") is None
    mallory = User("mallory")
    at.forge.pulls.append(Pull(1, "promote", "main", "evil", "", mallory, fork=True))
    assert at.client().find("promote") is None
    opened = at.client().propose(PROPOSAL)
    assert (opened.number, opened.created) == (2, True)
    found = at.client().find("promote")
    assert found is not None
    assert found.number == 2


def test_a_forge_that_lists_everything_is_not_believed(at: At) -> None:
    """A list that ignores what was asked for leads to no stranger's request."""
    at.push()
    at.push("other")
    at.client().propose(replace(PROPOSAL, branch="other"))
    at.forge.pulls.append(Pull(2, "promote", "main", "evil", "", User("mallory"), fork=True))
    at.forge.lists_all = True
    assert at.client().find("promote") is None
    assert at.client().propose(PROPOSAL).number == 3
    found = at.client().find("promote")
    assert found is not None
    assert found.number == 3
    at.merge(3)
    assert at.client().find("promote") is None


def test_who_is_faster_opens_the_request(at: At) -> None:
    """Where somebody opens it in the same moment, his is taken."""
    at.push()
    listed = "GET .*/(pulls|merge_requests)$"
    at.forge.fail(listed, headers={"Content-Type": "application/json"}, data=b"[]")
    at.client().propose(PROPOSAL)
    at.forge.fail(listed, headers={"Content-Type": "application/json"}, data=b"[]")
    opened = at.client().propose(PROPOSAL)
    assert (opened.number, opened.created) == (1, False)
    assert len(at.forge.pulls) == 1


@pytest.mark.parametrize("kind", ["lost", "garbage", "broken"])
def test_a_write_that_may_have_happened_is_looked_for(at: At, kind: str) -> None:
    """When the answer to a write is lost, gitml looks before it writes again: none is doubled."""
    at.push()
    reply = {
        "lost": {"drop": True},
        "garbage": {"data": b"<html>proxy</html>"},
        "broken": {"status": 502},
    }[kind]
    at.forge.fail("POST .*/(pulls|merge_requests)$", then=True, **reply)
    opened = at.client().propose(PROPOSAL)
    assert (opened.number, opened.created) == (1, True)
    at.forge.fail("POST .*/(comments|notes)$", then=True, **reply)
    at.client().comment(1, "report:churn", "text")
    assert len(at.forge.pulls) == len(at.forge.pull(1).comments) == 1


def test_a_write_that_did_not_happen_is_done_again(at: At) -> None:
    """When looking shows that nothing was done, it is."""
    at.push()
    at.forge.fail("POST .*/(pulls|merge_requests)$", status=502)
    assert at.client().propose(PROPOSAL).created
    assert [it for it in at.wrote() if it.endswith(("/pulls", "/merge_requests"))] == 2 * [
        at.wrote()[0]
    ]
    assert len(at.forge.pulls) == 1


def test_labels_that_can_not_be_set_stop_nothing(github: At) -> None:
    """The request is open; what is missing is told."""
    github.push()
    github.forge.fail("POST .*/labels", status=403, data=b'{"message": "no"}')
    opened = github.client().propose(PROPOSAL)
    assert (opened.number, opened.created) == (1, True)
    assert opened.remark.startswith("it has no labels: GitHub refuses")


def test_a_branch_that_is_not_there_is_told(at: At) -> None:
    """A refusal is told in the forge's own words."""
    with pytest.raises(ForgeError, match=r"refuses POST .* with 422 .*(invalid|does not exist)"):
        at.client().propose(PROPOSAL)


def test_long_texts_are_cut(at: At) -> None:
    """A body that the forge would refuse is cut, and says so; a fence that was open is closed."""
    at.push()
    body = "```\n" + "line of a long report\n" * 100_000
    at.client().propose(replace(PROPOSAL, title="t" * 1000, body=body))
    pull, longest = at.forge.pull(1), 65_536
    assert len(pull.title) < 260
    assert longest - 100 < len(pull.body) <= longest
    assert pull.body.count("```") == 2
    assert "cut here" in pull.body[-100:]


# -- comments ------------------------------------------------------------------------------


def test_a_report_is_one_comment_that_is_kept_up_to_date(at: At) -> None:
    """The comment with the mark is written anew; each mark has its own, and the mark is unseen."""
    at.push()
    at.client().propose(PROPOSAL)
    assert not at.client().has_comment(1, "report:churn")
    at.client().comment(1, "report:churn", "first")
    at.client().comment(1, "report:fraud", "another")
    assert at.client().has_comment(1, "report:churn")
    url = at.client().comment(1, "report:churn", "second")
    assert [note.body for note in at.forge.pull(1).comments] == [
        "<!-- gitml:report:churn -->\nsecond",
        "<!-- gitml:report:fraud -->\nanother",
    ]
    assert str(at.forge.pull(1).comments[0].id) in url
    before = len(at.wrote())
    at.client().comment(1, "report:churn", "second")
    assert len(at.wrote()) == before


def test_the_mark_of_a_stranger_is_none(at: At) -> None:
    """Anybody can write the mark: his comment is neither changed nor taken for the report."""
    at.push()
    at.client().propose(PROPOSAL)
    at.forge.comment(1, "<!-- gitml:report:churn -->\nAll gates passed")
    at.forge.comment(1, "text\n<!-- gitml:report:churn -->", login="ada")
    assert not at.client().has_comment(1, "report:churn")
    at.client().comment(1, "report:churn", "A gate failed")
    bodies = [note.body for note in at.forge.pull(1).comments]
    assert bodies[0].endswith("All gates passed")
    assert bodies[2:] == ["<!-- gitml:report:churn -->\nA gate failed"]


def test_a_mark_is_found_behind_many_comments(at: At) -> None:
    """All pages of comments are looked through, and the first that is one's own is taken."""
    at.push()
    at.client().propose(PROPOSAL)
    for number in range(150):
        at.forge.comment(1, f"chatter {number}")
    at.client().comment(1, "report:churn", "first")
    at.client().comment(1, "report:churn", "second")
    assert [it.body for it in at.forge.pull(1).comments[150:]] == [
        "<!-- gitml:report:churn -->\nsecond"
    ]


def test_a_workflow_does_not_know_who_it_is(github: At) -> None:
    """GitHub tells no workflow its name: the mark of a bot counts then, that of a person never."""
    github.push()
    github.client().propose(PROPOSAL)
    github.forge.comment(1, "<!-- gitml:report:churn -->\nspoof")
    for text in ("first", "second"):
        github.client(WORKFLOW_TOKEN).comment(1, "report:churn", text)
    notes = github.forge.pull(1).comments
    assert [note.author.login for note in notes] == ["mallory", "github-actions[bot]"]
    assert notes[1].body.endswith("second")


def test_what_gitlab_writes_itself_is_no_comment(gitlab: At) -> None:
    """A note of GitLab's own, which quotes what a user wrote, is left alone."""
    gitlab.push()
    gitlab.client().propose(PROPOSAL)
    gitlab.forge.comment(1, "<!-- gitml:report:churn -->\nx", login="ada", kind="System")
    gitlab.client().comment(1, "report:churn", "text")
    assert len(gitlab.forge.pull(1).comments) == 2


@pytest.mark.parametrize("marker", ["", "a b", "a-->b", "a--b", "x" * 200, "é"])
def test_a_marker_is_a_plain_word(at: At, marker: str) -> None:
    """What would end the mark, or be seen, is refused before anything is sent."""
    with pytest.raises(UsageError, match="is no marker"):
        at.client().comment(1, marker, "text")
    assert at.wrote() == []


# -- statuses and workflows ----------------------------------------------------------------


def test_a_status_is_set_on_a_commit(at: At) -> None:
    """The state, the context, a short description and a page; the last word counts."""
    commit = at.push()
    page = "https://ci.example.org/1"
    for state in ("pending", "failure", "success"):
        at.client().set_status(commit, Status("gitml/gates", state, "d" * 300, page))  # type: ignore[arg-type]
    said = at.forge.statuses
    states = [it.get("state") or it["status"] for it in said]
    failed = {"github": "failure", "gitlab": "failed"}[at.kind]
    assert states == ["pending", failed, "success"]
    assert {it["sha"] for it in said} == {commit}
    assert {it["target_url"] for it in said} == {page}
    assert all(140 <= len(it["description"]) <= 255 for it in said)


def test_a_status_may_be_set_twice(at: At) -> None:
    """Saying the same again is no error, although GitLab refuses it."""
    commit = at.push()
    for _ in range(2):
        at.client().set_status(commit, Status("gitml/gates", "pending"))
    assert at.wrote().count(at.wrote()[-1]) == {"github": 2, "gitlab": 1}[at.kind]


def test_a_run_of_a_workflow_is_started_again(at: At) -> None:
    """By its number, and nothing else is."""
    at.client().again("17")
    assert (at.forge.again, at.forge.dispatched) == ([17], [])


def test_a_workflow_is_started_once(at: At) -> None:
    """A dispatch names the workflow, the ref and the inputs; one that may have worked is told."""
    at.client().dispatch("gitml-deploy.yml", "main", {"tag": "churn#production#1"})
    assert (
        at.forge.dispatched
        == {
            "github": [
                {
                    "workflow": "gitml-deploy.yml",
                    "ref": "main",
                    "inputs": {"tag": "churn#production#1"},
                }
            ],
            "gitlab": [
                {
                    "ref": "main",
                    "variables": [
                        {"key": "GITML_WORKFLOW", "value": "gitml-deploy.yml"},
                        {"key": "tag", "value": "churn#production#1"},
                    ],
                }
            ],
        }[at.kind]
    )
    at.forge.fail("POST .*/(dispatches|pipeline)$", then=True, drop=True)
    with pytest.raises(ForgeError, match="does not answer") as caught:
        at.client().dispatch("gitml-deploy.yml", "main", {})
    assert caught.value.unsure
    assert len(at.forge.dispatched) == 2


def test_a_token_that_may_only_read_is_told(at: At) -> None:
    """The variable is named, with what it may not do."""
    at.push()
    variable = {"github": "GITHUB_TOKEN", "gitlab": "GITLAB_TOKEN"}[at.kind]
    with pytest.raises(ForgeError, match=f"403 .*; the token in {variable} may not do that"):
        at.client(READ_TOKEN).propose(PROPOSAL)
    with pytest.raises(ForgeError, match=f"401 .*; the token in {variable} is not valid"):
        at.client("stale").propose(PROPOSAL)
