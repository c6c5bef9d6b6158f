"""GitLab's REST API, of gitlab.com and of others. What is asked and answered is in its API docs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from gitml.forge import answers, marked
from gitml.forge.access import JOB_TOKEN, V4, Token
from gitml.forge.address import Address
from gitml.forge.approvals import Approvals, Review, approvals
from gitml.forge.http import PLAIN, Api, Limits
from gitml.forge.marked import Comment
from gitml.forge.proposal import Opened, Proposal, State, Status

_LONGEST_LINE = 255
_STATES: Mapping[State, str] = {
    "pending": "pending",
    "success": "success",
    "failure": "failed",
    "error": "failed",
}
# The users that GitLab makes for tokens of projects and groups, and service accounts.
_BOT = re.compile(r"(project|group)_\d+_bot.*|service_account_.*")
WORKFLOW = "GITML_WORKFLOW"


def api(url: str, token: Token, limits: Limits = PLAIN) -> Api:
    """The API of a GitLab at `url`."""
    is_job = token.variable == JOB_TOKEN
    login = {"JOB-TOKEN": token.secret} if is_job else {"Authorization": f"Bearer {token.secret}"}
    return Api("GitLab", url, token, {"Accept": "application/json", **login}, limits)


@dataclass(frozen=True, slots=True)
class GitLab:
    """A project at a GitLab, which may be in a folder of its host."""

    address: Address
    api: Api
    name: str = "GitLab"

    @property
    def _path(self) -> str:
        """The project's path at the GitLab, without the folder that it may be in."""
        folder = urlsplit(self.api.url.removesuffix(V4)).path.strip("/")
        return self.address.path.removeprefix(f"{folder}/") if folder else self.address.path

    @property
    def project(self) -> str:
        """Where the API has the project."""
        return f"/projects/{quote(self._path, safe='')}"

    # -- merge requests ------------------------------------------------------------------------

    def propose(self, proposal: Proposal) -> Opened:
        """Open a merge request, or bring the open one of that branch up to date."""
        wanted = {
            "title": marked.shortened(proposal.title, _LONGEST_LINE),
            "description": marked.clipped(proposal.body),
            "target_branch": proposal.base,
        }
        labels = ",".join(label.replace(",", " ") for label in proposal.labels)

        def make() -> Any:
            asked = {**wanted, "source_branch": proposal.branch, "remove_source_branch": True}
            return self.api.call("POST", f"{self.project}/merge_requests", asked | _given(labels))

        found, created = self.api.once(lambda: self._open(proposal.branch), make)
        number = answers.number(found, "iid")
        if not created and not _is_as_wanted(found, wanted, proposal.labels):
            update = {**wanted, "add_labels": labels} if labels else wanted
            self.api.call("PUT", f"{self.project}/merge_requests/{number}", update)
        return Opened(self._page(found, number), number, created)

    def find(self, branch: str) -> Opened | None:
        """The open merge request of a branch of this project."""
        found = self._open(branch)
        if found is None:
            return None
        number = answers.number(found, "iid")
        return Opened(self._page(found, number), number)

    def merged(self, commit: str, base: str) -> int | None:
        """The merge request that brought a commit to a branch, as GitLab remembers it."""
        sha = quote(commit, safe="")
        for item in self.api.pages(f"{self.project}/repository/commits/{sha}/merge_requests"):
            is_merged = answers.maybe_text(item, "state") == "merged"
            if is_merged and answers.maybe_text(item, "target_branch") == base:
                return answers.number(item, "iid")
        return None

    def _open(self, branch: str) -> Any | None:
        """The oldest one that is open; those of forks, which may name any branch, are none."""
        path = f"{self.project}/merge_requests"
        asked = {"state": "opened", "source_branch": branch, "sort": "asc"}
        for item in self.api.pages(path, **asked):
            here = answers.number(item, "target_project_id")
            is_open = answers.maybe_text(item, "state") == "opened"
            same = is_open and answers.maybe_text(item, "source_branch") == branch
            if same and answers.number(item, "source_project_id") == here:
                return item
        return None

    def _page(self, item: Any, number: int) -> str:
        there = f"{self.api.url.removesuffix(V4)}/{self._path}/-/merge_requests/{number}"
        return answers.page_url(item, "web_url", there)

    # -- comments ------------------------------------------------------------------------------

    def comment(self, number: int, marker: str, body: str, *, only_anew: bool = False) -> str:
        """Write a comment, or write the one anew that has `marker`; its URL."""
        text, me = marked.clipped(marked.text(marker, body)), self._login()
        path = self._notes(number)
        if only_anew and self._own(number, marker, me) is None:
            return ""
        found, created = self.api.once(
            lambda: self._own(number, marker, me),
            lambda: _comment(self.api.call("POST", path, {"body": text})),
        )
        if not created and found.body != text:
            self.api.call("PUT", f"{path}/{found.id}", {"body": text})
        return f"{self._page(None, number)}#note_{found.id}"

    def has_comment(self, number: int, marker: str) -> bool:
        """Whether there is such a comment of one's own."""
        return self._own(number, marker, self._login()) is not None

    def _notes(self, number: int) -> str:
        return f"{self.project}/merge_requests/{number}/notes"

    def _own(self, number: int, marker: str, me: str) -> Comment | None:
        notes = self.api.pages(self._notes(number), sort="asc", order_by="created_at")
        return marked.first(map(_comment, notes), marker, me)

    def _login(self) -> str:
        return answers.text(self.api.get("/user"), "username")

    # -- checks --------------------------------------------------------------------------------

    def set_status(self, commit: str, status: Status) -> None:
        """Say what a check comes to for a commit; GitLab refuses to be told the same twice."""
        sha = quote(commit, safe="")
        wanted = {"name": status.context, "state": _STATES[status.state]} | {
            key: value
            for key, value in (
                ("description", marked.shortened(status.description, _LONGEST_LINE)),
                ("target_url", status.url),
            )
            if value
        }

        def look() -> Any | None:
            path = f"{self.project}/repository/commits/{sha}/statuses"
            said = [it for it in self.api.pages(path, name=status.context) if isinstance(it, dict)]
            said.sort(key=lambda it: it["id"] if isinstance(it.get("id"), int) else 0)
            return said[-1] if said and _says(said[-1], wanted) else None

        self.api.once(look, lambda: self.api.call("POST", f"{self.project}/statuses/{sha}", wanted))

    def approvals(self, number: int) -> Approvals | None:
        """Who approves a merge request as it is now; None where GitLab does not tell when.

        GitLab knows the moment of an approval, not the commit: what came before the newest
        commit was pushed does not count.
        """
        request = f"{self.project}/merge_requests/{number}"
        found = self.api.get(request)
        head, author = answers.text(found, "sha"), answers.maybe_text(found, "author", "username")
        said = self.api.get(f"{request}/approvals")
        entries = said.get("approved_by") if isinstance(said, dict) else None
        if not isinstance(entries, list):
            return None
        if any(_moment(it, "approved_at") is None for it in entries):
            return None
        pushed = _pushed(self.api.pages(f"{request}/versions"), head)
        return approvals(head, author, _reviews(entries, head, pushed))

    def dispatch(self, workflow: str, ref: str, inputs: Mapping[str, str]) -> None:
        """Start a pipeline on a branch or tag; its variable GITML_WORKFLOW names the workflow."""
        variables = {WORKFLOW: workflow, **inputs}
        asked = [{"key": key, "value": value} for key, value in variables.items()]
        self.api.call("POST", f"{self.project}/pipeline", {"ref": ref, "variables": asked})

    def again(self, run: str) -> None:
        """Start the jobs of a pipeline again that failed."""
        self.api.call("POST", f"{self.project}/pipelines/{quote(run, safe='')}/retry", {})


