"""The trials of a sweep: each is one run, or one that was recorded before. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gitml.projects.sweeps.plan import Plan

RUNNING, DONE, STOPPED, FAILED = "running", "done", "stopped", "failed"


@dataclass(frozen=True, slots=True)
class Trial:
    """One combination of the parameters that vary, and what came of it.

    `state` is RUNNING, perhaps with a value so far, DONE with a value, STOPPED early, or FAILED,
    which has a `reason`. `points` are the steps and values of the metric that a stopped one came
    to. A reused one is the run `run_id` of somebody; `seconds` is how long that took.
    """

    number: int
    params: Mapping[str, str]
    state: str = RUNNING
    run_id: str | None = None
    value: float | None = None
    reason: str | None = None
    seconds: float | None = None
    reused: bool = False
    points: Sequence[tuple[int, float]] = field(default=())


@dataclass(frozen=True, slots=True)
class Board:
    """A sweep at one moment: its run, its plan, and its trials by number.

    `same` are the parameters that do not vary.
    """

    run_id: str
    name: str
    plan: Plan
    same: Mapping[str, str]
    trials: Sequence[Trial]

    @property
    def best(self) -> Trial | None:
        """The best trial so far; of equal ones the first."""
        return best_of(self.plan, self.trials)

    @property
    def ended(self) -> int:
        """How many trials are over."""
        return sum(trial.state != RUNNING for trial in self.trials)


def best_of(plan: Plan, trials: Iterable[Trial]) -> Trial | None:
    """The trial with the best value; of equal ones the first. One that was stopped is none."""
    found: Trial | None = None
    for trial in trials:
        if trial.state == DONE and trial.value is not None:
            known = found.value if found is not None else None
            if known is None or plan.is_better(trial.value, known):
                found = trial
    return found
