"""A workflow as it is written: read once, and refused for any key that is not known here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.actions import texts
from tests.actions.errors import InvalidError, UnsupportedError

_EVENTS: Mapping[str, frozenset[str]] = {
    "push": frozenset({"branches", "tags", "paths"}),
    "pull_request": frozenset({"types", "branches"}),
    "pull_request_review": frozenset({"types"}),
    "merge_group": frozenset(),
    "repository_dispatch": frozenset({"types"}),
    "workflow_dispatch": frozenset({"inputs"}),
    "workflow_call": frozenset({"inputs", "outputs", "secrets"}),
}
_INPUT = frozenset({"type", "required", "default", "description", "options"})
_TYPES = ("string", "boolean", "number", "choice")
SCOPES = frozenset(
    "actions attestations checks contents deployments id-token issues packages pages pull-requests"
    " security-events statuses".split()
)
_LEVELS = ("none", "read", "write")


@dataclass(frozen=True, slots=True)
class Group:
    """Who may not run at once."""

    name: str
    cancels: Any = False


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a job."""

    id: str | None
    name: str | None
    condition: str | None
    uses: str | None
    given: Mapping[str, Any]
    run: str | None
    env: Mapping[str, Any]
    shell: str | None
    folder: str | None
    may_fail: bool


@dataclass(frozen=True, slots=True)
class Job:
    """A job; with `uses` it calls another workflow and has no steps."""

    id: str
    name: str | None
    needs: tuple[str, ...]
    condition: str | None
    permissions: Mapping[str, str] | None
    runs_on: Any
    environment: Any
    concurrency: Group | None
    matrix: Any
    fails_fast: bool
    outputs: Mapping[str, Any]
    env: Mapping[str, Any]
    steps: tuple[Step, ...]
    uses: str | None
    given: Mapping[str, Any]
    secrets: Any


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow's file."""

    path: str
    name: str
    run_name: str | None
    on: Mapping[str, Any]
    permissions: Mapping[str, str] | None
    env: Mapping[str, Any]
    concurrency: Group | None
    jobs: Mapping[str, Job] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Action:
    """An action of the project that is made of steps; its inputs with their defaults."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, Any]
    steps: tuple[Step, ...]


class _Loader(yaml.SafeLoader):
    """YAML as GitHub reads it: `on` is a word, and a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise InvalidError(f"a key stands twice: {keys}")
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, it) for tag, it in found if not tag.endswith(("bool", "timestamp"))]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false"), list("tf"))


def read(path: str, data: bytes) -> Workflow:
    """A workflow. InvalidError where GitHub refuses it, UnsupportedError for what is not known."""
    try:
        document = _mapping(yaml.load(data, _Loader), path)
    except yaml.YAMLError as error:
        raise InvalidError(f"{path}: {error}") from error
    keys = ("name", "run-name", "on", "permissions", "env", "concurrency", "jobs")
    _only(document, keys, path)
    made = Workflow(
        path=path,
        name=document.get("name", path),
        run_name=_checked(document.get("run-name"), "run-name"),
        on=_events(document.get("on")),
        permissions=_permissions(document.get("permissions")),
        env=_checked(document.get("env", {}), "env"),
        concurrency=_group(document.get("concurrency"), "concurrency"),
        jobs={
            key: _job(key, _mapping(job, key))
            for key, job in _mapping(document.get("jobs"), "jobs").items()
        },
    )
    _check_needs(made)
    return made


LOCAL = "./.github/actions/"
LENT = ("github", "env", "runner", "job", "strategy", "matrix")  # to an action's steps


def read_action(workspace: Path, uses: str) -> Action:
    """An action of the project, as it is in a checkout; the same errors."""
    path = workspace / uses / "action.yml"
    if not path.is_file():
        raise InvalidError(f"there is no {uses}/action.yml; is the repository checked out?")
    told = _mapping(yaml.load(path.read_bytes(), _Loader), uses)
    _only(told, ("name", "description", "inputs", "outputs", "runs"), uses)
    runs = _only(told.get("runs"), ("using", "steps"), f"{uses}: runs")
    if runs.get("using") != "composite":
        raise UnsupportedError(f"{uses}: {runs.get('using')}")
    inputs: dict[str, str] = {}
    for name, one in _mapping(told.get("inputs", {}), uses).items():
        inputs[name] = _only(one or {}, ("description", "default"), name).get("default", "")
    outputs = {
        name: _only(one, ("description", "value"), name)["value"]
        for name, one in _mapping(told.get("outputs", {}), uses).items()
    }
    texts.check(outputs, "action")
    return Action(inputs, outputs, tuple(_step(it, "action") for it in runs["steps"]))


# -- what starts it ------------------------------------------------------------------------


