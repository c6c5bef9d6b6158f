"""Starting and ending runs: MLflow's functions over the active runs of the process."""

from __future__ import annotations

import atexit
import contextlib
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

from gitml import config
from gitml.errors import GitmlError, UsageError
from gitml.tracking import (
    active,
    changes,
    entities,
    finishing,
    names,
    spooling,
    starting,
    store,
    system_tags,
    values,
)
from gitml.tracking.active import Active
from gitml.tracking.entities import Run
from gitml.tracking.experiment import ExperimentRecord
from gitml.tracking.finishing import Ending
from gitml.tracking.finishing import RecordingWarning as RecordingWarning
from gitml.tracking.fluent import experiments
from gitml.tracking.fluent.place import where
from gitml.tracking.record import FAILED, FINISHED, RUNNING, RunRecord
from gitml.tracking.session import Session
from gitml.tracking.spool import Spool, Where

_has_warned = False  # of the variables that are set for MLflow


class VariableWarning(UserWarning):
    """An environment variable is set for MLflow, and does nothing here."""


class ActiveRun(Run):
    """The run that `start_run` began; as a context manager it ends the run."""

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _end(active.of_id(self.info.run_id), *_outcome(error))


def _outcome(error: BaseException | None) -> tuple[str, str | None]:
    """The status and reason that an exception, or none, gives a run."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return FINISHED, None
    from gitml.tracking.redact import redact_text

    words = " ".join(f"{type(error).__name__}: {error}".split())
    return FAILED, redact_text(words)[:500]


def start_run(
    run_id: str | None = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,
    parent_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
    log_system_metrics: bool | None = None,
    *,
    experiment_name: str | None = None,
) -> ActiveRun:
    """Start a run, or with `run_id` continue one; it becomes the active run.

    Use it as a context manager: the run ends with the block, FAILED if an exception leaves it.
    Raises UsageError when a run is active already and `nested` is not set.
    """
    _warn_of_variables()
    target = where()
    outer = active.current()
    _check_free(nested)
    marks = checked_marks(tags, run_name, description)
    if parent_run_id is not None:
        names.check_run_id(parent_run_id)
    run_id = run_id or _run_id_from_environment()
    if run_id is not None and not isinstance(target, Spool):
        store.open_run(target, run_id)
        session, record = starting.resume(target, run_id)
    else:
        experiment = experiments.chosen(experiment_id, experiment_name, target)
        wish = wish_of(experiment, marks, parent_run_id, outer if nested else None)
        session, record = begin(target, wish, run_id)
    if (also := active.of_id(record.run_id)) is not None:
        session.shared = also.session.shared
    run = active.push(target, session, record)
    if session.kind != "start":
        session.mark(marks)
        known = store.record(target, record.run_id) if marks and run_id else record
        record = run.record = replace(known, status=RUNNING)
    _watch_system(run, log_system_metrics)
    entity = entities.run_of(record)
    return ActiveRun(entity.info, entity.data, entity.inputs, record)


def begin(target: Where, wish: starting.Wish, run_id: str | None = None) -> Started:
    """Start a run where runs are recorded; in a spool the one of this job, or of that id."""
    if isinstance(target, Spool):
        return spooling.start(target, wish, run_id)
    return starting.start(target, wish)


Started = tuple[Session, RunRecord]


def _warn_of_variables() -> None:
    """Say once what the environment asks of MLflow and does not get here."""
    global _has_warned
    if not _has_warned and (variables := config.not_read()):
        _has_warned = True
        text = f"gitml does not read {', nor '.join(variables)}"
        warnings.warn(text, VariableWarning, stacklevel=3)


def checked_marks(
    tags: Mapping[str, Any] | None, name: Any = None, description: str | None = None
) -> dict[str, str]:
    """What a start says of its run, as tags: MLflow's tags for name and description among them."""
    marks = checked_tags({} if tags is None else tags)
    if description and system_tags.NOTE in marks:
        raise UsageError(f"give the description once: as description or as {system_tags.NOTE}")
    if name not in (None, ""):
        marks[system_tags.RUN_NAME] = names.check_run_name(str(name))
    if description:
        marks[system_tags.NOTE] = str(description)
    return marks


def wish_of(
    experiment: ExperimentRecord,
    marks: Mapping[str, str],
    parent: str | None = None,
    outer: Active | None = None,
    program: starting.Program | None = None,
) -> starting.Wish:
    """What to start: MLflow's tags for name, description and parent are fields of a run here."""
    tags = dict(marks)
    name, note = tags.pop(system_tags.RUN_NAME, None), tags.pop(system_tags.NOTE, None)
    tagged = tags.pop(system_tags.PARENT_RUN_ID, None)
    over = _parent(parent or tagged, outer)
    return starting.Wish(experiment.name, name, over, tags, note, experiment.id, program)


def _watch_system(run: Active, wanted: bool | None) -> None:
    """Sample the machine beside the run, when this call, the process or gitml.yaml wants it."""
    from gitml.tracking import system_metrics

    wanted = system_metrics.enabled() if wanted is None else wanted
    if wanted if wanted is not None else run.place.settings.system_metrics:
        sampled = [item.step for key, item in run.record.metrics.items() if key[:7] == "system/"]
        first = max(sampled, default=-1) + 1
        run.companions.append(system_metrics.watch(run.session, first))


