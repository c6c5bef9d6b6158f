"""Running a task: its run is started, the entry point joins it, and its end is the run's end."""

from __future__ import annotations

import atexit
import contextlib
import io
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType

from gitml.errors import GitmlError
from gitml.projects import fingerprint
from gitml.projects.contained import ContainedProgram, Errand
from gitml.projects.output import Sink
from gitml.projects.program import Going, Outcome, Program
from gitml.projects.ray.cluster import Cluster
from gitml.projects.ray.job import RayJob
from gitml.projects.task import Task
from gitml.tracking import active, starting, store, values
from gitml.tracking.fluent import experiments, runs
from gitml.tracking.record import FAILED, FINISHED, KILLED, RUNNING
from gitml.tracking.session import Session

LOG = "logs/output.txt"
_MOST = 1_000_000  # bytes of the log, when the commit may hold so many
_MARGIN = 0.9  # of what the commit holds of one artifact


class EntryPointError(GitmlError):
    """An entry point ran, and failed; `run_id` is its run."""

    exit_code = 1

    def __init__(self, message: str, run_id: str) -> None:
        super().__init__(message)
        self.run_id = run_id


@dataclass(frozen=True, slots=True)
class Marks:
    """What the caller says of the run itself; the names are those of `start_run`."""

    experiment_name: str | None = None
    experiment_id: str | None = None
    run_name: str | None = None
    run_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class SubmittedRun:
    """The run of an entry point that was started; it goes on until its end in a thread."""

    def __init__(self, task: Task, session: Session, program: Going, done: Callable[[], None]):
        self._task, self._session, self._program, self._done = task, session, program, done
        self._outcome: Outcome | None = None
        self._tags: Mapping[str, str] = {}
        self._thread: threading.Thread | None = None

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._session.run_id

    @property
    def outcome(self) -> Outcome | None:
        """How the entry point ended; None as long as it goes on."""
        return self._outcome

    def wait(self) -> bool:
        """Wait for the entry point to end; whether it succeeded."""
        if self._thread is not None:
            self._thread.join()
        return self._outcome is not None and self._outcome.status == FINISHED

    def get_status(self) -> str:
        """The status of the run: RUNNING, FINISHED, FAILED or KILLED."""
        return self._outcome.status if self._outcome is not None else RUNNING

    def cancel(self, why: str = "it was cancelled", tags: Mapping[str, str] | None = None) -> None:
        """End the entry point with all that it started; its run is KILLED, and gets these tags.

        One that has come to its end meanwhile stays as it ended.
        """
        self._tags = tags or {}
        self._program.stop(why)
        self.wait()

    def last_lines(self, count: int) -> list[str]:
        """The last lines of what the entry point said, without credentials."""
        return self._program.kept.text(self._task.secrets).splitlines()[-count:]

    def go_on(self) -> None:
        """Wait for the end in the background."""
        self._thread = threading.Thread(target=self._go_on, name="gitml-project", daemon=True)
        _background.append(self)
        self._thread.start()

    def _go_on(self) -> None:
        try:
            self.finish()
        finally:
            _background.remove(self)

    def finish(self) -> None:
        """Wait for the end here, and end the run.

        An exception, such as Ctrl-C, ends the entry point too, and leaves this function.
        """
        name = self._task.request.entry_point
        try:
            outcome = self._program.wait(name, self._task.request.timeout)
        except BaseException as error:
            by_user = isinstance(error, KeyboardInterrupt)
            why = "it was stopped by Ctrl-C" if by_user else "it was told to stop"
            self._stop(why, interrupt=by_user)
            self._end(self._program.wait(name))
            raise
        self._end(outcome)

    def _stop(self, why: str, *, interrupt: bool) -> None:
        """Stop the entry point; whoever is in a hurry, and says so again, has it killed."""
        try:
            self._program.stop(why, interrupt=interrupt)
        except BaseException:
            self._program.stop(why, grace=0)

    def _end(self, outcome: Outcome) -> None:
        try:
            with contextlib.suppress(GitmlError, OSError):  # the run itself is worth more
                said = self._program.kept.text(self._task.secrets).encode()
                if said:
                    self._session.artifacts([(io.BytesIO(said), LOG)])
                stopped = self._tags if outcome.status == KILLED else {}
                self._session.tags({**outcome.tags, **stopped})
                logged = store.record(self._task.where.place, self.run_id).params
                rest = self._task.fetched.items()
                self._session.params({key: uri for key, uri in rest if key not in logged})
            runs.end(self.run_id, outcome.status, outcome.reason)
        finally:
            self._outcome = outcome
            self._done()


