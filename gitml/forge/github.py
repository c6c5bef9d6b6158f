"""GitHub's REST API, also that of GitHub Enterprise, as its OpenAPI description has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from gitml.errors import ForgeError
from gitml.forge import answers, marked
from gitml.forge.access import Token
from gitml.forge.address import Address
from gitml.forge.approvals import Approvals, Review, Verdict, approvals
from gitml.forge.http import PLAIN, Api, Limits
from gitml.forge.marked import Comment
from gitml.forge.proposal import Opened, Proposal, Status

_LONGEST_TITLE = 256
_LONGEST_DESCRIPTION = 140
_VERDICTS: Mapping[str, Verdict] = {
    "APPROVED": "approved",
    "CHANGES_REQUESTED": "refused",
    "DISMISSED": "dismissed",
}
_WRITERS = ("admin", "write")  # `maintain` counts as write there, `triage` as read


def api(url: str, token: Token, limits: Limits = PLAIN) -> Api:
    """The API of GitHub at `url`."""
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {token.secret}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    return Api("GitHub", url, token, headers, limits)


@dataclass(frozen=True, slots=True)
class GitHub:
    """A repository at GitHub."""

    address: Address
    api: Api
    name: str = "GitHub"

    @property
    def _repo(self) -> str:
        owner, _, name = self.address.path.partition("/")
        return f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}"

    @property
    def _owner(self) -> str:
        return self.address.path.partition("/")[0]

    # -- pull requests -------------------------------------------------------------------------

    def propose(self, proposal: Proposal) -> Opened:
        """Open a pull request, or bring the open one of that branch up to date."""
        body = marked.clipped(proposal.body)
        title = marked.shortened(proposal.title, _LONGEST_TITLE)
        wanted = {"title": title, "body": body, "base": proposal.base}

        def make() -> Any:
            asked = {**wanted, "head": proposal.branch, "maintainer_can_modify": False}
            return self.api.call("POST", f"{self._repo}/pulls", asked)

        found, created = self.api.once(lambda: self._open(proposal.branch), make)
        number = answers.number(found, "number")
        if not created and wanted != _as_it_is(found):
            self.api.call("PATCH", f"{self._repo}/pulls/{number}", wanted)
        remark = self._label(number, proposal.labels)
        return Opened(self._page(found, number), number, created, remark)

    def find(self, branch: str) -> Opened | None:
        """The open pull request of a branch of this repository."""
        found = self._open(branch)
        if found is None:
            return None
        number = answers.number(found, "number")
        return Opened(self._page(found, number), number)

    def _open(self, branch: str) -> Any | None:
        """The oldest one that is open; those of forks, which may name any branch, are none."""
        path, head = f"{self._repo}/pulls", f"{self._owner}:{branch}"
        for item in self.api.pages(path, state="open", head=head, direction="asc"):
            is_open = answers.maybe_text(item, "state") == "open"
            same = is_open and answers.maybe_text(item, "head", "ref") == branch
            there = answers.maybe_text(item, "head", "repo", "full_name").lower()
            if same and there == answers.text(item, "base", "repo", "full_name").lower():
                return item
        return None

    def merged(self, commit: str, base: str) -> int | None:
        """The pull request that brought a commit to a branch, as GitHub remembers it."""
        for item in self.api.pages(f"{self._repo}/commits/{quote(commit, safe='')}/pulls"):
            is_merged = answers.maybe_text(item, "merged_at") != ""
            there = answers.maybe_text(item, "base", "repo", "full_name").lower()
            same = there == self._repo.removeprefix("/repos/").lower()
            if is_merged and same and answers.maybe_text(item, "base", "ref") == base:
                return answers.number(item, "number")
        return None

    def _label(self, number: int, labels: tuple[str, ...]) -> str:
        """Add labels; what went wrong, which is no reason to fail."""
        if labels:
            try:
                path = f"{self._repo}/issues/{number}/labels"
                self.api.call("POST", path, {"labels": list(labels)}, again=True)
            except ForgeError as error:
                return f"it has no labels: {error}"
        return ""

    def _page(self, item: Any, number: int) -> str:
        return answers.page_url(item, "html_url", f"{self.address.web}/pull/{number}")

    # -- comments ------------------------------------------------------------------------------

    def comment(self, number: int, marker: str, body: str, *, only_anew: bool = False) -> str:
        """Write a comment, or write the one anew that has `marker`; its URL."""
        text, me = marked.clipped(marked.text(marker, body)), self._login()
        if only_anew and self._own(number, marker, me) is None:
            return ""
        path = self._comments(number)
        found, created = self.api.once(
            lambda: self._own(number, marker, me),
            lambda: _comment(self.api.call("POST", path, {"body": text})),
        )
        if not created and found.body != text:
            self.api.call("PATCH", f"{self._repo}/issues/comments/{found.id}", {"body": text})
        return found.url or f"{self.address.web}/pull/{number}"

    def has_comment(self, number: int, marker: str) -> bool:
        """Whether there is such a comment of one's own."""
        return self._own(number, marker, self._login()) is not None

    def _comments(self, number: int) -> str:
        return f"{self._repo}/issues/{number}/comments"

    def _own(self, number: int, marker: str, me: str | None) -> Comment | None:
        return marked.first(map(_comment, self.api.pages(self._comments(number))), marker, me)

    def _login(self) -> str | None:
        """Whose the token is; None for that of a workflow or an app, which may not ask."""
        try:
            return answers.text(self.api.get("/user"), "login")
        except ForgeError as error:
            if error.status in (403, 404):
                return None
            raise

    # -- checks --------------------------------------------------------------------------------

    def set_status(self, commit: str, status: Status) -> None:
        """Say what a check comes to for a commit."""
        body = {"state": status.state, "context": status.context}
        if status.description:
            body["description"] = marked.shortened(status.description, _LONGEST_DESCRIPTION)
        if status.url:
            body["target_url"] = status.url
        path = f"{self._repo}/statuses/{quote(commit, safe='')}"
        self.api.call("POST", path, body, again=True)  # the last one counts

    def approvals(self, number: int) -> Approvals | None:
        """Who approves a pull request: people who may write to the repository."""
        pull = self.api.get(f"{self._repo}/pulls/{number}")
        head, author = answers.text(pull, "head", "sha"), answers.maybe_text(pull, "user", "login")
        found = approvals(head, author, self._reviews(number))
        writers = tuple(login for login in found.by if self._may_write(login))
        return Approvals(head, author, writers)

    def _reviews(self, number: int) -> Iterator[Review]:
        """The reviews of people, the oldest first; a mere comment is none."""
        for item in self.api.pages(f"{self._repo}/pulls/{number}/reviews"):
            verdict = _VERDICTS.get(answers.maybe_text(item, "state"))
            login = answers.maybe_text(item, "user", "login")
            if verdict and login and answers.maybe_text(item, "user", "type") == "User":
                yield Review(login, verdict, answers.maybe_text(item, "commit_id"))

    def _may_write(self, login: str) -> bool:
        path = f"{self._repo}/collaborators/{quote(login, safe='')}/permission"
        try:
            return answers.text(self.api.get(path), "permission") in _WRITERS
        except ForgeError as error:
            if error.status == 404:  # a stranger
                return False
            raise

    def dispatch(self, workflow: str, ref: str, inputs: Mapping[str, str]) -> None:
        """Start a workflow by the name of its file; it must have `workflow_dispatch`."""
        path = f"{self._repo}/actions/workflows/{quote(workflow, safe='')}/dispatches"
        self.api.call("POST", path, {"ref": ref, "inputs": dict(inputs)})

    def again(self, run: str) -> None:
        """Start all jobs of a workflow's run again."""
        self.api.call("POST", f"{self._repo}/actions/runs/{quote(run, safe='')}/rerun", {})


def _as_it_is(pull: Any) -> dict[str, str]:
    """What a pull request says now, as far as a proposal would change it."""
    return {
        "title": answers.maybe_text(pull, "title"),
        "body": answers.maybe_text(pull, "body"),
        "base": answers.maybe_text(pull, "base", "ref"),
    }


def _comment(item: Any) -> Comment:
    return Comment(
        answers.number(item, "id"),
        answers.maybe_text(item, "body"),
        answers.maybe_text(item, "user", "login"),
        answers.maybe_text(item, "user", "type") == "Bot",
        answers.page_url(item, "html_url", ""),
    )
