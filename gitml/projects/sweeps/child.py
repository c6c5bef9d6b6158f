"""One run of a sweep: started, watched, and ended early."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from gitml.projects import execution
from gitml.projects import task as tasks
from gitml.projects.execution import Marks
from gitml.projects.program import Outcome
from gitml.projects.sweeps.plan import Plan, key_and_figure, value_of
from gitml.projects.sweeps.trials import Trial
from gitml.projects.task import Locate, Task, Tell, Where
from gitml.tracking import recording, store, system_tags
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord

# Tags of a child: its number, the parameters that vary as JSON, and why it did not end by itself.
TRIAL, PARAMS, ENDED = "gitml.sweep.trial", "gitml.sweep.params", "gitml.sweep.ended"
EARLY, INTERRUPTED = "early", "interrupted"  # values of the last


class Child(Protocol):
    """A run that goes on."""

    @property
    def run_id(self) -> str:
        """The run's id."""

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None as long as it goes on."""

    def cancel(self, why: str = ..., tags: Mapping[str, str] | None = ...) -> None:
        """End it, and wait for that; if it was still going on, its run is KILLED with the tags."""

    def last_lines(self, count: int) -> list[str]:
        """The last lines of its output."""


@dataclass(frozen=True, slots=True)
class Nursery:
    """Where the runs of a sweep are started: the project, and the run that they are below."""

    where: Where
    plan: Plan
    same: Mapping[str, str]
    locate: Locate

    def task(self, params: Mapping[str, str], tell: Tell | None = None) -> Task:
        """The task of a trial, ready to run. Raises UsageError, FormatError and `BuildError`."""
        request = replace(self.plan.request, parameters={**self.same, **params})
        return tasks.make(request, self.where, tell, self.locate)

    def start(self, task: Task, trial: Trial, parent: RunRecord) -> Child:
        """Start the run of a trial; it goes on in the background. What it says is kept, not shown.

        This is the one place that starts a run of a sweep.
        """
        tags = {
            system_tags.PARENT_RUN_ID: parent.run_id,
            TRIAL: str(trial.number),
            PARAMS: json.dumps(dict(trial.params)),
        }
        marks = Marks(
            experiment_name=parent.experiment,
            run_name=f"{parent.name}-{trial.number}",
            tags=tags,
        )
        return execution.run(task, marks, (_unseen, _unseen), synchronous=False)


def _unseen(data: bytes) -> None:
    pass


def value(place: Place, run_id: str, metric: str) -> float | None:
    """The value of a metric of a run that goes on, as far as it has one."""
    record = recording.live_record(place, place.live_run(run_id))
    return None if record is None else value_of(metric, record.metrics)


def points(place: Place, run_id: str, metric: str) -> list[tuple[int, float]]:
    """The steps and values of a metric so far, live or recorded.

    Where the steps don't rise, as in a script that names none, a point's number is its step. Of a
    long history the first thousand are told, then every hundredth: those of each run alike.
    """
    run = place.live_run(run_id)
    for key in dict.fromkeys((metric, key_and_figure(metric)[0])):
        is_live = run.folder.is_dir()
        rows = recording.live_points(run, key) if is_live else store.history(place, run_id, key)
        if rows:
            found = _rising((step, value) for _, step, _, value in rows)
            return [point for at, point in enumerate(found) if at < 1000 or at % _stride(at) == 0]
    return []


def _stride(number: int) -> int:
    return 100 if number < 100_000 else 10_000


def _rising(found: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    known = list(found)
    steps = [step for step, _ in known]
    if steps[0] >= 0 and all(a < b for a, b in itertools.pairwise(steps)):
        return known
    return [(number, value) for number, (_, value) in enumerate(known)]