_background: list[SubmittedRun] = []


@atexit.register
def _at_exit() -> None:
    """Wait for what runs in the background; a process that was interrupted ends it instead."""
    interrupted = isinstance(getattr(sys, "last_value", None), KeyboardInterrupt)
    for run in list(_background):
        if interrupted:
            run.cancel()
        else:
            run.wait()


def run(
    task: Task,
    marks: Marks,
    sinks: tuple[Sink, Sink],
    *,
    synchronous: bool = True,
    started: Callable[[str], None] | None = None,
    done: Callable[[], None] = lambda: None,
) -> SubmittedRun:
    """Run a task: its output goes to the sinks, and its end is that of the run.

    Without `synchronous` it goes on in the background. `started` is told the run's id, `done` is
    called at the end, whatever it is.
    """
    try:
        session = _start(task, marks)
        if started is not None:
            started(session.run_id)
        submitted = SubmittedRun(task, session, _begin(task, session, sinks), done)
    except BaseException:
        done()
        raise
    if synchronous:
        submitted.finish()
    else:
        submitted.go_on()
    return submitted


def _begin(task: Task, session: Session, sinks: tuple[Sink, Sink]) -> Going:
    """Start the entry point; a run whose program could not be started has failed."""
    settings = task.where.place.settings
    limit = int(min(settings.artifacts.inline_unit * _MARGIN, _MOST))
    try:
        if isinstance(task.confinement, Cluster):
            return RayJob(task.confinement, _errand(task, session), sinks, limit)
        if task.confinement is not None:
            return ContainedProgram(task.confinement, _errand(task, session), sinks, limit)
        variables = _variables(task, session.run_id)
        return Program(task.argv, task.where.folder, variables, sinks, limit)
    except BaseException as error:
        status = FAILED if isinstance(error, Exception) else KILLED
        runs.end(session.run_id, status, " ".join(str(error).split()) or None)
        raise


def _errand(task: Task, session: Session) -> Errand:
    """What a container or a cluster is to run for a task."""
    record = active.of_id(session.run_id)
    assert record is not None
    folder, experiment = task.where.folder, record.record.experiment
    return Errand(task.where.place, folder, task.argv, session.run_id, experiment)


def _start(task: Task, marks: Marks) -> Session:
    """Start the run of a task, or go on with the one that is named; its params are logged."""
    place = task.where.place
    tags = runs.checked_marks({**task.tags, **marks.tags}, marks.run_name)
    if marks.run_id is not None:
        session, record = starting.resume(place, marks.run_id)
        session.mark(tags)
    else:
        experiment = experiments.chosen(marks.experiment_id, marks.experiment_name, place)
        wish = runs.wish_of(experiment, tags, None, active.current(), task.program())
        session, record = starting.start(place, wish)
        session.tags(fingerprint.tags(task, record.code))
    active.keep(place, session, record)
    try:
        session.params(
            {name: values.check_param_value(name, value) for name, value in task.params.items()}
        )
    except BaseException:
        runs.end(session.run_id, FAILED, "its params could not be logged")
        raise
    return session


def _variables(task: Task, run_id: str) -> dict[str, str]:
    """The variables of the entry point: it joins the run, and what it starts are its children."""
    record = active.of_id(run_id)
    assert record is not None
    return {
        **task.runtime.variables,
        "PYTHONUNBUFFERED": "1",
        "GITML_RUN_ID": run_id,
        "GITML_PARENT_RUN_ID": run_id,
        "GITML_EXPERIMENT_NAME": record.record.experiment,
        "GITML_REPO": str(task.where.repository),
    }


@contextlib.contextmanager
def signals_stop() -> Iterator[None]:
    """Have the signals that end a process by default raise SystemExit, so that much is tidied."""
    found: Mapping[int, object] = {}
    if threading.current_thread() is threading.main_thread():
        names = ("SIGTERM", "SIGHUP")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        found = {it: signal.getsignal(it) for it in numbers}
    mine = [number for number, handler in found.items() if handler is signal.SIG_DFL]
    for number in mine:
        signal.signal(number, _leave)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def signals_wait() -> Iterator[None]:
    """Have Ctrl-C, and the signals that end a process, wait for the end of a short block."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    is_main = threading.current_thread() is threading.main_thread()
    found = {it: signal.getsignal(it) for it in numbers if is_main}
    came: list[tuple[int, FrameType | None]] = []
    mine = {number: handler for number, handler in found.items() if callable(handler)}
    for number in mine:
        signal.signal(number, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in mine.items():
            signal.signal(number, handler)
        for number, frame in came[:1]:
            mine[number](number, frame)


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
