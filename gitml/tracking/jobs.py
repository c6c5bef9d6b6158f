"""One run for one job: how the ranks of a job find the run that rank 0 starts.

Launchers say in the environment which rank a process is, and which job it belongs to. Rank 0
leaves a note of its run in the spool, `jobs/<key>.json`; the key is a digest of the job, the script
and the call. The other ranks wait for it, and join. A job that its scheduler starts again finds
the note of its earlier attempt, and resumes that run.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from gitml import files
from gitml.documents import dump_json, load_json, write_atomic
from gitml.errors import FormatError, GitmlError
from gitml.tracking.record import RunRecord, from_document, to_document

WAIT_SECONDS = 60.0  # that a rank waits for rank 0 to start the run
_TOGETHER_MS = 120_000  # the ranks of a job start within this time of one another
_ENDED_MS = 2_000  # and when the run has ended already, within this time
_POLL = 0.05

_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")
_JOBS = (  # the first that is set tells one job from another
    ("SLURM_JOB_ID", "SLURM_STEP_ID"),
    ("TORCHELASTIC_RUN_ID",),
    ("PMIX_NAMESPACE",),
    ("MASTER_ADDR", "MASTER_PORT"),
)
_NOT_NAMES = ("", "none")  # torchrun's id of a job that was given none
_ATTEMPTS = ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")

Attempt = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """This process as a part of a job: its rank, and which attempt of the scheduler it is."""

    name: str
    rank: int
    attempt: Attempt

    @property
    def joins(self) -> bool:
        """Whether it writes to the run of another process."""
        return self.rank > 0

    @property
    def is_again(self) -> bool:
        """Whether the scheduler has started it again."""
        return any(self.attempt)


@dataclass(frozen=True, slots=True)
class Note:
    """What rank 0 says of its run."""

    record: RunRecord
    attempt: Attempt
    time: int
    ended: bool = False


@dataclass(slots=True)
class Desk:
    """The notes of a spool, in the folder `folder`; those of one that is remote may be elsewhere.

    `counts` tells how often runs were started.
    """

    folder: Path
    is_remote: bool = False
    counts: Counter[str] = field(default_factory=Counter)

    def key(self, job: Job, call: str) -> str:
        """The key of this process's next run that is started by a call of that description.

        A script may start several runs one after another: the ranks meet in each of them.
        """
        self.counts[call] += 1
        script = os.path.abspath(sys.argv[0]) if sys.argv and sys.argv[0] else ""
        text = "\n".join((job.name, script, call, str(self.counts[call])))
        return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def leave(self, key: str, note: Note) -> None:
        """Write a note, or write it anew; GitmlError or OSError when that is impossible."""
        document = {
            "schema": 1,
            "run": to_document(note.record),
            "attempt": list(note.attempt),
            "time": note.time,
            "ended": note.ended,
        }
        files.make_folder(self.folder)
        write_atomic(self._path(key), dump_json(document), 0o644)

    def find(self, key: str) -> Note | None:
        """The note of that key; None when there is none that can be read."""
        try:
            return _note(load_json(self._path(key).read_bytes(), "the note of a job"))
        except (OSError, FormatError):
            return None

    def wait(self, key: str, job: Job, seconds: float) -> Note | None:
        """The note that rank 0 of this attempt of the job leaves; None when it does not come."""
        deadline = time.monotonic() + seconds
        while not (found := self.find(key)) or not _is_meant(found, job):
            if time.monotonic() > deadline:
                return None
            self._ask(key)
            time.sleep(_POLL)
        return found

    def fetched(self, key: str, seconds: float) -> Note | None:
        """The note of that key, also when it is elsewhere; it is looked for at most so long."""
        deadline = time.monotonic() + seconds
        asked = self._ask(key)
        while asked is not None and asked.exists() and time.monotonic() < deadline:
            time.sleep(_POLL)
        return self.find(key)

    def _ask(self, key: str) -> Path | None:
        """Say that a note is wanted, to one who fetches it and takes this mark away."""
        if not self.is_remote:
            return None
        mark = self.folder / f"{key}.wanted.{os.getpid()}"
        with contextlib.suppress(OSError):
            files.make_folder(mark.parent)
            mark.touch()
        return mark

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def is_note(name: str) -> bool:
    """Whether a file may be a note, or the wish for one."""
    return re.fullmatch(r"[0-9a-f]{32}\.(json|wanted(\.[0-9]+)?)", name) is not None


def current(environ: Mapping[str, str] = os.environ) -> Job | None:
    """The job that this process belongs to; None when no launcher tells of one."""
    rank = next((_number(environ[name]) for name in _RANKS if environ.get(name)), None)
    for names in _JOBS:
        values = [environ.get(name, "") for name in names]
        if values[0] not in _NOT_NAMES and rank is not None:
            attempt = tuple(_number(environ.get(name, "")) or 0 for name in _ATTEMPTS)
            name = "\n".join([names[0], *values])
            return Job(name, rank, attempt)
    return None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _is_meant(note: Note, job: Job) -> bool:
    """Whether a note is of the attempt that this process is a part of, and not of an earlier job.

    The address of a job's master may serve the next job as well.
    """
    slack = _ENDED_MS if note.ended else _TOGETHER_MS
    return note.attempt == job.attempt and note.time > _began() - slack


@functools.cache
def _began() -> float:
    """When this process began, in ms."""
    import psutil

    return float(psutil.Process().create_time() * 1000)


def _note(document: Any) -> Note:
    try:
        record = from_document(document["run"], "the note of a job")
        attempt = tuple(int(number) for number in document["attempt"])
        return Note(record, attempt, int(document["time"]), bool(document["ended"]))
    except (KeyError, TypeError, ValueError, GitmlError) as error:
        raise FormatError(f"the note of a job can't be read: {error}") from None
