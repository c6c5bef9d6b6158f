"""The actions that are known, each by its commit, with the inputs that it is known to take."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.actions import attestations, grants, logins
from tests.actions.checkout import INPUTS as CHECKOUT_INPUTS
from tests.actions.checkout import checkout
from tests.actions.errors import InvalidError, UnsupportedError
from tests.actions.hub import APP_SCOPES, FULL_NAME
from tests.actions.work import Work
from tests.actions.workflow import LOCAL, Step


class StepError(Exception):
    """An action has failed."""


def check(step: Step) -> None:
    """UnsupportedError for an action, a version of it, or an input that is not known."""
    if step.uses is None or step.uses.startswith(LOCAL):
        return  # one of the project is read when it is used, from the checkout
    name, _, commit = step.uses.partition("@")
    if name not in _ACTIONS or commit != _ACTIONS[name].commit:
        raise UnsupportedError(f"the action {step.uses}")
    if unknown := step.given.keys() - _ACTIONS[name].inputs:
        raise UnsupportedError(f"{name} with {', '.join(unknown)}")


def use(work: Work, step: Step, given: Mapping[str, str]) -> dict[str, str]:
    """Do what an action does; its outputs. StepError when it fails."""
    assert step.uses is not None
    try:
        return _ACTIONS[step.uses.partition("@")[0]].does(work, given) or {}
    except (InvalidError, subprocess.CalledProcessError) as error:
        raise StepError(str(error)) from error


def _setup_uv(work: Work, _: Mapping[str, str]) -> None:
    """Only from here on there is a `uvx`."""
    work.paths.insert(0, str(work.tools))


def _upload(work: Work, given: Mapping[str, str]) -> None:
    target = work.artifacts / given.get("name", "artifact")
    if target.exists():
        raise StepError(f"there is an artifact {target.name} already")
    found = [it for it in map(work.machine.workspace.joinpath, _paths(given)) if it.exists()]
    if not found:
        missing = given.get("if-no-files-found", "warn")
        if missing not in ("warn", "error", "ignore"):
            raise InvalidError(f"if-no-files-found: {missing}")
        if missing == "error":
            raise StepError(f"no files were found: {given['path']}")
        return
    if len(found) == 1 and found[0].is_dir():
        shutil.copytree(found[0], target)
        return
    if len({it.parent for it in found}) > 1 or not all(it.is_file() for it in found):
        raise UnsupportedError("an artifact of several folders")
    target.mkdir(parents=True)
    for file in found:
        shutil.copy(file, target)


def _paths(given: Mapping[str, str]) -> list[str]:
    paths = [line.strip() for line in given["path"].splitlines() if line.strip()]
    if any(sign in path for path in paths for sign in "*?[]!"):
        raise UnsupportedError(f"an artifact's pattern: {paths}")
    return paths


def _download(work: Work, given: Mapping[str, str]) -> None:
    if "name" not in given:
        raise UnsupportedError("a download of all artifacts")
    source = work.artifacts / given["name"]
    if not source.is_dir():
        raise StepError(f"there is no artifact {given['name']}")
    target = work.machine.workspace / Path(given.get("path") or ".")
    shutil.copytree(source, target, dirs_exist_ok=True)


_PERMISSION = "permission-"


def _app_token(work: Work, given: Mapping[str, str]) -> dict[str, str]:
    """A token of the repository's App, with what is asked for of the App's own permissions."""
    app = work.hub.app
    if app is None or (app.client_id, app.key) != (given["client-id"], given["private-key"]):
        raise StepError("there is no such App")
    wanted = {
        name.removeprefix(_PERMISSION): level
        for name, level in given.items()
        if name.startswith(_PERMISSION)
    }
    if more := grants.exceeding(wanted, app.permissions):
        raise StepError(f"the App may not have {', '.join(more)}")
    token = f"ghs_app{work.token[4:]}"
    work.hub.grant(token, wanted, app.user)
    work.afterwards.append(lambda: work.hub.revoke(token))
    return {"token": token}


def _attest(work: Work, given: Mapping[str, str]) -> None:
    permissions = work.hub.grants[work.token]
    for scope in ("attestations", "id-token"):
        if not grants.allows(permissions, scope, "write"):
            raise StepError(f"the job may not write {scope}")
    pattern = work.machine.workspace / given["subject-path"]  # which may be an absolute one
    files = [it for it in pattern.parent.glob(pattern.name) if it.is_file()]
    if not files:
        raise StepError(f"no files were found: {given['subject-path']}")
    told = {
        "--repo": FULL_NAME,
        "--signer-workflow": f"{FULL_NAME}/{work.workflow}",
        "--source-ref": work.event.ref,
    }
    for file in files:
        attestations.attest(work.hub.attestations, file, told)


class _Action(NamedTuple):
    commit: str
    inputs: frozenset[str]
    does: Callable[[Work, Mapping[str, str]], dict[str, str] | None]


_ACTIONS = {
    "aws-actions/configure-aws-credentials": _Action(
        "ececac1a45f3b08a01d2dd070d28d111c5fe6722", logins.AWS_INPUTS, logins.aws
    ),
    "azure/login": _Action(
        "a457da9ea143d694b1b9c7c869ebb04ebe844ef5", logins.AZURE_INPUTS, logins.azure
    ),
    "google-github-actions/auth": _Action(
        "7c6bc770dae815cd3e89ee6cdf493a5fab2cc093", logins.GOOGLE_INPUTS, logins.google
    ),
    "actions/checkout": _Action(
        "3d3c42e5aac5ba805825da76410c181273ba90b1", CHECKOUT_INPUTS, checkout
    ),
    "astral-sh/setup-uv": _Action(
        "20cfd1bf945f4377ade1205e4dbc17946fc9a30d",
        frozenset({"enable-cache", "cache-dependency-glob", "python-version", "version"}),
        _setup_uv,
    ),
    "actions/attest": _Action(
        "1e69f48acb82d1966a394da916b4c1698aa569d6", frozenset({"subject-path"}), _attest
    ),
    "actions/create-github-app-token": _Action(
        "1b10c78c7865c340bc4f6099eb2f838309f1e8c3",
        frozenset({"client-id", "private-key", *(_PERMISSION + it for it in APP_SCOPES)}),
        _app_token,
    ),
    "actions/upload-artifact": _Action(
        "bbbca2ddaa5d8feaa63e36b76fdaad77386f024f",
        frozenset({"name", "path", "if-no-files-found", "retention-days"}),
        _upload,
    ),
    "actions/download-artifact": _Action(
        "3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", frozenset({"name", "path"}), _download
    ),
}
