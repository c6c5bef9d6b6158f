"""The run of a sweep, below which its runs are: it keeps the plan, the state and the result."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import BytesIO

from gitml.errors import GitmlError
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

_OFTEN = 2.0  # seconds between two states: each is written as a whole


class Parent:
    """The run of a sweep that goes on, and the session that writes to it."""

    def __init__(self, session: Session, record: RunRecord) -> None:
        self._session = session
        self.record = record
        self._written_at = 0.0
        self._left: Board | None = None  # a board that is to be written

    def note(self, board: Board, trial: Trial) -> None:
        """Keep what the runs below do not tell: the best value so far, and what was reused."""
        best, metric = board.best, board.plan.metric
        if trial.state == DONE and best is not None and best.value is not None:
            self._session.metric(metric, best.value, board.ended, now_ms())
        if trial.reused:
            self._left = board
            if time.monotonic() - self._written_at > _OFTEN:
                self.keep()

    def keep(self) -> None:
        """Write the state, if it is another than was written last."""
        if self._left is not None:
            self._write(self._left, {}, "")

    def conclude(self, board: Board, importance: Mapping[str, float], command: str) -> None:
        """Keep what the sweep came to."""
        self._write(board, importance, command)
        if board.best is not None and board.best.run_id is not None:
            self._session.tags({BEST: board.best.run_id})

    def _write(self, board: Board, importance: Mapping[str, float], command: str) -> None:
        data = document.write(board, importance, command)
        self._session.artifacts([(BytesIO(data), document.FILE)])
        self._written_at, self._left = time.monotonic(), None

    def begin(self, nursery: Nursery) -> None:
        """Keep the plan, before anything runs."""
        texts = nursery.plan.request.parameters.items()
        told = {name: str(text) for name, text in texts if not is_secret_name(name)}
        self._session.params(
            {name: values.check_param_value(name, text) for name, text in told.items()}
        )
        self._write(
            Board(self.record.run_id, self.record.name, nursery.plan, nursery.same, ()), {}, ""
        )


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
    run = Parent(session, record)
    with _ending(run):
        run.begin(nursery)
        yield run


@contextlib.contextmanager
def resumed(place: Place, record: RunRecord) -> Iterator[Parent]:
    """Go on with the run of a sweep; it ends with the block."""
    session, record = starting.resume(place, record.run_id)
    active.keep(place, session, record)
    run = Parent(session, record)
    with _ending(run):
        yield run


@contextlib.contextmanager
def _ending(run: Parent) -> Iterator[None]:
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
        with contextlib.suppress(GitmlError, OSError):  # the run's end is worth more
            run.keep()
        runs.end(run.record.run_id, status, reason)
