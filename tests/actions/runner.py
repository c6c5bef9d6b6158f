"""The runner: events start runs, whose jobs are done one after the other until none is left."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.actions import contexts, grants, identity, programs, steps, texts, uses, workflow
from tests.actions.cloud import Cloud
from tests.actions.errors import InvalidError, UnsupportedError
from tests.actions.events import Event, starts
from tests.actions.expressions import Scope
from tests.actions.groups import Groups
from tests.actions.hub import MAIN, Hub
from tests.actions.patterns import matches
from tests.actions.runs import Flow, JobRun, Run, inputs_of, matrix_of
from tests.actions.steps import CANCELLED, FAILURE, SKIPPED
from tests.actions.values import Value
from tests.actions.work import Machine, Work
from tests.actions.workflow import Job, Workflow
from tests.conftest import run_git
from tests.forges import OWNER

FOLDER = ".github/workflows"


@dataclass
class Environment:
    """Where something is deployed: who is asked before a job may go there, and its secrets.

    With patterns of branches no other branch may deploy, and no tag but those of `tags`; without
    them everything may, as in an environment that GitHub has made because a job named it.
    """

    approves: Callable[[JobRun], bool] = lambda _: True
    secrets: Mapping[str, str] = field(default_factory=dict)
    branches: tuple[str, ...] | None = None
    tags: tuple[str, ...] = ()

    def admits(self, ref: str) -> bool:
        """Whether what a ref has may deploy here; a pull request's is neither branch nor tag."""
        if self.branches is None:
            return True
        kind, name = ref.split("/", 2)[1:]
        patterns = {"heads": self.branches, "tags": self.tags}.get(kind, ())
        return matches(patterns, name)


