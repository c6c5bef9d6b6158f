"""What happens at a forge, and which workflows it starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.actions.patterns import matches
from tests.actions.workflow import Workflow

_SKIPS = re.compile(r"\[(skip ci|ci skip|no ci|skip actions|actions skip)\]")
_TYPES = {
    "pull_request": ("opened", "synchronize", "reopened"),
    "pull_request_review": ("submitted", "edited", "dismissed"),
}
MOST_TAGS = 3  # that a push may have, to be an event for any of them


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: its workflow is the one that `sha` has.

    `payload` is what `github.event` tells. `paths` are those that a push changed. Something that a
    fork has asked for gets no secrets, and no permission but to read.
    """

    name: str
    ref: str
    sha: str
    actor: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    message: str = ""  # of the newest commit
    from_fork: bool = False
    workflow: str | None = None  # that alone is started, by its file's name
    inputs: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1

    @property
    def skipped(self) -> bool:
        """Whether the commit's message says that nothing is to be started."""
        return self.name in ("push", "pull_request") and bool(_SKIPS.search(self.message))


def starts(workflow: Workflow, event: Event) -> bool:
    """Whether an event starts a workflow; what is started again is one alone."""
    if event.attempt > 1 and workflow.path.rpartition("/")[2] != event.workflow:
        return False
    if event.name not in workflow.on or event.skipped:
        return False
    told = workflow.on[event.name]
    if event.name == "merge_group":
        return True
    if event.name == "schedule":
        return event.payload["schedule"] in told
    if event.name == "push":
        return _push_starts(told, event)
    if event.name in _TYPES:
        types = told.get("types") or _TYPES[event.name]
        base = event.payload["pull_request"]["base"]["ref"]
        fits = "branches" not in told or matches(told["branches"], base)
        return fits and event.payload["action"] in types
    if event.name == "repository_dispatch":
        return event.payload["action"] in (told.get("types") or [event.payload["action"]])
    return workflow.path.rpartition("/")[2] == event.workflow


def _push_starts(told: Mapping[str, Any], event: Event) -> bool:
    """Filters of branches let no tag pass, and the other way round; paths count for branches."""
    branch = event.ref.startswith("refs/heads/")
    mine, others = ("branches", "tags") if branch else ("tags", "branches")
    if mine not in told and others in told:
        return False
    if mine in told and not matches(told[mine], event.ref.split("/", 2)[2]):
        return False
    if "paths" in told and branch:
        return any(matches(told["paths"], path) for path in event.paths)
    return True
