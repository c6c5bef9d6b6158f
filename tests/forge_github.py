"""GitHub's way of talking: what its REST API answers, from what a forge for tests knows."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from tests.forges import NAME, OWNER, Asked, Forge, Note, Pull, Said, User
from tests.github_openapi import complaints, example

REPO = f"/repos/{OWNER}/{NAME}"
NOT_FOUND = {"message": "Not Found"}


def answer(forge: Forge, user: User, asked: Asked) -> tuple[int, Any]:
    """The status and the document of an answer, which GitHub's description bears out."""
    status, document = _answer(forge, user, asked)
    if not (status == 404 and not asked.path.startswith((REPO, "/user"))):
        forge.complaints += complaints(
            asked.method, asked.path, asked.query, asked.body, status, document
        )
    return status, document


def _answer(forge: Forge, user: User, asked: Asked) -> tuple[int, Any]:
    if asked.path == "/user":
        if user.kind == "Bot":
            return 403, {"message": "Resource not accessible by integration"}
        return 200, {**example("user"), "login": user.login}
    if not asked.path.startswith(REPO):
        return 404, NOT_FOUND
    for pattern, serve in _ROUTES.items():
        found = re.fullmatch(pattern, f"{asked.method} {asked.path.removeprefix(REPO)}")
        if found:
            groups = [int(it) if it.isdigit() else unquote(it) for it in found.groups()]
            return serve(forge, user, asked, *groups)  # type: ignore[no-any-return, operator]
    return 404, NOT_FOUND


def _list(asked: Asked, items: list[Any]) -> tuple[int, list[Any]]:
    size, page = int(asked.query.get("per_page", 30)), int(asked.query.get("page", 1))
    return 200, items[(page - 1) * size : page * size]


def _pulls(forge: Forge, _: User, asked: Asked) -> tuple[int, Any]:
    head = asked.query.get("head")
    found = [
        it
        for it in forge.pulls
        if forge.lists_all
        or (
            it.state == asked.query.get("state", "open")
            and (head is None or head == f"{'mallory' if it.fork else OWNER}:{it.branch}")
        )
    ]
    return _list(asked, [pull_document(forge, it) for it in found])


def _open(forge: Forge, user: User, asked: Asked) -> tuple[int, Any]:
    body = asked.body
    if forge.commit_of(body["head"]) is None or forge.commit_of(body["base"]) is None:
        return 422, _invalid("field head is invalid")
    if any(it.branch == body["head"] and it.state == "open" and not it.fork for it in forge.pulls):
        return 422, _invalid(f"A pull request already exists for {OWNER}:{body['head']}.")
    number = len(forge.pulls) + 1
    made = Pull(number, body["head"], body["base"], body["title"], body["body"], user)
    forge.pulls.append(made)
    forge.refresh(made)
    return 201, pull_document(forge, made)


def _invalid(message: str) -> dict[str, Any]:
    error = {"resource": "PullRequest", "code": "custom", "message": message}
    return {"message": "Validation Failed", "errors": [error], "status": "422"}


def _pull(forge: Forge, _: User, asked: Asked, number: int) -> tuple[int, Any]:
    pull = next((it for it in forge.pulls if it.number == number), None)
    if pull is None:
        return 404, NOT_FOUND
    for key in ("title", "body", "base") if asked.method == "PATCH" else ():
        setattr(pull, key, asked.body.get(key, getattr(pull, key)))
    return 200, pull_document(forge, pull)


def _reviews(forge: Forge, _: User, asked: Asked, number: int) -> tuple[int, Any]:
    return _list(asked, [_review(it) for it in forge.pull(number).reviews])


def _brought(forge: Forge, _: User, asked: Asked, sha: str) -> tuple[int, Any]:
    """The pull requests of a commit: merged ones by their merge, others by their branch."""
    found = [it for it in forge.pulls if sha in (it.brought, forge.commit_of(it.branch))]
    return _list(asked, [pull_document(forge, it) for it in found])


def _label(forge: Forge, _: User, asked: Asked, number: int) -> tuple[int, Any]:
    pull = forge.pull(number)
    pull.labels += [it for it in asked.body["labels"] if it not in pull.labels]
    return 200, [{**example("label"), "name": name} for name in pull.labels]