def _check_free(nested: bool) -> None:
    """Refuse a second run beside an open one; those of a forked child's parent do not count."""
    mine = [run for run in active.own() if run.is_mine]
    if mine and not nested:
        raise UsageError(
            f"run {mine[-1].session.run_id} is active already; end it with end_run(), or call"
            " start_run(nested=True)"
        )


def _run_id_from_environment() -> str | None:
    """GITML_RUN_ID names one run that a process starts, as the child of a launcher does.

    It is used up then, as in MLflow: what this process starts has runs of its own.
    """
    return None if active.current() is not None else config.take_run_id()


def _parent(parent_run_id: str | None, outer: Active | None) -> str | None:
    if parent_run_id is not None:
        return names.check_run_id(parent_run_id)
    if outer is not None:
        return outer.session.run_id
    return config.variables().parent_run_id


def end_run(status: str = FINISHED) -> None:
    """End the active run of this thread; nothing happens when it has none."""
    run = active.to_end()
    if run is None:
        return
    try:
        values.check_status(status)
    except UsageError as error:
        _end(run, FAILED, str(error))
        raise
    _end(run, status, None)


def end(run_id: str, status: str, reason: str | None = None) -> bool:
    """End the run of that id if this process writes it; whether it does."""
    run = active.of_id(run_id)
    _end(run, status, reason)
    return run is not None


def terminate(run_id: str, status: str) -> bool:
    """End the run of that id if this process writes it; whether it does. An active one stays so.

    As in MLflow, log calls go on meaning it until its block is left: they add to it then.
    """
    run = active.of_id(run_id)
    if run is None or not run.is_active:
        return end(run_id, status)
    _finish(run, status, None)
    run.session.go_on(lambda: _joining(run.place))
    return True


def _joining(target: Where) -> dict[str, Any]:
    return spooling.joining() if isinstance(target, Spool) else starting.joining(target)


def _end(run: Active | None, status: str, reason: str | None) -> None:
    if run is not None and run.is_open:
        try:
            _finish(run, status, reason)
        finally:
            was_active = run.is_active
            active.pop(run)
            if was_active:
                config.take_run_id()  # as in MLflow, it means no run that comes later


def _finish(run: Active, status: str, reason: str | None) -> None:
    """Record a run; what can't be recorded now is kept, and said, but never fails the training."""
    while run.companions:
        run.companions.pop().finish()
    ending = Ending(run.place, run.session, run.record, status, reason)
    try:
        ending.attempt(finishing.PATIENCE)
    except (GitmlError, OSError) as error:
        kept = ", its journal is kept" if ending.has_journal and not ending.is_held else ""
        warnings.warn(
            f"run {ending.run_id} is not recorded yet{kept}: {error}; this is tried again until"
            " the process ends, then run: gitml recover",
            RecordingWarning,
            stacklevel=4,
        )
        finishing.keep(ending, lambda: _follow(run, status))
    else:
        _follow(run, status)


def _follow(run: Active, status: str) -> None:
    """What comes once a run is recorded."""
    _publish(run.place)
    while run.afterwards:
        run.afterwards.pop(0)(status)


def _publish(target: Where) -> None:
    """Have the runs pushed in the background, where gitml.yaml wants that."""
    if not isinstance(target, Spool) and target.settings.push.auto:
        from gitml.tracking import autopush

        autopush.nudge(target)


def active_run() -> ActiveRun | None:
    """The run that log calls write to, or None."""
    run = active.current()
    if run is None:
        return None
    entity = entities.run_of(run.record)
    return ActiveRun(entity.info, entity.data, entity.inputs, run.record)


def last_active_run() -> Run | None:
    """The active run, else the one that ended last; None before the first, as in MLflow."""
    run = active.current()
    run_id = run.session.run_id if run is not None else active.last_run_id
    return entities.run_of(store.record(where(), run_id)) if run_id else None


def logging_to() -> Session:
    """The session of the active run; a run is started when there is none, as in MLflow."""
    run = active.current()
    if run is None:
        start_run()
        run = active.current()
        assert run is not None
    return run.session


@contextlib.contextmanager
def session_of(run_id: str | None) -> Iterator[Session]:
    """A session to log to the run `run_id`, whoever writes it; without an id, the active one.

    A run that was recorded already is recorded again at the end of the block.
    """
    mine = logging_to() if run_id is None else None
    run = None if run_id is None else active.of_id(run_id)
    if mine is not None or run is not None:
        yield mine or run.session  # type: ignore[union-attr]
        return
    target = where()
    if isinstance(target, Spool):  # each call with a journal of its own would be too many
        yield active.keep(target, *spooling.join(target, str(run_id))).session
        return
    with changes.joined(target, str(run_id)) as session:
        yield session


@atexit.register
def _end_all() -> None:
    """End what the script left open: FAILED when an exception ends the interpreter.

    `sys.exit(3)` leaves no trace at this point, and counts as an end like any other.
    """
    error = None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)
    for run in active.everything():
        _end(run, *_outcome(error))


def checked_tags(tags: Mapping[str, Any]) -> dict[str, str]:
    """Tags whose keys and values are fit to be logged."""
    given = pairs("tags", tags)
    checked = ((names.check_tag_key(k), values.check_tag_value(k, v)) for k, v in given)
    return values.unambiguous("tag", checked)


def pairs(what: str, value: Any) -> list[tuple[Any, Any]]:
    """The keys and values of params, metrics or tags: a dictionary, or all that has its `items`."""
    if not callable(getattr(value, "items", None)):
        raise UsageError(f"{what} must be a dictionary, not {values.kind_of(value)}")
    return list(value.items())
