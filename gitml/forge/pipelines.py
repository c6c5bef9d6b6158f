"""Pipelines of a project at GitLab, those of merge requests and of branches, and their jobs.

What is asked and answered is in GitLab's API docs: merge requests, pipelines and jobs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from gitml.errors import ForgeError, shown
from gitml.forge import answers
from gitml.forge.gitlab import GitLab

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MERGED = re.compile(r"refs/merge-requests/\d+/merge")


@dataclass(frozen=True, slots=True)
class Request:
    """An open merge request of the project's own, by its number, and its newest commit."""

    number: int
    commit: str


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline by its id, the commit whose jobs it has, and its page."""

    id: int
    commit: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A job by its id, and GitLab's word for how it stands."""

    id: int
    status: str


def requests(forge: GitLab, base: str) -> Iterator[Request]:
    """Those that are to be merged into the branch `base`; none of a fork's, in the order opened."""
    path = f"{forge.project}/merge_requests"
    for item in forge.api.pages(path, state="opened", target_branch=base, sort="asc"):
        here = answers.number(item, "target_project_id")
        is_open = answers.maybe_text(item, "state") == "opened"
        fits = is_open and answers.maybe_text(item, "target_branch") == base
        if fits and answers.number(item, "source_project_id") == here:
            yield Request(answers.number(item, "iid"), _commit(item))


def outcome(forge: GitLab, asked: Request, name: str) -> str | None:
    """How a job stands in the newest pipeline of a merge request as it is now, in GitLab's word.

    None when there is no such pipeline, or it has no such job.
    """
    path = f"{forge.project}/merge_requests/{asked.number}/pipelines"
    newest = next(iter(forge.api.pages(path)), None)
    if newest is None or not _is_of(newest, asked):
        return None
    found = job(forge, answers.number(newest, "id"), name)
    return found.status if found else None


def job(forge: GitLab, pipeline: int, name: str) -> Job | None:
    """The job of a pipeline by that name, as it was tried last; None when there is none."""
    for item in forge.api.pages(f"{forge.project}/pipelines/{pipeline}/jobs"):
        if answers.maybe_text(item, "name") == name:
            return Job(answers.number(item, "id"), answers.maybe_text(item, "status"))
    return None


def mine(forge: GitLab, branch: str) -> Iterator[Pipeline]:
    """The pipelines of a branch that were started with this very token's user, the newest first.

    With what variables a pipeline runs is said by who starts it, so others can't be relied on.
    """
    me = answers.number(forge.api.get("/user"), "id")
    path = f"{forge.project}/pipelines"
    for item in forge.api.pages(path, ref=branch, order_by="id", sort="desc"):
        id = answers.number(item, "id")
        whole = forge.api.get(f"{path}/{id}")
        same = answers.maybe_text(whole, "ref") == branch
        if same and answers.number(whole, "user", "id") == me:
            yield Pipeline(id, _commit(whole), answers.page_url(whole, "web_url", ""))


def holds(forge: GitLab, branch: str, commit: str) -> bool:
    """Whether a commit is in the history of a branch or of another commit."""
    query = urlencode([("refs[]", branch), ("refs[]", commit)])
    found = forge.api.get(f"{forge.project}/repository/merge_base?{query}")
    return answers.maybe_text(found, "id") == commit


def artifact(forge: GitLab, job: Job, name: str) -> bytes:
    """A file that a job has left, by its path."""
    return forge.api.file(f"{forge.project}/jobs/{job.id}/artifacts/{quote(name)}")


def start(forge: GitLab, asked: Request) -> None:
    """Start a new pipeline for a merge request. ForgeError when GitLab does not let this user."""
    forge.api.call("POST", f"{forge.project}/merge_requests/{asked.number}/pipelines", {})


def _is_of(pipeline: Any, asked: Request) -> bool:
    """Whether a pipeline is for the newest commit; of a merge result nobody can tell."""
    is_merged = _MERGED.fullmatch(answers.maybe_text(pipeline, "ref"))
    return bool(is_merged) or answers.maybe_text(pipeline, "sha") == asked.commit


def _commit(item: Any) -> str:
    found = answers.text(item, "sha")
    if not _COMMIT.fullmatch(found):
        raise ForgeError(f"the forge's answer has {shown(found)} in the place of a commit")
    return found
