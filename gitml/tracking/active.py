"""The runs that this process writes: which one a log call means, in each thread and task.

A run belongs to the thread that started it, and there to the context (the task). Another thread,
or the next cell of a notebook, writes to the newest run of the main thread when it has none of its
own; it never ends it, and never writes to the run of another worker. A forked child goes on with
the runs of its parent, in journals of its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from gitml.tracking.record import RunRecord
from gitml.tracking.session import Session
from gitml.tracking.spool import Where


class Companion(Protocol):
    """What goes along with a run and ends with it, such as the sampling of system metrics."""

    def finish(self) -> None:
        """Stop, and log what is left; the run still takes it."""


@dataclass(slots=True, eq=False)
class Active:
    """A run that is going on: where it is recorded, its session, and how it began.

    `afterwards` is called with the run's status once it is recorded.
    """

    place: Where
    session: Session
    record: RunRecord
    thread: int
    in_main_thread: bool
    is_mine: bool = True  # False in a forked child: the parent ends the run
    is_active: bool = False  # False of a run that only the client's methods name
    companions: list[Companion] = field(default_factory=list)
    afterwards: list[Callable[[str], None]] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether the run was not ended yet."""
        return not self.session.ended


_own: ContextVar[tuple[Active, ...]] = ContextVar("gitml_runs", default=())
_all: list[Active] = []
_mutex = threading.Lock()
last_run_id: str | None = None  # of the active run that ended last


def push(place: Where, session: Session, record: RunRecord) -> Active:
    """Make a run that was just started the active one."""
    run = keep(place, session, record)
    run.is_active = True
    _own.set((*own(), run))
    return run


def keep(place: Where, session: Session, record: RunRecord) -> Active:
    """Remember a run that was just started, so that the process ends it; it is not active."""
    run = Active(place, session, record, threading.get_ident(), _in_main_thread())
    with _mutex:
        _all.append(run)
    return run


def pop(run: Active) -> None:
    """Forget a run that was ended."""
    global last_run_id
    if run.is_active:
        last_run_id = run.session.run_id
    with _mutex:
        if run in _all:
            _all.remove(run)
    _own.set(_here())


def own() -> tuple[Active, ...]:
    """The open runs that this thread started in this context, innermost last."""
    return tuple(run for run in _here() if run.thread == threading.get_ident())


def _here() -> tuple[Active, ...]:
    """The open runs of this context, also those of the thread that it was copied from."""
    return tuple(run for run in _own.get() if run.is_open)


def current() -> Active | None:
    """The run that a log call means here; None when there is none."""
    mine = _own.get()
    if mine and not mine[-1].session.ended:
        return mine[-1]
    mine = _here()
    return mine[-1] if mine else _of_main_thread()


def to_end() -> Active | None:
    """The run that this thread may end: its innermost, in the main thread also of another context.

    A notebook may begin a run in one cell and end it in the next.
    """
    mine = own()
    if mine:
        return mine[-1]
    return _of_main_thread() if _in_main_thread() else None


def _of_main_thread() -> Active | None:
    with _mutex:
        runs = [run for run in _all if run.is_open and run.is_active and run.in_main_thread]
    return runs[-1] if runs else None


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def known() -> list[Active]:
    """Every open run of the process, oldest first."""
    return [run for run in _all if run.is_open]


def of_id(run_id: str) -> Active | None:
    """The open run of that id, this context's own if several threads write it."""
    candidates = (*reversed(own()), *reversed(known()))
    return next((run for run in candidates if run.session.run_id == run_id), None)


def everything() -> list[Active]:
    """Every open run of the process that this process must end, newest first."""
    return [run for run in reversed(_all) if run.is_open and run.is_mine]


def _after_fork() -> None:
    global _mutex
    _mutex = threading.Lock()
    for run in _all:
        if run.is_open:
            run.session.forked()
            run.is_mine, run.companions = False, []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