def _given(labels: str) -> dict[str, str]:
    return {"labels": labels} if labels else {}


def _is_as_wanted(found: Any, wanted: Mapping[str, str], labels: Iterable[str]) -> bool:
    has = found.get("labels") if isinstance(found, dict) else None
    is_labelled = set(labels) <= set(has if isinstance(has, list) else ())
    return is_labelled and all(answers.maybe_text(found, key) == wanted[key] for key in wanted)


def _says(status: Any, wanted: Mapping[str, str]) -> bool:
    """Whether a status is what is wanted; it calls its state another name when it tells of it."""
    told = {**wanted, "status": wanted["state"]}
    del told["state"]
    return all(answers.maybe_text(status, key) == value for key, value in told.items())


def _reviews(entries: list[Any], head: str, pushed: datetime | None) -> Iterator[Review]:
    for it in entries:
        login, when = answers.maybe_text(it, "user", "username"), _moment(it, "approved_at")
        if login and when and pushed and not _BOT.fullmatch(login):
            yield Review(login, "approved", head if when >= pushed else "")


def _pushed(versions: Iterable[Any], head: str) -> datetime | None:
    """When the newest commit came, for the last time."""
    mine = (it for it in versions if answers.maybe_text(it, "head_commit_sha") == head)
    return max((when for it in mine if (when := _moment(it, "created_at"))), default=None)


def _moment(item: Any, key: str) -> datetime | None:
    """A moment in an answer, with its zone; None for what is none."""
    try:
        found = datetime.fromisoformat(answers.maybe_text(item, key).replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else None


def _comment(item: Any) -> Comment:
    return Comment(
        answers.number(item, "id"),
        answers.maybe_text(item, "body"),
        answers.maybe_text(item, "author", "username") if not _is_system(item) else "",
        False,
        "",
    )


def _is_system(item: Any) -> bool:
    return isinstance(item, dict) and item.get("system") is True
