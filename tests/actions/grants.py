"""What the token of a job may do: scopes of git and of the API, as GitHub documents them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.actions.errors import UnsupportedError
from tests.actions.workflow import Job, Workflow

Permissions = Mapping[str, str]

_RANK = {"none": 0, "read": 1, "write": 2}
DEFAULT: Permissions = {"contents": "read", "packages": "read"}  # of a repository as it is made
_RULES = (
    (r"GET /pulls\b.*", ("pull-requests",), "read"),
    (r"(POST|PATCH) /pulls\b.*", ("pull-requests",), "write"),
    (r"GET /issues/\d+/comments", ("issues", "pull-requests"), "read"),
    (r"POST /issues/\d+/(comments|labels)", ("issues", "pull-requests"), "write"),
    (r"PATCH /issues/comments/\d+", ("issues", "pull-requests"), "write"),
    (r"GET /commits/\w+/pulls", ("pull-requests",), "read"),
    (r"POST /statuses/\w+", ("statuses",), "write"),
    (r"GET /collaborators/[^/]+/permission", (), "read"),  # for which every token has the right
    (r"POST /actions/workflows/[^/]+/dispatches", ("actions",), "write"),
    (r"POST /actions/runs/\d+/rerun", ("actions",), "write"),
    (r"GET /user", (), "read"),
)


def allows(permissions: Permissions, scope: str, level: str) -> bool:
    """Whether permissions have a level, or more, of a scope."""
    return _RANK[permissions.get(scope, "none")] >= _RANK[level]


def answers(permissions: Permissions, request: str) -> bool:
    """Whether the API does what is asked for: `METHOD /path`, the path from the repository."""
    for pattern, scopes, level in _RULES:
        if re.fullmatch(pattern, request):
            return not scopes or any(allows(permissions, scope, level) for scope in scopes)
    raise UnsupportedError(f"the permission for {request}")


def of_job(workflow: Workflow, job: Job, most: Permissions | None) -> Permissions:
    """What a job's token may do: what the job says, else the workflow, and `most` at most."""
    told = job.permissions if job.permissions is not None else workflow.permissions
    if told is None:
        return DEFAULT if most is None else most
    return told


def exceeding(wanted: Permissions, most: Permissions) -> list[str]:
    """The scopes of which more is wanted than there may be."""
    return [scope for scope, level in wanted.items() if not allows(most, scope, level)]


def readable(permissions: Permissions) -> Permissions:
    """What is left of permissions for a fork's pull request."""
    return {
        scope: "read" for scope, level in permissions.items() if level != "none" and scope != _OIDC
    }


_OIDC = "id-token"
