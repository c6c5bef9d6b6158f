"""What expressions may name: of a run, and of a job."""

from __future__ import annotations

from collections.abc import Mapping

from tests.actions.hub import FULL_NAME, Hub
from tests.actions.runs import Flow, JobRun, Run
from tests.actions.values import Value, from_json
from tests.actions.work import Machine
from tests.forges import OWNER


def of_flow(hub: Hub, variables: Mapping[str, str], flow: Flow) -> dict[str, Value]:
    """What a workflow's own keys may name; a fork is told no variable."""
    return {
        "github": github(hub, flow.run),
        "inputs": dict(flow.inputs),
        "vars": {} if flow.run.event.from_fork else dict(variables),
        "secrets": dict(flow.secrets),
    }


def of_job(hub: Hub, variables: Mapping[str, str], one: JobRun) -> dict[str, Value]:
    """What the keys of a job may name, its steps aside."""
    total = len(one.flow.jobs.get(one.job.id, [one]))
    return of_flow(hub, variables, one.flow) | {
        "needs": one.flow.needs(one.job),
        "matrix": dict(one.matrix or {}),
        "strategy": {"job-index": float(one.index), "job-total": float(total)},
    }


def github(
    hub: Hub, run: Run, job: str = "", token: str = "", machine: Machine | None = None
) -> dict[str, Value]:
    """The context `github`, which a called workflow has from its caller."""
    event, pull = run.event, run.event.payload.get("pull_request")
    kind = "tag" if event.ref.startswith("refs/tags/") else "branch"
    return {
        "actor": event.actor,
        "api_url": hub.url,
        "base_ref": pull["base"]["ref"] if pull else "",
        "event": from_json(dict(event.payload)),
        "event_name": event.name,
        "head_ref": pull["head"]["ref"] if pull else "",
        "job": job,
        "ref": event.ref,
        "ref_name": event.ref.split("/", 2)[2],
        "ref_type": kind,
        "repository": FULL_NAME,
        "repository_owner": OWNER,
        "run_attempt": str(run.event.attempt),
        "run_id": str(run.number),
        "run_number": str(run.number),
        "server_url": hub.url,
        "sha": event.sha,
        "token": token,
        "workflow": run.workflow.name,
        "workspace": "" if machine is None else str(machine.workspace),
    }
