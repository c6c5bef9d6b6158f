"""GitLab's way of talking: what its REST API answers, from what a forge for tests knows."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

from tests.conftest import run_git
from tests.forges import NAME, OWNER, Asked, Forge, Note, Pipeline, Pull, User

ID = 7
API = "/api/v4"
PROJECT = f"/projects/{OWNER}%2F{NAME}"


def answer(forge: Forge, user: User, asked: Asked) -> tuple[int, Any]:
    """The status and the document of an answer."""
    path = asked.path.removeprefix(API)
    if path == "/user":
        return 200, _user(user)
    if not path.startswith(PROJECT):
        return 404, {"message": "404 Project Not Found"}
    for pattern, serve in _ROUTES.items():
        found = re.fullmatch(pattern, f"{asked.method} {path.removeprefix(PROJECT)}")
        if found:
            groups = [int(it) if it.isdigit() else it for it in found.groups()]
            return serve(forge, user, asked, *groups)  # type: ignore[no-any-return, operator]
    return 404, {"error": "404 Not Found"}


def _list(asked: Asked, items: list[Any]) -> tuple[int, list[Any]]:
    size, page = int(asked.query.get("per_page", 20)), int(asked.query.get("page", 1))
    return 200, items[(page - 1) * size : page * size]


def _requests(forge: Forge, user: User, asked: Asked) -> tuple[int, Any]:
    if asked.method == "POST":
        return _open(forge, user, asked)
    branch, base = asked.query.get("source_branch"), asked.query.get("target_branch")
    states = {"opened": "open"}
    found = [
        it
        for it in forge.pulls
        if forge.lists_all
        or (
            (it.state == states[asked.query["state"]] and branch in (None, it.branch))
            and base in (None, it.base)
        )
    ]
    return _list(asked, [request_document(forge, it) for it in found])


def _open(forge: Forge, user: User, asked: Asked) -> tuple[int, Any]:
    body, number = asked.body, len(forge.pulls) + 1
    branch = body["source_branch"]
    if forge.commit_of(branch) is None:
        return 422, {"message": ["Source branch does not exist"]}
    for it in forge.pulls:
        if it.branch == branch and it.state == "open" and not it.fork:
            words = (
                f"Another open merge request already exists for this source branch: !{it.number}"
            )
            return 409, {"message": [words]}
    made = Pull(number, branch, body["target_branch"], body["title"], body["description"], user)
    made.labels = [it for it in body.get("labels", "").split(",") if it]
    forge.pulls.append(made)
    forge.refresh(made)
    return 201, request_document(forge, made)


def _request(forge: Forge, _: User, asked: Asked, number: int) -> tuple[int, Any]:
    pull = next((it for it in forge.pulls if it.number == number), None)
    if pull is None:
        return 404, {"message": "404 Not found"}
    if asked.method == "PUT":
        pull.title = asked.body.get("title", pull.title)
        pull.body = asked.body.get("description", pull.body)
        pull.base = asked.body.get("target_branch", pull.base)
        added = asked.body.get("add_labels", "").split(",")
        pull.labels += [it for it in added if it and it not in pull.labels]
    return 200, request_document(forge, pull)


def request_document(forge: Forge, pull: Pull) -> dict[str, Any]:
    """A merge request as GitLab tells of it."""
    forge.refresh(pull)
    return {
        "id": 1000 + pull.number,
        "iid": pull.number,
        "project_id": ID,
        "target_project_id": ID,
        "source_project_id": 8 if pull.fork else ID,
        "title": pull.title,
        "description": pull.body,
        "state": "opened" if pull.state == "open" else "merged",
        "source_branch": pull.branch,
        "target_branch": pull.base,
        "labels": list(pull.labels),
        "sha": forge.head(pull),
        "author": _user(pull.author),
        "web_url": f"{forge.url}/{OWNER}/{NAME}/-/merge_requests/{pull.number}",
    }


def _user(user: User) -> dict[str, Any]:
    id = 1 + sum(user.login.encode())  # another one for each
    return {"id": id, "username": user.login, "name": user.login.title(), "state": "active"}


def _brought(forge: Forge, _: User, asked: Asked, sha: str) -> tuple[int, Any]:
    """The merge requests of a commit: merged ones by their merge, others by their branch."""
    found = [it for it in forge.pulls if sha in (it.brought, forge.commit_of(it.branch))]
    return _list(asked, [request_document(forge, it) for it in found])


def _notes(forge: Forge, user: User, asked: Asked, number: int) -> tuple[int, Any]:
    pull = forge.pull(number)
    if asked.method == "GET":
        return _list(asked, [_note(it) for it in pull.comments])
    pull.comments.append(Note(forge.tick(), user, asked.body["body"]))
    return 201, _note(pull.comments[-1])


def _edit(forge: Forge, _: User, asked: Asked, number: int, id: int) -> tuple[int, Any]:
    for note in forge.pull(number).comments:
        if note.id == id:
            note.body = asked.body["body"]
            return 200, _note(note)
    return 404, {"message": "404 Not found"}


def _note(note: Note) -> dict[str, Any]:
    is_system = note.author.kind == "System"
    return {"id": note.id, "body": note.body, "author": _user(note.author), "system": is_system}


def _approvals(forge: Forge, _: User, __: Asked, number: int) -> tuple[int, Any]:
    """Who approves; an old one does not tell when."""
    found = []
    for it in forge.pull(number).reviews:
        entry: dict[str, Any] = {"user": _user(User(it.login))}
        if it.state == "APPROVED":
            found.append({**entry, "approved_at": _text(it.time)})
        elif it.state == "OLD":
            found.append(entry)
    return 200, {"approved": bool(found), "approved_by": found}


def _versions(forge: Forge, _: User, asked: Asked, number: int) -> tuple[int, Any]:
    pull = forge.pull(number)
    forge.refresh(pull)
    told = [
        {"id": at, "head_commit_sha": sha, "created_at": _text(when), "state": "collected"}
        for at, (sha, when) in enumerate(pull.versions, 1)
    ]
    return _list(asked, told[::-1])


def _text(when: int) -> str:
    return datetime.fromtimestamp(when, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _status(forge: Forge, _: User, asked: Asked, sha: str) -> tuple[int, Any]:
    mine = [it for it in forge.statuses if (it["sha"], it["name"]) == (sha, asked.body["name"])]
    state = asked.body["state"]
    if mine and mine[-1]["status"] == state == "pending":
        message = "Cannot transition status via :enqueue from :pending (Reason(s): ...)"
        return 400, {"message": message}
    told = {key: value for key, value in asked.body.items() if key != "state"}
    forge.statuses.append({"id": forge.tick(), "sha": sha, "status": state, **told})
    return 201, forge.statuses[-1]


def _statuses(forge: Forge, _: User, asked: Asked, sha: str) -> tuple[int, Any]:
    name = asked.query.get("name")
    found = [it for it in forge.statuses if it["sha"] == sha and name in (None, it["name"])]
    return _list(asked, found)


def _pipeline(forge: Forge, user: User, asked: Asked) -> tuple[int, Any]:
    """Start a pipeline on a branch."""
    forge.dispatched.append(asked.body)
    ref, told = asked.body["ref"], {it["key"]: it["value"] for it in asked.body["variables"]}
    sha, jobs = forge.commit_of(ref) or "0" * 40, {"gitml-reproduce": "created"}
    forge.pipelines.append(Pipeline(forge.tick(), sha, ref, jobs, user.login, told))
    return 201, _told(forge, forge.pipelines[-1])


def _of_branch(forge: Forge, _: User, asked: Asked) -> tuple[int, Any]:
    """Those of a branch, the newest first."""
    found = [it for it in reversed(forge.pipelines) if it.ref == asked.query["ref"]]
    return _list(asked, [_told(forge, it) for it in found])


def _one(forge: Forge, _: User, __: Asked, id: int) -> tuple[int, Any]:
    return next(
        ((200, _told(forge, it)) for it in forge.pipelines if it.id == id),
        (404, {"message": "404 Not found"}),
    )


def _artifact(forge: Forge, _: User, __: Asked, id: int, name: str) -> tuple[int, Any]:
    """A file that a job has left; the job has the number of its pipeline here."""
    found = [it.files[name] for it in forge.pipelines if it.id == id and name in it.files]
    return (200, found[0]) if found else (404, {"message": "404 Not found"})


def _again(forge: Forge, _: User, __: Asked, number: int) -> tuple[int, Any]:
    forge.again.append(number)
    return 201, {"id": number, "status": "running"}


def _pipelines(forge: Forge, user: User, asked: Asked, number: int) -> tuple[int, Any]:
    """Those of a merge request, the newest first; or a new one."""
    pull = forge.pull(number)
    if asked.method == "POST":
        if not user.writes:
            return 403, {"message": "403 Forbidden"}
        return 201, _told(forge, begin(forge, pull))
    return _list(asked, [_told(forge, it) for it in reversed(pull.pipelines)])


def begin(forge: Forge, pull: Pull) -> Pipeline:
    """Begin a pipeline for a merge request as it is now."""
    ref = f"refs/merge-requests/{pull.number}/head"
    made = Pipeline(forge.tick(), forge.head(pull), ref, {"gitml-check": "created"})
    pull.pipelines.append(made)
    return made


def _told(forge: Forge, one: Pipeline) -> dict[str, Any]:
    return {
        "id": one.id,
        "sha": one.sha,
        "ref": one.ref,
        "status": next(iter(one.jobs.values()), "created"),
        "user": _user(User(one.by)),
        "web_url": f"{forge.url}/{OWNER}/{NAME}/-/pipelines/{one.id}",
    }


def _jobs(forge: Forge, _: User, asked: Asked, id: int) -> tuple[int, Any]:
    every = [*forge.pipelines, *(it for pull in forge.pulls for it in pull.pipelines)]
    for one in every:
        if one.id == id:
            jobs = [{"id": one.id, "name": name, "status": it} for name, it in one.jobs.items()]
            return _list(asked, jobs)
    return 404, {"message": "404 Not found"}


def _merge_base(forge: Forge, _: User, asked: Asked) -> tuple[int, Any]:
    """The commit at which two others part; the query's names are both the same."""
    found = run_git(forge.bare, "merge-base", *asked.query["refs[]"].split())
    return 200, {"id": found}


_ROUTES = {
    "GET /repository/merge_base": _merge_base,
    "(?:GET|POST) /merge_requests": _requests,
    r"(?:GET|PUT) /merge_requests/(\d+)": _request,
    r"(?:GET|POST) /merge_requests/(\d+)/notes": _notes,
    r"PUT /merge_requests/(\d+)/notes/(\d+)": _edit,
    r"GET /merge_requests/(\d+)/approvals": _approvals,
    r"GET /merge_requests/(\d+)/versions": _versions,
    r"POST /statuses/([0-9a-f]{40})": _status,
    r"GET /repository/commits/([0-9a-f]{40})/statuses": _statuses,
    r"GET /repository/commits/([0-9a-f]{40})/merge_requests": _brought,
    "POST /pipeline": _pipeline,
    r"POST /pipelines/(\d+)/retry": _again,
    r"(?:GET|POST) /merge_requests/(\d+)/pipelines": _pipelines,
    r"GET /pipelines/(\d+)/jobs": _jobs,
    r"GET /pipelines/(\d+)": _one,
    "GET /pipelines": _of_branch,
    r"GET /jobs/(\d+)/artifacts/(.+)": _artifact,
}