class Runner:
    """Runs what a hub's events start. Jobs that could run at once are taken in a random order."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub = hub
        self.folder = folder
        self.runs: list[Run] = []
        self.secrets: dict[str, str] = {}
        self.variables: dict[str, str] = {}
        self.environments: dict[str, Environment] = {}
        self.own_machines: set[str] = set()  # labels of machines that keep what is on them
        self.cloud: Cloud | None = None  # that jobs log in to
        self._random = random.Random(0)
        self._run_groups: Groups[Run] = Groups()
        self._job_groups: Groups[JobRun] = Groups()
        self._tools = programs.install(folder / "programs", hub)

    # -- what a test asks for --------------------------------------------------------------

    def settle(self) -> list[Run]:
        """Do all that there is to be done; the runs that came of it, the first one first."""
        known = len(self.runs)
        while True:
            for event in self.hub.take():
                self._start(event)
            if not self._advance():
                return self.runs[known:]

    def shuffle(self, seed: int) -> None:
        """Take jobs that could run at once in another order."""
        self._random.seed(seed)

    def scheduled(self) -> list[Run]:
        """The same, once every timetable of the main branch has come round."""
        commit = self.hub.commit_of("main")
        assert commit is not None
        for found in self._workflows(commit):
            for cron in found.on.get("schedule", ()):
                payload = {"schedule": cron}
                self.hub.events.append(Event("schedule", MAIN, commit, OWNER, payload))
        return self.settle()

    def _contexts(self, of: Flow | JobRun) -> dict[str, Value]:
        if isinstance(of, JobRun):
            return contexts.of_job(self.hub, self.variables, of)
        return contexts.of_flow(self.hub, self.variables, of)

    # -- from events to runs ---------------------------------------------------------------

    def _workflows(self, commit: str) -> list[Workflow]:
        listed = run_git(self.hub.bare, "ls-tree", "--name-only", commit, f"{FOLDER}/")
        paths = [path for path in listed.splitlines() if path.endswith((".yml", ".yaml"))]
        return [self._read(commit, path) for path in paths]

    def _read(self, commit: str, path: str) -> Workflow:
        found = workflow.read(path, run_git(self.hub.bare, "show", f"{commit}:{path}").encode())
        for job in found.jobs.values():
            for step in job.steps:
                uses.check(step)
        return found

    def _start(self, event: Event) -> None:
        for found in self._workflows(event.sha):
            if starts(found, event):
                self._begin(Run(len(self.runs) + 1, event, found))

    def _begin(self, run: Run) -> None:
        self.runs.append(run)
        file = run.workflow.path.rpartition("/")[2]
        self.hub.started[str(run.number)] = replace(run.event, workflow=file)
        handed = {} if run.event.from_fork else dict(self.secrets)
        try:
            told = run.workflow.on.get("workflow_dispatch", {})
            by_hand = run.event.name == "workflow_dispatch"
            inputs = inputs_of(told, run.event.inputs, run.workflow.path) if by_hand else {}
            run.top = Flow(run, run.workflow, inputs, handed, None)
            run.flows.append(run.top)
            self._check(run.top, run.workflow, None)
        except InvalidError as error:
            run.refused = str(error)
            return
        scope = Scope(self._contexts(run.top), {})
        run.name = texts.as_text(run.workflow.run_name or run.workflow.name, scope)
        if run.workflow.concurrency is not None:
            run.group = texts.as_text(run.workflow.concurrency.name, scope)
            self._enter(run, bool(texts.expand(run.workflow.concurrency.cancels, scope)))

    def _check(self, flow: Flow, told: Workflow, most: grants.Permissions | None) -> None:
        """What is called is there, gets what it asks for, and wants no more than it may have."""
        for job in told.jobs.values():
            wanted = grants.of_job(told, job, most)
            if most is not None and (more := grants.exceeding(wanted, most)):
                raise InvalidError(f"{told.path}: {job.id} wants more of {', '.join(more)}")
            if job.uses is not None:
                called = self._called(flow.run, job)
                given = dict.fromkeys(job.given, "")
                inputs_of(_untyped(called.on["workflow_call"]), given, called.path)
                self._check(flow, called, wanted)

    def _called(self, run: Run, job: Job) -> Workflow:
        assert job.uses is not None
        if not job.uses.startswith(f"./{FOLDER}/"):
            raise UnsupportedError(f"the workflow {job.uses}")
        path = job.uses.removeprefix("./")
        if path not in run_git(self.hub.bare, "ls-tree", "-r", "--name-only", run.event.sha):
            raise InvalidError(f"there is no workflow {path}")
        found = self._read(run.event.sha, path)
        if "workflow_call" not in found.on:
            raise InvalidError(f"{path} is not one that is called")
        return found

    def _enter(self, run: Run, cancels: bool) -> None:
        assert run.group is not None
        holder = self._run_groups.holder(run.group)
        lost = self._run_groups.enter(run.group, run)
        for other in (lost, holder if cancels else None):
            if other is not None:
                self._cancel(other)

    def _cancel(self, run: Run) -> None:
        run.cancelled = True
        for job in run.jobs.values():
            if job.result is None and job.calls is None:
                self._finish(job, CANCELLED)
        self._leave(run)

    def _leave(self, run: Run) -> None:
        if run.group is not None:
            self._run_groups.leave(run.group, run)

    # -- jobs ------------------------------------------------------------------------------

    def _advance(self) -> bool:
        """Do the next thing; False when there is none."""
        live, looked = [run for run in self.runs if not run.ended], False
        for run in live:
            if run.group is None or self._run_groups.holder(run.group) is run or run.cancelled:
                for flow in list(run.flows):
                    for job in list(flow.waiting()):
                        self._look(flow, job)
                        looked = True  # at one that is skipped, so that others need not wait for it
        ready = [
            job
            for run in live
            for job in run.jobs.values()
            if job.result is None and job.calls is None and self._may_run(job)
        ]
        if ready:
            self._do(self._random.choice(ready))
            return True
        assert looked or all(run.ended for run in self.runs), "a group waits for itself"
        return looked

    def _may_run(self, job: JobRun) -> bool:
        return job.group is None or self._job_groups.holder(job.group) is job

    def _look(self, flow: Flow, job: Job) -> None:
        """Begin with a job, or with each of its matrix; or leave it out."""
        scope = flow.scope(job, self._contexts(flow))
        flow.jobs[job.id] = [JobRun(flow, job, None)]
        try:
            if not texts.holds(job.condition, scope):
                self._finish(flow.jobs[job.id][0], SKIPPED)
                return
            found = matrix_of(texts.expand(job.matrix, scope))
            made = [JobRun(flow, job, it, index) for index, it in enumerate(found)]
            flow.jobs[job.id] = made
            for one in made:
                self._queue(one)
        except InvalidError as error:
            for one in flow.jobs[job.id]:
                one.log += f"error: {error}\n"
                self._finish(one, FAILURE)

    def _queue(self, one: JobRun) -> None:
        told = one.job.concurrency
        if told is None:
            return
        if told.cancels not in (None, False):
            raise UnsupportedError("a job that cancels another one")
        one.group = texts.as_text(told.name, Scope(self._contexts(one), {}))
        lost = self._job_groups.enter(one.group, one)
        if lost is not None:
            self._finish(lost, CANCELLED)

    def _finish(self, one: JobRun, result: str) -> None:
        one.result = result
        if one.group is not None:
            self._job_groups.leave(one.group, one)
        if result == FAILURE and one.job.fails_fast:
            for other in one.flow.jobs[one.job.id]:
                if other.result is None and other.calls is None:
                    self._finish(other, CANCELLED)
        flow = one.flow
        if not flow.ended:
            return
        if flow.above is None:
            self._leave(flow.run)
        elif flow.above.result is None:
            told = flow.workflow.on["workflow_call"].get("outputs") or {}
            jobs = {
                name: {"result": flow.result(name), "outputs": dict(flow.jobs[name][0].outputs)}
                for name in flow.jobs
            }
            scope = Scope({**self._contexts(flow), "jobs": jobs}, {})
            flow.above.outputs = {
                name: texts.as_text(it["value"], scope) for name, it in told.items()
            }
            self._finish(flow.above, flow.results)

    # -- doing a job -----------------------------------------------------------------------

    def _do(self, one: JobRun) -> None:
        try:
            if one.job.uses is not None:
                self._call(one)
            else:
                self._work(one)
        except InvalidError as error:
            one.log += f"error: {error}\n"
            self._finish(one, FAILURE)

    def _call(self, one: JobRun) -> None:
        flow, scope = one.flow, Scope(self._contexts(one), {})
        called = self._called(flow.run, one.job)
        given = texts.expand(dict(one.job.given), scope)
        inputs = inputs_of(called.on["workflow_call"], given, called.path)
        scope = Scope({**scope.contexts, "secrets": flow.secrets}, {})
        handed = flow.secrets
        if one.job.secrets != "inherit":
            handed = texts.expand(one.job.secrets, scope)
        most = grants.of_job(flow.workflow, one.job, flow.most)
        one.calls = Flow(flow.run, called, inputs, handed, most, above=one)
        flow.run.flows.append(one.calls)

    def _work(self, one: JobRun) -> None:
        flow, event = one.flow, one.flow.run.event
        scope = Scope(self._contexts(one), {})
        told = dict(flow.secrets)
        if one.job.environment is not None and not self._admit(one, scope, told):
            self._finish(one, FAILURE)
            return
        permissions = grants.of_job(flow.workflow, one.job, flow.most)
        if event.from_fork:
            permissions = grants.readable(permissions)
        token = f"ghs_{secrets.token_hex(16)}"  # by which also the job's processes are found
        machine = self._machine(texts.expand(one.job.runs_on, scope), token)
        named = {
            **scope.contexts,
            "secrets": {"GITHUB_TOKEN": token, **told},
            "runner": {"os": "Linux", "temp": str(machine.temp), "name": machine.name},
        }
        named["github"] = contexts.github(self.hub, flow.run, one.job.id, token, machine)
        work = Work(
            self.hub,
            machine,
            event,
            flow.workflow.path,
            one.job,
            token,
            named,
            flow.workflow.env,
            artifacts=self.folder / "artifacts" / str(flow.run.number),
            tools=self._tools,
        )
        work.cloud = self.cloud
        if grants.allows(permissions, "id-token", "write"):
            called, caller = flow.workflow.path, flow.run.workflow.path
            told = identity.claims(named["github"], caller, called, one.environment)
            work.identity = self.hub.identify(told)
        self.hub.grant(token, permissions)
        try:
            result, one.outputs = steps.perform(work)
        finally:
            self.hub.revoke(token)
            self.hub.forget(work.identity)
            one.log += "\n".join(work.log)
            one.summary, one.annotations = work.summary, work.annotations
        self._finish(one, result)

    def _admit(self, one: JobRun, scope: Scope, told: dict[str, str]) -> bool:
        """Whether a job may go where it deploys, whose secrets it has only then."""
        named = texts.expand(one.job.environment, scope)
        one.environment = named["name"] if isinstance(named, dict) else named
        assert one.environment, "a job names an environment that has no name"
        environment = self.environments.get(one.environment, Environment())
        if not environment.admits(one.flow.run.event.ref) or not environment.approves(one):
            one.log += f"error: {one.environment} was not approved\n"
            return False
        told |= environment.secrets
        return True

    def _machine(self, told: Any, token: str) -> Machine:
        labels = told if isinstance(told, list) else [told]
        for label in labels:
            if label in self.own_machines:
                return Machine(self.folder / "machines" / label, label, is_fresh=False)
        if labels != ["ubuntu-latest"]:
            raise UnsupportedError(f"a machine with {labels}")
        name = f"hosted-{token[4:]}"
        return Machine(self.folder / "machines" / name, name, is_fresh=True)


def _untyped(told: Mapping[str, Any]) -> dict[str, Any]:
    """A declaration of which the names count, where the values are not known yet."""
    declared = {
        name: {"required": (it or {}).get("required")}
        for name, it in (told.get("inputs") or {}).items()
    }
    return {"inputs": declared}
