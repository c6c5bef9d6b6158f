"""The steps of a job, one after the other, as processes of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.actions import outputs, texts, workflow
from tests.actions.errors import InvalidError, UnsupportedError
from tests.actions.expressions import Scope
from tests.actions.texts import as_text
from tests.actions.uses import StepError, check, use
from tests.actions.values import Value, text, to_json
from tests.actions.work import Work
from tests.actions.workflow import Step

SUCCESS, FAILURE, SKIPPED, CANCELLED = "success", "failure", "skipped", "cancelled"
_SHELLS = {
    None: ("bash", "-e"),
    "bash": ("bash", "--noprofile", "--norc", "-eo", "pipefail"),
    "sh": ("sh", "-e"),
}
_FILES = ("OUTPUT", "ENV", "PATH", "STEP_SUMMARY")


def perform(work: Work) -> tuple[str, dict[str, str]]:
    """Run a job's steps; its result and its outputs."""
    _begin(work)
    told: dict[str, Any] = {}
    result = SUCCESS
    work.contexts |= {"steps": told, "job": {"status": result}}
    work.contexts["env"] = {}
    try:
        for env in (work.workflow_env, work.job.env):
            work.env |= _texts(env, _scope(work, result))
            work.contexts["env"] = dict(work.env)
        for step in work.job.steps:
            outcome, given = _step(work, step, result)
            conclusion = SUCCESS if outcome == FAILURE and step.may_fail else outcome
            if step.id is not None:
                told[step.id] = {"outputs": given, "outcome": outcome, "conclusion": conclusion}
            if conclusion == FAILURE:
                result = FAILURE
                work.contexts["job"] = {"status": result}
        found = _texts(work.job.outputs, _scope(work, result))
    finally:
        _end(work)
    return result, found


def _scope(work: Work, result: str) -> Scope:
    status = {
        "success": lambda: result == SUCCESS,
        "failure": lambda: result == FAILURE,
        "cancelled": lambda: False,
        "always": lambda: True,
    }
    return Scope(work.contexts, status)


def _texts(told: Mapping[str, Any], scope: Scope) -> dict[str, str]:
    return {key: as_text(value, scope) for key, value in told.items()}


def _step(work: Work, step: Step, result: str) -> tuple[str, dict[str, str]]:
    """What a step comes to, and its outputs."""
    scope = _scope(work, result)
    name = step.name or step.uses or step.run or ""
    try:
        if not texts.holds(step.condition, scope):
            work.say(f"-- skipped: {name}")
            return SKIPPED, {}
        work.say(f"-- {name}")
        if step.uses is not None and step.uses.startswith(workflow.LOCAL):
            return _composite(work, step, _texts(step.given, scope))
        if step.uses is not None:
            found = use(work, step, _texts(step.given, scope))
            work.contexts["env"] = dict(work.env)
            return SUCCESS, found
        return _run(work, step, scope)
    except (InvalidError, StepError) as error:
        work.say(f"error: {error}")
        return FAILURE, {}


def _composite(work: Work, step: Step, given: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Do the steps of an action of the project, as it is in the checkout; it has no secrets.

    The job's variables are set by them, as by steps of the job.
    """
    action = workflow.read_action(work.machine.workspace, step.uses or "")
    for one in action.steps:
        check(one)
    if unknown := given.keys() - action.inputs.keys():
        raise UnsupportedError(f"{step.uses} with {', '.join(unknown)}")
    outer = work.contexts
    told: dict[str, Any] = {}
    work.contexts = {
        **{name: outer[name] for name in workflow.LENT if name in outer},
        "inputs": {**action.inputs, **given},
        "steps": told,
    }
    result = SUCCESS
    try:
        for one in action.steps:
            outcome, outputs = _step(work, one, result)
            if one.id is not None:
                told[one.id] = {"outputs": outputs, "outcome": outcome, "conclusion": outcome}
            result = FAILURE if outcome == FAILURE else result
        return result, _texts(action.outputs, _scope(work, result))
    finally:
        work.contexts = {**outer, "env": dict(work.env)}


def _run(work: Work, step: Step, scope: Scope) -> tuple[str, dict[str, str]]:
    if step.shell not in _SHELLS:
        raise UnsupportedError(f"the shell {step.shell}")
    files = {name: work.machine.temp / f"step-{name.lower()}" for name in _FILES}
    for file in files.values():
        file.write_bytes(b"")
    script = work.machine.temp / "step.sh"
    script.write_text(as_text(step.run, scope) + "\n", "utf-8")
    env = _variables(work) | _texts(step.env, scope)
    env |= {f"GITHUB_{name}": str(file) for name, file in files.items()}
    folder = work.machine.workspace / (as_text(step.folder, scope) if step.folder else "")
    done = subprocess.run(
        (*_SHELLS[step.shell], script), cwd=folder, env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=240,
    )  # fmt: skip
    said = done.stdout.decode("utf-8", "replace")
    work.say(said)
    work.annotations += outputs.annotated(said)
    work.summary += files["STEP_SUMMARY"].read_text("utf-8")
    work.env |= outputs.pairs(files["ENV"])
    work.contexts["env"] = dict(work.env)
    work.paths[:0] = reversed(files["PATH"].read_text("utf-8").split())
    return (FAILURE if done.returncode else SUCCESS), outputs.pairs(files["OUTPUT"])


# -- the machine ---------------------------------------------------------------------------


def _begin(work: Work) -> None:
    for folder in (work.machine.workspace, work.machine.home, work.machine.temp):
        folder.mkdir(parents=True, exist_ok=True)


def _end(work: Work) -> None:
    """What was started and did not cut itself off ends with the job, and so does its machine."""
    for after in work.afterwards:
        with suppress(subprocess.CalledProcessError):
            after()
    mark, value = ("RUNNER_NAME", work.machine.name)
    if not work.machine.is_fresh:
        mark, value = ("RUNNER_TRACKING_ID", tracking(work))
    ended = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(mark) == value:
                process.kill()
                ended.append(process)
    psutil.wait_procs(ended, timeout=30)
    shutil.rmtree(work.machine.folder if work.machine.is_fresh else work.machine.temp)


def tracking(work: Work) -> str:
    """By which the processes of a job are found."""
    return f"github_{work.token}"


def _variables(work: Work) -> dict[str, str]:
    """The variables of a step, before its own."""
    github: Mapping[str, Value] = work.contexts["github"]
    event = work.machine.temp / "event.json"
    event.write_text(to_json(github["event"]), "utf-8")
    told = {
        f"GITHUB_{key.upper()}": text(value)
        for key, value in github.items()
        if key not in ("token", "event")
    }
    paths = [
        *work.paths,
        str(work.tools.parent / "bin"),
        str(Path(shutil.which("git") or "git").parent),
        "/usr/bin",
        "/bin",
    ]
    return {
        **work.identity,
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_PATH": str(event),
        "HOME": str(work.machine.home),
        "LANG": "C.UTF-8",
        "RUNNER_NAME": work.machine.name,
        "RUNNER_OS": "Linux",
        "RUNNER_TEMP": str(work.machine.temp),
        "RUNNER_TRACKING_ID": tracking(work),
        **told,
        **{key: os.environ[key] for key in _KEPT if key in os.environ},
        **work.env,
        "PATH": os.pathsep.join(paths),
    }


# Of the tests: no setting of this machine, and a lock of DVC's that is theirs.
_KEPT = ("DVC_NO_ANALYTICS", "DVC_SITE_CACHE_DIR", "GIT_CONFIG_NOSYSTEM", "TMPDIR")
