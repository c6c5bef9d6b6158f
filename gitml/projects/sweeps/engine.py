"""The engine of a sweep: it keeps so many runs going, takes note of their ends, and can stop."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from gitml.errors import GitmlError
from gitml.projects import execution
from gitml.projects.sweeps import child as children
from gitml.projects.sweeps import reuse
from gitml.projects.sweeps.child import EARLY, ENDED, INTERRUPTED, Child, Nursery
from gitml.projects.sweeps.plan import Plan, value_of
from gitml.projects.sweeps.study import Study
from gitml.projects.sweeps.trials import DONE, FAILED, RUNNING, STOPPED, Board, Trial
from gitml.tracking import store
from gitml.tracking.record import FINISHED, RunRecord

Watch = Callable[[Board], None]

_PAUSE = 0.05  # seconds between two looks at the runs
_JUDGE = 0.5  # seconds between two looks at their metrics
_GLANCE = 2.0  # the same for who only watches
_SELDOM = 10  # between two looks so many times as long as one takes
_HOPELESS = 3  # so many failures at the beginning end the sweep
_LAST_LINES = 10


class SweepError(GitmlError):
    """No run of a sweep came to a value. `run_id` is its run, `said` how a failed run ended."""

    exit_code = 1

    def __init__(self, message: str, run_id: str, said: Iterable[str]) -> None:
        super().__init__(message)
        self.run_id = run_id
        self.said = tuple(said)


class Engine:
    """A sweep that goes on: the trials of the run `parent`, of which some are known already.

    `watch` sees the board at every change, `note` at every end of a trial, with that.
    """

    def __init__(
        self,
        nursery: Nursery,
        study: Study,
        parent: RunRecord,
        watch: Watch,
        note: Callable[[Board, Trial], None],
    ) -> None:
        self._nursery, self._study, self._parent = nursery, study, parent
        self._watch, self._note = watch, note
        self._plan: Plan = nursery.plan
        self._trials: dict[int, Trial] = {}
        self._children: dict[int, Child] = {}
        self._again: dict[int, Mapping[str, str]] = {}
        self._judge_next = self._glance_next = 0.0
        self._told_to_stop: set[int] = set()
        self._failure: tuple[Trial | None, Sequence[str]] = (None, ())

    def recall(self, trials: Iterable[Trial], again: Mapping[int, Mapping[str, str]]) -> None:
        """Take over what came of the sweep before: trials that ended, and those to run again."""
        for trial in trials:
            self._trials[trial.number] = trial
            self._study.recall(trial)
            if trial.state == FAILED:
                self._failure = trial, ()
        self._again.update(again)

    @property
    def board(self) -> Board:
        """The sweep as it is now."""
        trials = tuple(self._trials[number] for number in sorted(self._trials))
        same = self._nursery.same
        return Board(self._parent.run_id, self._parent.name, self._plan, same, trials)

    def importance(self) -> dict[str, float]:
        """The share of each parameter in the differences of the metric, largest first."""
        return self._study.importance()

    def run(self) -> Board:
        """Run all that is to be run. An exception, such as Ctrl-C, ends what goes on first.

        Raises `SweepError` when no run comes to a value.
        """
        self._watch(self.board)
        try:
            while self._fill():
                time.sleep(_PAUSE)
                self._look()
        except BaseException:
            self._stop("the sweep was stopped")
            raise
        if self.board.best is None:
            raise self._error("no run of the sweep came to a value")
        return self.board

    def _fill(self) -> bool:
        """Start as many runs as may go on; whether any does."""
        while len(self._children) < self._plan.parallel and (number := self._next()) is not None:
            self._begin(number)
        return bool(self._children)

    def _next(self) -> int | None:
        numbers = range(self._plan.runs)
        return next((number for number in numbers if number not in self._trials), None)

    def _begin(self, number: int) -> None:
        trial = Trial(number, self._study.ask(number, self._again.pop(number, None)))
        try:
            task = self._nursery.task(trial.params)
            known = reuse.recorded(task, self._plan.metric) if self._plan.reuse else None
            if known is not None:
                self._end(replace(judged(trial, known, self._plan), reused=True))
                return
            with execution.signals_wait():  # a run that was started is known, and can be ended
                child = self._nursery.start(task, trial, self._parent)
                self._children[number] = child
                self._trials[number] = replace(trial, run_id=child.run_id)
        except GitmlError as error:
            self._end(replace(trial, state=FAILED, reason=str(error)))
        else:
            self._watch(self.board)

    def _look(self) -> None:
        """See which runs have ended, and which are not worth going on."""
        for number, child in list(self._children.items()):
            if child.outcome is not None:
                self._finish(number, child)
        began = time.monotonic()
        if self._plan.early_stop and began > self._judge_next:
            for number in self._children.keys() - self._told_to_stop:
                self._judge(number, self._children[number])
            took = time.monotonic() - began  # long histories are not read all the time
            self._judge_next = began + max(_JUDGE, _SELDOM * took)

        began = time.monotonic()
        if began > self._glance_next:
            self._glance()
            took = time.monotonic() - began
            self._glance_next = began + max(_GLANCE, _SELDOM * took)

    def _glance(self) -> None:
        """Have who watches see what the runs that go on have come to so far."""
        known = dict(self._trials)
        for number, child in self._children.items():
            with contextlib.suppress(GitmlError, OSError):
                value = children.value(self._nursery.where.place, child.run_id, self._plan.metric)
                self._trials[number] = replace(known[number], value=value)
        if self._trials != known:
            self._watch(self.board)

    def _judge(self, number: int, child: Child) -> None:
        points = self._points(child.run_id)
        if self._study.is_hopeless(number, points):
            self._told_to_stop.add(number)
            why = f"it was stopped early, at step {points[-1][0]}: half of the others were better"
            tags = {ENDED: EARLY}
            threading.Thread(target=child.cancel, args=(why, tags), name="gitml-stop").start()

    def _points(self, run_id: str) -> list[tuple[int, float]]:
        if not self._plan.early_stop:
            return []
        with contextlib.suppress(GitmlError, OSError):  # its journal may go at this moment
            return children.points(self._nursery.where.place, run_id, self._plan.metric)
        return []

    def _finish(self, number: int, child: Child) -> None:
        del self._children[number]
        record = store.record(self._nursery.where.place, child.run_id)
        trial = judged(replace(self._trials[number], value=None), record, self._plan)
        said = child.last_lines(_LAST_LINES) if trial.state == FAILED else []
        self._end(replace(trial, points=self._points(child.run_id)), said)

    def _end(self, trial: Trial, said: Sequence[str] = ()) -> None:
        """Take note of the end of a trial; of a failed one also of what it `said` last."""
        self._trials[trial.number] = trial
        if trial.state == FAILED:
            self._failure = trial, said
        self._study.tell(trial)
        self._note(self.board, trial)
        self._watch(self.board)
        over = [one for one in self._trials.values() if one.state != RUNNING]
        if len(over) == _HOPELESS and all(one.state == FAILED for one in over):
            raise self._error(f"the first {_HOPELESS} runs of the sweep came to no value")

    def _error(self, what: str) -> SweepError:
        trial, said = self._failure
        why = f"; the last: {trial.reason}" if trial is not None else ""
        return SweepError(f"{what}{why}", self._parent.run_id, said)

    def _stop(self, why: str) -> None:
        """End all runs at once; an impatient second Ctrl-C leaves that to their threads."""
        args = (why, {ENDED: INTERRUPTED})
        threads = [
            threading.Thread(target=child.cancel, args=args, name="gitml-stop")
            for child in self._children.values()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def judged(trial: Trial, record: RunRecord, plan: Plan) -> Trial:
    """A trial whose run has ended, as the run's record tells."""
    value, end = value_of(plan.metric, record.metrics), record.end_time
    seconds = None if end is None else max(end - record.start_time, 0) / 1000
    known = replace(trial, run_id=record.run_id, seconds=seconds)
    if record.live_tags.get(ENDED) == EARLY:
        return replace(known, state=STOPPED, reason=record.reason)
    if record.status != FINISHED:
        return replace(known, state=FAILED, reason=record.reason or record.status)
    if value is None:
        return replace(known, state=FAILED, reason=f"it logged no metric {plan.metric}")
    return replace(known, state=DONE, value=value)
