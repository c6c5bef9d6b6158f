"""The courier: the process that carries what is written on this machine to a spool's URL.

A store of objects can't append: a journal becomes segments, `<writer>.jsonl/<offset>`, each named
by the byte at which it begins, each written once. What a segment names, it comes after. Beside it

    <writer>.beat             written every half minute as long as the writer lives
    <writer>.ended, .dead     written when all of a journal is there, and no more will come

There is one courier for all processes of a user that write to one URL. It lives as long as one of
them does, and some minutes more when the network is down: a training that is killed loses nothing
then, and none waits for the network, but at its exit for some seconds. What a machine takes with it
when it dies is what was logged in the last seconds.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gitml import config, locks, process
from gitml.documents import load_json, write_atomic
from gitml.errors import GitmlError, StorageError, UsageError
from gitml.files import make_folder, shown_path
from gitml.storage import Bucket
from gitml.tracking import beats, journal, live, screening, staging
from gitml.tracking.spool import Spool, url_of

SEGMENT_SECONDS = 5.0  # at least between two segments of a journal
BEAT_SECONDS = 30.0
MAX_SEGMENT = 1 << 23
_LOOK = 0.3  # seconds between two looks at the folder, which cost nothing
_IDLE_SECONDS = 10.0  # that a courier waits for the next run
_PATIENCE = 900.0  # seconds without a writer, and without success, after which it gives up
_PAUSES = (2.0, 5.0, 10.0, 20.0, 30.0)  # after failures
ENDED = "ended"

_ARTIFACT = b'"artifact":'
_CRC = 18  # bytes before the name of an event
_NOTE = re.compile(r"([0-9a-f]{32})\.(json|wanted)(\.[0-9]+)?")


def segment(run_id: str, writer: str, offset: int) -> str:
    """The name of the segment of a journal that begins at a byte."""
    return f"live/{run_id}/{writer}.jsonl/{offset:012d}"


def contiguous(sizes: dict[int, int]) -> int:
    """How many bytes of a journal are there without a gap, of segments by their offset."""
    end = 0
    while size := sizes.get(end):
        end += size
    return end


@dataclass(slots=True)
class _Load:
    """What is known of a journal on its way: how much of it has arrived, and when it was heard of.

    `tried` is the size of a segment that may have arrived, or not: it is sent again as it is.
    """

    sent: int = 0
    tried: int = 0
    at: float = 0.0
    beat: float = 0.0


@dataclass(slots=True)
class Courier:
    """What carries the folder `home` to a bucket; what is there already is not sent again."""

    home: Path
    bucket: Bucket
    loads: dict[Path, _Load] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    notes: dict[str, int] = field(default_factory=dict)

    def round(self, *, now: bool = False) -> bool:
        """Carry what is due, with `now` everything; whether a writer lives or something is left."""
        self._carry_notes()
        is_busy = False
        for run in live.runs(self.home):
            for writer in run.writers():
                with contextlib.suppress(FileNotFoundError):
                    is_busy = self._carry(run, writer, now) or is_busy
            with contextlib.suppress(OSError):  # a run whose writers are gone, or not yet there
                if time.time() - run.folder.stat().st_mtime > _IDLE_SECONDS:
                    _clear(run)
        return is_busy

    def _carry(self, run: live.LiveRun, writer: live.Writer, now: bool) -> bool:
        """Bring what is new in a journal to the bucket; whether more is to come, or left."""
        over = _over(writer)  # asked before the size: what is over has written all
        load = self.loads.get(writer.journal) or self._known(run, writer)
        size = writer.journal.stat().st_size
        is_due = now or over or load.tried or time.monotonic() - load.at > SEGMENT_SECONDS
        while is_due and load.sent < size and self._send(run, writer, load, bool(over)):
            pass
        if over and load.sent >= size:
            self.bucket.put(f"live/{run.run_id}/{writer.name}.{over}", b"\n")
            self._let_go(run, writer, size)
            return False
        if not over and time.monotonic() - max(load.beat, load.at) > BEAT_SECONDS:
            self.bucket.put(f"live/{run.run_id}/{writer.name}.beat", b"\n")
            load.beat = time.monotonic()
        return True

    def _known(self, run: live.LiveRun, writer: live.Writer) -> _Load:
        """What the bucket has of a journal: another courier may have carried a part of it."""
        found = self.bucket.list(f"live/{run.run_id}/")
        start = segment(run.run_id, writer.name, 0)[:-12]
        sizes = {int(n[-12:]): it.size for n, it in found.items() if n.startswith(start)}
        self.files |= {name for name in found if "/files/" in name}
        load = self.loads[writer.journal] = _Load(sent=contiguous(sizes))
        return load

    def _send(self, run: live.LiveRun, writer: live.Writer, load: _Load, whole: bool) -> bool:
        """Send one segment, after the files that it names; whether there was one to send."""
        with writer.journal.open("rb") as file:
            file.seek(load.sent)
            data = file.read(load.tried or MAX_SEGMENT)
            if not load.tried:
                data = _lines(data + (file.readline() if len(data) == MAX_SEGMENT else b""), whole)
        if not data:
            return False
        for name in _staged(data):
            self._send_file(run, name)
        load.tried = len(data)
        self.bucket.put(segment(run.run_id, writer.name, load.sent), data)
        load.sent, load.tried, load.at = load.sent + len(data), 0, time.monotonic()
        return True

    def _send_file(self, run: live.LiveRun, name: str) -> None:
        target = f"live/{run.run_id}/files/{name}"
        if target not in self.files and screening.is_staged(name):
            with contextlib.suppress(FileNotFoundError):  # it can't be helped
                self.bucket.put_file(target, run.files / name)
                self.files.add(target)

    def _let_go(self, run: live.LiveRun, writer: live.Writer, size: int) -> None:
        """Remove a journal that has arrived, with its files, once the bucket says so."""
        self.loads.pop(writer.journal)
        if self._known(run, writer).sent != size:
            raise StorageError(f"the journal {writer.name} has not arrived as it was sent")
        self.loads.pop(writer.journal)
        staging.clear(run.files, writer.name)
        writer.lock.unlink(missing_ok=True)
        writer.journal.unlink(missing_ok=True)  # last: its writer waits for that
        _clear(run)

    def _carry_notes(self) -> None:
        """Bring the notes of jobs to the bucket, and from there those that somebody waits for."""
        for path in _entries(self.home / "jobs"):
            found = _NOTE.fullmatch(path.name)
            if found is None:
                continue
            with contextlib.suppress(FileNotFoundError):
                if found[2] == "json":
                    self._carry_note(path)
                else:
                    self._bring_note(path.with_name(f"{found[1]}.json"))
                    path.unlink()

    def _carry_note(self, path: Path) -> None:
        changed = path.stat().st_mtime_ns
        if self.notes.get(path.name) != changed:
            self.bucket.put(f"jobs/{path.name}", path.read_bytes())
            self.notes[path.name] = changed

    def _bring_note(self, path: Path) -> None:
        data = self.bucket.read_or_none(f"jobs/{path.name}")
        if data is not None and (not path.exists() or path.read_bytes() != data):
            write_atomic(path, data)
            self.notes[path.name] = path.stat().st_mtime_ns


def _over(writer: live.Writer) -> str | None:
    """In a word, why a writer says no more; None as long as it lives."""
    if journal.has_ended(writer.journal):
        return ENDED
    first = journal.first(writer.journal)
    owner = live.owner_from_document(first["begin"]["owner"]) if first else None
    return live.DEAD if writer.state(owner) == live.DEAD else None


def _lines(data: bytes, whole: bool) -> bytes:
    """The whole lines of `data`; all of it when it is the last."""
    return data if whole else data[: data.rfind(b"\n") + 1]


def _staged(data: bytes) -> Iterator[str]:
    """The staged files that lines of a journal name."""
    for line in data.split(b"\n"):
        if line.startswith(_ARTIFACT, _CRC) and journal.is_whole(line):
            yield load_json(line, "a line of the journal")["artifact"]["file"]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _clear(run: live.LiveRun) -> None:
    """Remove the folder of a run once nothing is in it."""
    for folder in (run.files, run.folder):
        with contextlib.suppress(OSError):
            folder.rmdir()


def send_on(source: Spool, target: Spool) -> int:
    """Carry what is in a folder to another spool's URL, now; how many writers there go on.

    UsageError when the one is no folder, or the other no URL; StorageError when it can't be sent.
    """
    if source.url is not None or target.url is None:
        raise UsageError("runs are sent on from a folder to a URL, such as s3://bucket/spool")
    lock = locks.acquire(source.home / _LOCK) if source.home.is_dir() else None
    if lock is None:
        raise StorageError(f"{shown_path(source.home)} is sent already, or there is no such folder")
    try:
        Courier(source.home, Bucket(target.url)).round(now=True)
        return sum(len(run.writers()) for run in live.runs(source.home))
    finally:
        locks.release(lock)


# -- the process ------------------------------------------------------------------------------


def work(home: Path, url: str) -> None:
    """Carry until nothing is left to do; of two couriers of a folder one does nothing."""
    lock = locks.acquire(home / _LOCK)
    if lock is None:
        return
    try:
        (home / _PID).write_text(str(os.getpid()), "utf-8")
        _work(home, url)
    finally:
        locks.release(lock)


def _work(home: Path, url: str) -> None:
    courier: Courier | None = None
    failures, busy, good = 0, time.monotonic(), time.monotonic()
    while True:
        try:
            courier = courier or Courier(home, Bucket(url))
            is_busy = courier.round()
            failures, good = 0, time.monotonic()
            _say(home, None)
        except (GitmlError, OSError) as error:
            is_busy, failures = True, failures + 1
            courier = None  # what has arrived is asked for again
            _say(home, str(error))
        busy = time.monotonic() if is_busy else busy
        if time.monotonic() - busy > _IDLE_SECONDS:
            return
        if time.monotonic() - good > _PATIENCE and not _lives(home):
            return
        time.sleep(_PAUSES[min(failures, len(_PAUSES)) - 1] if failures else _LOOK)


def _lives(home: Path) -> bool:
    """Whether any writer in the folder does."""
    for run in live.runs(home):
        for writer in run.writers():
            with contextlib.suppress(OSError):
                if _over(writer) is None:
                    return True
    return False


_LOCK, _LOG, _PID, _PROBLEM = (f"courier.{name}" for name in ("lock", "log", "pid", "problem"))


def _say(home: Path, problem: str | None) -> None:
    """Keep what is wrong for those who ask."""
    path = home / _PROBLEM
    with contextlib.suppress(OSError):
        if problem is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(problem, "utf-8")


def problem_of(home: Path) -> str | None:
    """What is in the way of the courier now."""
    try:
        return (home / _PROBLEM).read_text("utf-8")
    except OSError:
        return None


def employ(spool: Spool) -> None:
    """Have a courier for the spool, unless one is at work; costs milliseconds and never fails."""
    with contextlib.suppress(OSError, RuntimeError):  # no process, or an end that is near
        make_folder(spool.home)
        if sys.executable and not locks.is_held(spool.home / _LOCK):
            argv = (sys.executable, "-m", "gitml.tracking.courier", str(spool.home))
            environment = {**os.environ, "GITML_SPOOL": spool.url or ""}
            process.detach(argv, cwd=process.AT_HOME, env=environment, log=spool.home / _LOG)


@dataclass(eq=False)
class Employer:
    """What sees to it that a spool has a courier as long as this process writes to it."""

    spool: Spool

    def start(self) -> None:
        """Begin to look after it."""
        employ(self.spool)
        beats.watch(self)

    def own(self) -> list[Path]:
        """The journals of this process that have not arrived."""
        mine = f"-{os.getpid()}-"
        return [
            writer.journal
            for run in live.runs(self.spool.home)
            for writer in run.writers()
            if mine in writer.name
        ]

    @property
    def is_closed(self) -> bool:
        """Whether everything has arrived."""
        return not self.own()

    is_due = False

    def beat(self) -> None:
        """Look whether there is a courier."""
        employ(self.spool)

    def wait(self, seconds: float) -> bool:
        """Wait until everything has arrived; whether it has."""
        deadline = time.monotonic() + seconds
        while self.own():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def main(home: str) -> None:
    """Carry what is in the folder to the spool that GITML_SPOOL names."""
    url = url_of(config.variables().spool or "")
    if url is not None:
        work(Path(home), url)


if __name__ == "__main__":
    main(sys.argv[1])
