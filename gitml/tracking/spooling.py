"""Writing runs into a spool: what starting, joining and ending a run are where there is no git.

No process is started, and nothing of a repository is asked. What code runs is what GITML_CODE says,
a commit, or a tree, of the repository in which the runs are collected.
"""

from __future__ import annotations

import atexit
import contextlib
import shlex
import time
import warnings
from dataclasses import asdict, dataclass, field
from typing import Any

from gitml import config
from gitml.errors import GitmlError, UsageError, shown
from gitml.tracking import courier, jobs, names, starting
from gitml.tracking.experiment import ExperimentRecord
from gitml.tracking.fold import fold
from gitml.tracking.record import RUNNING, RunRecord
from gitml.tracking.seen import look, parts_of
from gitml.tracking.session import Session, begin, now_ms
from gitml.tracking.spool import Spool


class RankWarning(UserWarning):
    """A rank of a job writes a run of its own, since it did not learn of rank 0's."""


@dataclass(slots=True)
class _Desk(jobs.Desk):
    """The notes of a spool, those that this process has left, and whether one did not come."""

    left: dict[str, tuple[str, jobs.Note]] = field(default_factory=dict)
    in_vain: bool = False


class NotSentWarning(UserWarning):
    """Something of a run has not arrived in the spool when its process ends."""


_FETCH_SECONDS = 15.0  # that the start of a run may wait for the note of an earlier attempt
_EXIT_SECONDS = 15.0  # that the exit may wait until all has arrived
_employers: dict[Spool, courier.Employer] = {}
_desks: dict[Spool, _Desk] = {}
_names: dict[str, str] = {}  # of the experiments that this process was told of, by id


def start(
    spool: Spool, wish: starting.Wish, run_id: str | None = None
) -> tuple[Session, RunRecord]:
    """Start a run in the spool, or join or resume that of this job, or the one named `run_id`."""
    job = jobs.current()
    _have_carried(spool)
    if run_id is not None:
        names.check_run_id(run_id)
        found = _written(spool, run_id)
        if job is not None and job.joins:
            return _join(spool, found or _bare(run_id, wish))
        session, record = _start(spool, wish, run_id)  # whether it did is told when it is collected
        return _known(session, found or record)
    if job is None:
        return _start(spool, wish, None)
    desk = _desks.setdefault(spool, _Desk(spool.home / "jobs", spool.url is not None))
    key = desk.key(job, "\n".join((wish.experiment, wish.name or "", "nested" * bool(wish.parent))))
    if job.joins:
        return _join_job(spool, wish, desk, job, key)
    note = _earlier(desk, key, job) if job.is_again else None
    session, record = _resume(spool, note.record) if note else _start(spool, wish, None)
    _leave(desk, key, jobs.Note(record, job.attempt, now_ms()))
    return session, record


def _start(spool: Spool, wish: starting.Wish, run_id: str | None) -> tuple[Session, RunRecord]:
    run_id = run_id or starting.new_id(spool)
    return starting.begin_run(spool, wish, run_id, _told(), None)


def _resume(spool: Spool, record: RunRecord) -> tuple[Session, RunRecord]:
    """Go on with the run of an earlier attempt."""
    run = spool.live_run(record.run_id)
    first = begin("resume", base=_told().base, requirements=starting.requirements())
    return _known(Session(run, first), _written(spool, record.run_id) or record)


def _join(spool: Spool, record: RunRecord) -> tuple[Session, RunRecord]:
    session = Session(spool.live_run(record.run_id), joining())
    return _known(session, _written(spool, record.run_id) or record)


def _known(session: Session, record: RunRecord) -> tuple[Session, RunRecord]:
    session.know(record)
    return session, record


def _join_job(
    spool: Spool, wish: starting.Wish, desk: _Desk, job: jobs.Job, key: str
) -> tuple[Session, RunRecord]:
    """Join the run of rank 0; when it does not start one, write one of one's own, and say so."""
    note = desk.wait(key, job, 0.0 if desk.in_vain else jobs.WAIT_SECONDS)
    if note is not None:
        return _join(spool, note.record)
    desk.in_vain = True
    warnings.warn(
        f"rank {job.rank} did not learn which run rank 0 writes, and writes one of its own; give"
        " every rank the same GITML_RUN_ID, or start the run in rank 0 only",
        RankWarning,
        stacklevel=5,
    )
    return _start(spool, wish, None)