def _events(told: Any) -> Mapping[str, Any]:
    if isinstance(told, str):
        told = {told: None}
    elif isinstance(told, list):
        told = dict.fromkeys(told)
    found: dict[str, Any] = {}
    for name, event in _mapping(told, "on").items():
        if name == "schedule":
            found[name] = tuple(_only(it, ("cron",), name)["cron"] for it in event)
            continue
        if name not in _EVENTS:
            raise UnsupportedError(f"on {name}")
        found[name] = _only(event or {}, _EVENTS[name], name)
        for key, value in _mapping(found[name].get("inputs") or {}, "inputs").items():
            _only(value or {}, _INPUT, key)
            if (value or {}).get("type", "string") not in _TYPES:
                raise UnsupportedError(f"an input of type {value['type']}")
    for output in (found.get("workflow_call", {}).get("outputs") or {}).values():
        texts.check(_only(output, ("value", "description"), "outputs"), "call.outputs")
    for secret in (found.get("workflow_call", {}).get("secrets") or {}).values():
        _only(secret or {}, ("required", "description"), "secrets")
    return found


# -- jobs and steps ------------------------------------------------------------------------

_JOB = ("name", "needs", "if", "permissions", "concurrency", "strategy")
_CALLS = (*_JOB, "uses", "with", "secrets")
_RUNS = (*_JOB, "runs-on", "environment", "outputs", "env", "steps", "timeout-minutes")


def _job(key: str, told: Mapping[str, Any]) -> Job:
    _only(told, _CALLS if "uses" in told else _RUNS, key)
    if "uses" not in told and not {"runs-on", "steps"} <= told.keys():
        raise InvalidError(f"{key} has no steps, or nothing to run on")
    strategy = _only(told.get("strategy", {}), ("matrix", "fail-fast"), f"{key}.strategy")
    needs = told.get("needs", ())
    _checked(told.get("timeout-minutes"), "job.timeout-minutes")
    return Job(
        id=key,
        name=_checked(told.get("name"), "job.name"),
        needs=(needs,) if isinstance(needs, str) else tuple(needs),
        condition=_condition(told.get("if"), "job.if"),
        permissions=_permissions(told.get("permissions")),
        runs_on=_checked(told.get("runs-on"), "job.runs-on"),
        environment=_checked(told.get("environment"), "job.environment"),
        concurrency=_group(told.get("concurrency"), "job.concurrency"),
        matrix=_checked(strategy.get("matrix"), "job.strategy"),
        fails_fast=strategy.get("fail-fast", True),
        outputs=_checked(told.get("outputs", {}), "job.outputs"),
        env=_checked(told.get("env", {}), "job.env"),
        steps=tuple(map(_step, told.get("steps", ()))),
        uses=told.get("uses"),
        given=_checked(told.get("with", {}), "job.with"),
        secrets=_checked(told.get("secrets", {}), "job.secrets"),
    )


_STEP = (
    "id", "name", "if", "uses", "with", "run", "env", "shell", "working-directory",
    "continue-on-error",
)  # fmt: skip


def _step(told: Mapping[str, Any], place: str = "step") -> Step:
    _only(told, _STEP, "a step")
    if ("uses" in told) == ("run" in told):
        raise InvalidError(f"a step has either uses or run: {told}")
    if place == "action" and "run" in told and "shell" not in told:
        raise InvalidError(f"a step of an action names its shell: {told}")
    return Step(
        id=told.get("id"),
        name=_checked(told.get("name"), place),
        condition=_condition(told.get("if"), f"{place}.if"),
        uses=told.get("uses"),
        given=_checked(told.get("with", {}), place),
        run=_checked(told.get("run"), place),
        env=_checked(told.get("env", {}), place),
        shell=told.get("shell"),
        folder=_checked(told.get("working-directory"), place),
        may_fail=bool(told.get("continue-on-error", False)),
    )


def _check_needs(workflow: Workflow) -> None:
    for job in workflow.jobs.values():
        for name in job.needs:
            if name not in workflow.jobs:
                raise InvalidError(f"{job.id} needs {name}, which is no job")


# -- parts ---------------------------------------------------------------------------------


def _group(told: Any, place: str) -> Group | None:
    if told is None:
        return None
    told = {"group": told} if isinstance(told, str) else told
    _only(told, ("group", "cancel-in-progress"), "concurrency")
    return Group(_checked(told["group"], place), _checked(told.get("cancel-in-progress"), place))


def _permissions(told: Any) -> Mapping[str, str] | None:
    if told is None:
        return None
    for scope, level in _mapping(told, "permissions").items():
        if scope not in SCOPES or level not in _LEVELS:
            raise InvalidError(f"the permission {scope}: {level}")
    return dict(told)


def _condition(told: Any, place: str) -> str | None:
    if told is None:
        return None
    source = str(told).lower() if isinstance(told, bool) else str(told)
    texts.check_condition(source, place)
    return source


def _checked(told: Any, place: str) -> Any:
    texts.check(told, place)
    return told


def _mapping(told: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(told, dict):
        raise InvalidError(f"{where} is no mapping")
    return told


def _only(told: Any, keys: Any, where: str) -> Mapping[str, Any]:
    found = _mapping(told, where)
    if unknown := found.keys() - set(keys):
        raise UnsupportedError(f"{where}: {', '.join(map(str, unknown))}")
    return found