def _comments(forge: Forge, user: User, asked: Asked, number: int) -> tuple[int, Any]:
    pull = next((it for it in forge.pulls if it.number == number), None)
    if pull is None:
        return 404, NOT_FOUND
    if asked.method == "GET":
        return _list(asked, [_comment(number, it) for it in pull.comments])
    if len(asked.body["body"]) > 65536:
        return 422, _invalid("body is too long (maximum is 65536 characters)")
    pull.comments.append(Note(forge.tick(), user, asked.body["body"]))
    return 201, _comment(number, pull.comments[-1])


def _edit(forge: Forge, _: User, asked: Asked, id: int) -> tuple[int, Any]:
    for pull in forge.pulls:
        for note in pull.comments:
            if note.id == id:
                note.body = asked.body["body"]
                return 200, _comment(pull.number, note)
    return 404, NOT_FOUND


def _status(forge: Forge, _: User, asked: Asked, sha: str) -> tuple[int, Any]:
    if len(asked.body.get("description", "")) > 140:
        return 422, _invalid("description is too long (maximum is 140 characters)")
    forge.statuses.append({"sha": sha, **asked.body})
    return 201, {**example("status"), **asked.body}


def _permission(forge: Forge, _: User, __: Asked, login: str) -> tuple[int, Any]:
    if login not in forge.permissions:
        return 404, NOT_FOUND
    shown, role = example("permission"), forge.permissions[login]
    shown["user"]["role_name"] = role  # which the example lacks
    return 200, {**shown, "permission": role, "role_name": role}


def _dispatch(forge: Forge, _: User, asked: Asked, workflow: str) -> tuple[int, Any]:
    forge.dispatched.append({"workflow": workflow, **asked.body})
    return 204, None


def _again(forge: Forge, _: User, __: Asked, run: int) -> tuple[int, Any]:
    forge.again.append(run)
    return 201, {}


def _user(user: User) -> dict[str, Any]:
    return {**example("comment")["user"], "login": user.login, "type": user.kind}


def pull_document(forge: Forge, pull: Pull) -> dict[str, Any]:
    """A pull request as GitHub tells of it."""
    owner = "mallory" if pull.fork else OWNER
    shown: dict[str, Any] = example("pull")
    base = forge.commit_of(pull.base) or "0" * 40
    for side, name, ref, commit in (
        ("head", owner, pull.branch, forge.head(pull)),
        ("base", OWNER, pull.base, base),
    ):
        shown[side]["ref"], shown[side]["sha"] = ref, commit
        shown[side]["repo"]["full_name"] = f"{name}/{NAME}"
    shown |= {
        "number": pull.number,
        "title": pull.title,
        "body": pull.body,
        "state": pull.state,
        "merged": pull.merged,
        "user": _user(pull.author),
        "requested_teams": [],  # those of the example lack what GitHub's own schema asks for
        "html_url": f"{forge.url}/{OWNER}/{NAME}/pull/{pull.number}",
    }
    return shown


def _review(it: Said) -> dict[str, Any]:
    user = _user(User(it.login, it.kind))
    return {**example("review"), "user": user, "state": it.state, "commit_id": it.commit}


def _comment(number: int, note: Note) -> dict[str, Any]:
    url = f"https://github.example/{OWNER}/{NAME}/pull/{number}#issuecomment-{note.id}"
    told = {"id": note.id, "body": note.body, "html_url": url, "user": _user(note.author)}
    return {**example("comment"), **told}


_ROUTES = {
    "GET /pulls": _pulls,
    "POST /pulls": _open,
    r"(?:GET|PATCH) /pulls/(\d+)": _pull,
    r"GET /pulls/(\d+)/reviews": _reviews,
    r"GET /commits/([0-9a-f]{40})/pulls": _brought,
    r"POST /issues/(\d+)/labels": _label,
    r"(?:GET|POST) /issues/(\d+)/comments": _comments,
    r"PATCH /issues/comments/(\d+)": _edit,
    r"POST /statuses/([0-9a-f]{40})": _status,
    r"GET /collaborators/([^/]+)/permission": _permission,
    r"POST /actions/workflows/([^/]+)/dispatches": _dispatch,
    r"POST /actions/runs/(\d+)/rerun": _again,
}