def _earlier(desk: _Desk, key: str, job: jobs.Job) -> jobs.Note | None:
    """The note of an earlier attempt of this job."""
    note = desk.fetched(key, _FETCH_SECONDS)
    return note if note is not None and note.attempt < job.attempt else None


def _leave(desk: _Desk, key: str, note: jobs.Note) -> None:
    with contextlib.suppress(GitmlError, OSError):  # the journal meets the same, and says so
        desk.leave(key, note)
        desk.left[note.record.run_id] = key, note


def joining() -> dict[str, Any]:
    """The first event of a session that joins a run."""
    return begin("join", base={"identity": asdict(starting.identity({}))})


def join(spool: Spool, run_id: str) -> tuple[Session, RunRecord]:
    """A session that adds to a run, whoever writes it, and wherever it is."""
    names.check_run_id(run_id)
    _have_carried(spool)
    return _join(spool, _bare(run_id, starting.Wish()))


def ended(spool: Spool, run_id: str) -> None:
    """Say in the note of a job that its run is over: whoever starts now does not mean it."""
    desk = _desks.get(spool)
    if desk is not None and (left := desk.left.pop(run_id, None)) is not None:
        key, note = left
        with contextlib.suppress(GitmlError, OSError):
            desk.leave(key, jobs.Note(note.record, note.attempt, note.time, ended=True))


def _have_carried(spool: Spool) -> None:
    """Have what is written to a spool with a URL carried there, from now to the exit."""
    if spool.url is not None:
        if spool not in _employers:
            _employers[spool] = courier.Employer(spool)
        _employers[spool].start()


@atexit.register
def _at_exit() -> None:
    """Give what is on its way some seconds to arrive; say what is left, and how it goes on."""
    deadline = time.monotonic() + _EXIT_SECONDS
    for spool, employer in _employers.items():
        employer.beat()
        if not employer.wait(max(0.0, deadline - time.monotonic())):
            why = courier.problem_of(spool.home) or "it takes longer than expected"
            later = shlex.join(["gitml", "collect", str(spool.home), "--to", str(spool)])
            warnings.warn(
                f"not all that was logged is in {spool} yet ({why}); it is kept on this machine,"
                f" and sent as soon as that is possible, or by: {later}",
                NotSentWarning,
                stacklevel=2,
            )


def _told() -> starting.Told:
    """The code, as the environment tells it: whoever collects the run looks for it."""
    base = {"code": config.variables().code, "identity": asdict(starting.identity({}))}
    return starting.Told(base, starting.NO_CODE, {})


# -- what is known here ----------------------------------------------------------------------


def record(spool: Spool, run_id: str) -> RunRecord:
    """The record of a run, as far as its journals here tell; UsageError when there are none."""
    found = _written(spool, run_id)
    if found is None:
        raise elsewhere(f"run {shown(run_id)}")
    return found


def _written(spool: Spool, run_id: str) -> RunRecord | None:
    run = spool.live_run(run_id)
    parts = parts_of(look(run), None) if run.folder.is_dir() else []
    return fold(parts).record if any(part.kind == "start" for part in parts) else None


def _bare(run_id: str, wish: starting.Wish) -> RunRecord:
    """What is known of a run that somebody else has started: next to nothing."""
    name, moment = wish.name or run_id[-8:], names.run_time(run_id)
    id = wish.experiment_id or names.experiment_id(wish.experiment)
    return RunRecord(run_id, name, wish.experiment, id, RUNNING, moment)


def elsewhere(what: str) -> UsageError:
    """The error of what only a repository can tell."""
    return UsageError(
        f"{what} can't be read while GITML_SPOOL is set: runs are only written then; read them in"
        " a repository, without it, after: gitml collect"
    )


def experiment(name: str | None, id: str | None) -> ExperimentRecord:
    """The experiment of a run: it comes to be when the run is collected."""
    if name is None:
        assert id is not None
        return ExperimentRecord(id, _names.get(id, id))
    id = id or names.experiment_id(name)
    _names[id] = name
    return ExperimentRecord(id, name)
