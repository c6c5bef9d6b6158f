"""The state of a sweep as its run keeps it: the artifact `sweep.json`.

Format: schemas/sweep.schema.json. It is there from the start on, with the plan; at the end it has
every trial. In between the children are the state, and this file has those that were reused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gitml import documents
from gitml.errors import UsageError, shown
from gitml.projects import backend_config
from gitml.projects.image import Wish
from gitml.projects.sweeps.plan import Plan
from gitml.projects.sweeps.trials import Board, Trial
from gitml.projects.task import Request
from gitml.tracking.redact import MASK, is_secret_name, redact_url

FILE = "sweep.json"
SCHEMA = 1
_ASKED = ("entry_point", "version", "allow_extra", "env_manager", "backend", "timeout")
_PLANNED = ("metric", "goal", "sampler", "runs", "parallel", "early_stop", "reuse", "seed")


def write(board: Board, importance: Mapping[str, float], command: str) -> bytes:
    """The file of a sweep; see `described`."""
    return documents.dump_json(described(board, importance, command))


def described(board: Board, importance: Mapping[str, float], command: str) -> dict[str, Any]:
    """A sweep as its file has it: the plan, the trials, and once there is one the best.

    `command` runs that again. Values of parameters that are credentials are left out.
    """
    request, best = board.plan.request, board.best
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "project": {
            "uri": redact_url(request.uri),
            **_said(request, _ASKED),
            **({"skip_image_build": True} if request.image.as_it_is else {}),
            **_config(request),
        },
        "parameters": {
            name: MASK if is_secret_name(name) else str(text)
            for name, text in request.parameters.items()
        },
        "search": _said(board.plan, _PLANNED),
        "trials": [_trial(trial) for trial in board.trials],
    }
    if best is not None:
        document["best"] = _trial(best)
        document["importance"] = dict(importance)
        document["command"] = command
    return document


def _config(request: Request) -> dict[str, Any]:
    """What the backend is told, if it is told anything."""
    told = backend_config.masked(request.backend_config)
    return {"backend_config": told} if told else {}


def _said(value: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: it for name in names if (it := getattr(value, name)) is not None}


def _trial(trial: Trial) -> dict[str, Any]:
    names = ("number", "state", "run_id", "value", "reason", "seconds")
    told = {**_said(trial, names), "params": dict(trial.params)}
    return {**told, "reused": True} if trial.reused else told


def read(data: bytes, given: Mapping[str, object]) -> tuple[Plan, list[Trial]]:
    """The plan of a sweep, and the trials that were reused.

    `given` are the values of parameters that are credentials. Raises FormatError, and UsageError
    for a credential that is missing, or another parameter.
    """
    document = documents.load_json(data, FILE)
    documents.validate(document, "sweep", FILE)
    texts = _with_secrets(document["parameters"], given)
    project = dict(document["project"])
    image = Wish(as_it_is=project.pop("skip_image_build", False))
    request = Request(parameters=texts, image=image, **project)
    plan = Plan(request, **document["search"])
    reused = [trial for trial in document["trials"] if trial.get("reused")]
    return plan, [Trial(**trial) for trial in reused]


def _with_secrets(texts: Mapping[str, str], given: Mapping[str, object]) -> dict[str, object]:
    left = {name for name, text in texts.items() if text == MASK and is_secret_name(name)}
    for name in given:
        if name not in left:
            raise UsageError(
                f"the parameter {shown(name)} of a sweep that goes on stays as it was; leave it out"
            )
    for name in left:
        if name not in given:
            raise UsageError(f"the parameter {shown(name)} is not recorded; give it again, with -P")
    return {**texts, **given}
