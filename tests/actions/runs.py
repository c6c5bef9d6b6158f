"""Runs of workflows: jobs, those of the workflows that they call, and what has become of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.actions.errors import InvalidError
from tests.actions.events import Event
from tests.actions.expressions import Scope
from tests.actions.grants import Permissions
from tests.actions.steps import CANCELLED, FAILURE, SKIPPED, SUCCESS
from tests.actions.values import Value, from_json, text
from tests.actions.workflow import Job, Workflow


@dataclass(eq=False)
class JobRun:
    """A job of a run; of a matrix there are several."""

    flow: Flow
    job: Job
    matrix: Mapping[str, Value] | None
    index: int = 0
    group: str | None = None
    calls: Flow | None = None
    result: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    log: str = ""
    summary: str = ""
    annotations: list[tuple[str, str]] = field(default_factory=list)
    environment: str | None = None

    @property
    def path(self) -> str:
        """Its name in the run, such as `deploy / plan`."""
        above = f"{self.flow.above.path} / " if self.flow.above else ""
        values = ", ".join(map(text, self.matrix.values())) if self.matrix else ""
        return f"{above}{self.job.id}{f' ({values})' if values else ''}"


@dataclass(eq=False)
class Flow:
    """A workflow that is run, or that a job calls; `most` is what its tokens may do at most."""

    run: Run
    workflow: Workflow
    inputs: Mapping[str, Value]
    secrets: Mapping[str, str]
    most: Permissions | None
    above: JobRun | None = None
    jobs: dict[str, list[JobRun]] = field(default_factory=dict)

    def waiting(self) -> Iterator[Job]:
        """The jobs that can be looked at now: nothing that they need is still to come."""
        for job in self.workflow.jobs.values():
            if job.id not in self.jobs and all(map(self.is_done, job.needs)):
                yield job

    def is_done(self, name: str) -> bool:
        """Whether a job, or all that a matrix makes of it, has ended."""
        return name in self.jobs and all(it.result is not None for it in self.jobs[name])

    @property
    def ended(self) -> bool:
        """Whether all jobs have ended."""
        return all(map(self.is_done, self.workflow.jobs))

    def result(self, name: str) -> str:
        """What a job came to."""
        return worst(it.result or "" for it in self.jobs[name])

    @property
    def results(self) -> str:
        """What all of them came to."""
        return worst(map(self.result, self.workflow.jobs))

    def needs(self, job: Job) -> dict[str, Value]:
        """The context `needs`: results and outputs of what a job names."""
        found: dict[str, Value] = {}
        for name in job.needs:
            outputs: dict[str, str] = {}
            for one in self.jobs[name]:
                outputs |= {key: value for key, value in one.outputs.items() if value}
            found[name] = {"result": self.result(name), "outputs": outputs}
        return found

    def ancestors(self, job: Job) -> set[str]:
        """All that a job needs, and what that needs."""
        found = set(job.needs)
        for name in job.needs:
            found |= self.ancestors(self.workflow.jobs[name])
        return found

    def scope(self, job: Job, contexts: Mapping[str, Value]) -> Scope:
        """For a job's `if`: its status is that of all that comes before it.

        GitHub does not tell whether what waited for a job that lost its place counts as cancelled;
        here it does, which gives the least.
        """
        before = {self.result(name) for name in self.ancestors(job)}
        cancelled = self.run.cancelled or CANCELLED in before
        status = {
            "success": lambda: before <= {SUCCESS} and not cancelled,
            "failure": lambda: FAILURE in before,
            "cancelled": lambda: cancelled,
            "always": lambda: True,
        }
        return Scope({**contexts, "needs": self.needs(job)}, status)


@dataclass(eq=False)
class Run:
    """What an event has started."""

    number: int
    event: Event
    workflow: Workflow
    name: str = ""
    group: str | None = None
    refused: str = ""  # why GitHub starts none of it
    cancelled: bool = False
    top: Flow = field(init=False)
    flows: list[Flow] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to come."""
        return bool(self.refused) or self.top.ended

    @property
    def result(self) -> str:
        """What came of it."""
        return FAILURE if self.refused else CANCELLED if self.cancelled else self.top.results

    @property
    def jobs(self) -> dict[str, JobRun]:
        """All jobs, by their names in the run."""
        return {it.path: it for flow in self.flows for runs in flow.jobs.values() for it in runs}

    @property
    def results(self) -> dict[str, str | None]:
        """What each job came to."""
        return {path: job.result for path, job in self.jobs.items()}

    @property
    def log(self) -> str:
        """All that its jobs have said."""
        return "\n".join(f"== {path}\n{job.log}" for path, job in self.jobs.items())


def worst(results: Iterator[str]) -> str:
    """What several results come to together."""
    found = set(results)
    for one in (FAILURE, CANCELLED, SUCCESS):
        if one in found:
            return one
    return SKIPPED


def matrix_of(told: Any) -> list[dict[str, Value] | None]:
    """What a matrix makes of a job: each value of each key with each of the others."""
    told = from_json(told)
    if told is None:
        return [None]
    if not isinstance(told, dict):
        raise InvalidError("a matrix is no mapping")
    included = told.get("include", [])
    axes = {key: value for key, value in told.items() if key != "include"}
    if "exclude" in told or (axes and included):
        raise InvalidError("a matrix with exclude, or with include and more, is not known")
    if included:
        return list(included)
    for key, values in axes.items():
        if not isinstance(values, list) or not values:
            raise InvalidError(f"the matrix has no values for {key}")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def inputs_of(told: Mapping[str, Any], given: Mapping[str, Any], where: str) -> dict[str, Value]:
    """The inputs of a workflow, of the kinds that it declares. InvalidError for any other."""
    declared: Mapping[str, Any] = told.get("inputs") or {}
    if unknown := given.keys() - declared.keys():
        raise InvalidError(f"{where}: no input {', '.join(unknown)}")
    found: dict[str, Value] = {}
    for name, one in declared.items():
        value = given.get(name, (one or {}).get("default"))
        if value is None and (one or {}).get("required"):
            raise InvalidError(f"{where}: the input {name} is missing")
        found[name] = _input(name, one or {}, value)
    return found


def _input(name: str, told: Mapping[str, Any], value: Any) -> Value:
    kind = told.get("type", "string")
    if kind == "boolean":
        if value in (None, True, False, "true", "false"):
            return value in (True, "true")
    elif kind == "number":
        return float(value or 0)
    elif kind == "choice" and value not in (None, *told["options"]):
        pass
    elif value is None or isinstance(value, str):
        return value or ""
    raise InvalidError(f"the input {name} is no {kind}: {value!r}")
