"""The run of a sweep, below which its runs are: it keeps the plan, the state and the result."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO

from gitml.projects.execution import Marks
from gitml.projects.sweeps import document
from gitml.projects.sweeps.child import Nursery
from gitml.projects.sweeps.trials import DONE, Board, Trial
from gitml.projects.task import Task
from gitml.tracking import active, starting, values
from gitml.tracking.fluent import experiments, runs
from gitml.tracking.place import Place
from gitml.tracking.record import FAILED, FINISHED, KILLED, RunRecord
from gitml.tracking.redact import is_secret_name
from gitml.tracking.session import Session, now_ms

SWEEP, BEST = "gitml.sweep", "gitml.sweep.best"  # its sampler, and the id of its best run


@dataclass(frozen=True, slots=True)
class Parent:
    """The run of a sweep that goes on, and the session that writes to it."""

    session: Session
    record: RunRecord

    def note(self, board: Board, trial: Trial) -> None:
        """Keep what the runs below do not tell: the best value so far, and what was reused."""
        best, metric = board.best, board.plan.metric
        if trial.state == DONE and best is not None and best.value is not None:
            self.session.metric(metric, best.value, board.ended, now_ms())
        if trial.reused:
            self._write(board, {}, "")

    def conclude(self, board: Board, importance: Mapping[str, float], command: str) -> None:
        """Keep what the sweep came to."""
        self._write(board, importance, command)
        if board.best is not None and board.best.run_id is not None:
            self.session.tags({BEST: board.best.run_id})

    def _write(self, board: Board, importance: Mapping[str, float], command: str) -> None:
        data = document.write(board, importance, command)
        self.session.artifacts([(BytesIO(data), document.FILE)])


@contextlib.contextmanager
def started(nursery: Nursery, task: Task, marks: Marks) -> Iterator[Parent]:
    """Start the run of a sweep, whose tasks are like `task`; it ends with the block."""
    place, plan = nursery.where.place, nursery.plan
    program = task.program()
    source = replace(program.source, command=plan.command())
    experiment = experiments.chosen(marks.experiment_id, marks.experiment_name, place)
    tags = runs.checked_marks({**task.tags, SWEEP: plan.sampler}, marks.run_name)
    wish = runs.wish_of(experiment, tags, None, active.current(), replace(program, source=source))
    session, record = starting.start(place, wish)
    active.keep(place, session, record)
    with _ending(record.run_id):
        texts = {
            name: str(text)
            for name, text in plan.request.parameters.items()
            if not is_secret_name(name)
        }
        session.params({name: values.check_param_value(name, it) for name, it in texts.items()})
        made = Parent(session, record)
        made._write(Board(record.run_id, record.name, plan, nursery.same, ()), {}, "")
        yield made


@contextlib.contextmanager
def resumed(place: Place, record: RunRecord) -> Iterator[Parent]:
    """Go on with the run of a sweep; it ends with the block."""
    session, record = starting.resume(place, record.run_id)
    active.keep(place, session, record)
    with _ending(record.run_id):
        yield Parent(session, record)


@contextlib.contextmanager
def _ending(run_id: str) -> Iterator[None]:
    """End a run as the block ends: FINISHED, FAILED by an error, KILLED by Ctrl-C or a signal."""
    status: str = KILLED
    reason: str | None = "the sweep was stopped"
    try:
        yield
        status, reason = FINISHED, None
    except Exception as error:
        status, reason = FAILED, " ".join(str(error).split()) or None
        raise
    finally:
        runs.end(run_id, status, reason)
