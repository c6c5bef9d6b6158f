"""Mirroring: what a spool holds of a run becomes journals among the live runs of a repository.

A journal is taken over line by line; the first line is the collector's own. It says what the
spool's said, as far as that may be believed, and what only the repository can tell: which commit
GITML_CODE is, and which experiment the run belongs to.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from gitml import faults, files, git
from gitml.documents import write_atomic
from gitml.errors import FormatError, shown
from gitml.tracking import journal, live, salvage, screening, snapshot, staging, store
from gitml.tracking.ledger import Entry
from gitml.tracking.place import Place
from gitml.tracking.record import Code, RunRecord, from_document, to_document
from gitml.tracking.seen import state_of
from gitml.tracking.session import now_ms
from gitml.tracking.spooled import Depot, Found

MAX_JOURNAL = 1 << 30  # bytes, of some 15 million points
_SIGN_MS = 60_000  # within which a writer that lives gives a sign of life
_NOBODY = live.Owner("", 0, "", "")
_ID = re.compile(r"[0-9a-f]{7,64}")
_NOT_TOLD = "GITML_CODE was not set where the run was written"


class _Sign(NamedTuple):
    """The last sign of life of a process, in ms, and whether it is known to be over."""

    time: int
    is_over: bool


class Note(NamedTuple):
    """How much of a journal was mirrored: bytes and lines of it, and the size of the mirror.

    `session` is what it is called in the run's record, `is_done` whether all of it is recorded
    and no more can come.
    """

    consumed: int = 0
    mirrored: int = 0
    lines: int = 0
    state: str = ""
    session: str = ""
    is_done: bool = False


@dataclass(frozen=True, slots=True)
class Mirror:
    """The mirror of one run of a spool, in the repository's folder `run`."""

    place: Place
    depot: Depot
    run: live.LiveRun
    entry: Entry | None

    def update(self, found: list[Found], notes: Mapping[str, Note]) -> dict[str, Note]:
        """Bring what is new into the repository, staged files first; how far that is.

        FormatError when what is there can't be of gitml: then the run stays where it is.
        """
        begun = {one.writer: begin for one in found if (begin := self._beginning(one))}
        starter = self._starter(begun)
        packages = begun[starter].requirements if starter in begun else ""
        updated = {}
        last = self._last_sign(starter, found)
        for one in sorted(found, key=lambda it: it.writer == starter):  # whose end ends the run
            begin = begun.get(one.writer)
            if begin is None:
                continue
            if one.writer != starter:
                if (kind := self._kind(one.writer, begin, last)) is None:
                    continue
                own = begin.requirements if begin.requirements != packages else ""
                begin = begin._replace(kind=kind, record=None, requirements=own)
            updated[one.writer] = self._one(one, begin, notes.get(one.writer, Note()))
        return updated

    def _beginning(self, found: Found) -> screening.Beginning | None:
        """The first line of a journal; of a damaged one what its name tells, None without one."""
        line, newline, _ = self.depot.head(found).partition(b"\n")
        if not newline:
            return None
        told = screening.beginning(line, found.run_id)
        if told is not None:
            return told
        writer = live.Writer(self.run.folder / f"{found.writer}.jsonl")
        event = salvage.beginning(self.place.repo, writer, "start", self.place.settings.experiment)
        record = from_document(event["record"])
        return screening.Beginning("start", _NOBODY, event["time"], record, "", None, {})

    def _starter(self, begun: Mapping[str, screening.Beginning]) -> str | None:
        """The writer that has started the run; others that say so resumed it.

        Once it is recorded, or live here, that holds for ever.
        """
        starts = {writer: begin for writer, begin in begun.items() if begin.kind == "start"}
        if self.entry is not None and (known := self.entry.record.sessions.get("start")):
            whose = (known.host, known.pid, known.start_time)
            return next(
                (w for w, it in starts.items() if (it.owner.host, it.owner.pid, it.time) == whose),
                None,
            )
        for writer in self.run.writers():
            with contextlib.suppress(OSError):
                first = (journal.first(writer.journal) or {}).get("begin", {})
                if first.get("kind") == "start":
                    return writer.name
        order = sorted((it.owner == _NOBODY, it.time, writer) for writer, it in starts.items())
        return order[0][2] if order else None

    def _last_sign(self, starter: str | None, found: Sequence[Found]) -> _Sign:
        """When the process that started the run was last heard of."""
        for one in found:
            if one.writer == starter:
                return _Sign(round(one.seen * 1000), one.is_over)
        writer = live.Writer(self.run.folder / f"{starter}.jsonl")
        with contextlib.suppress(OSError):
            begin = (journal.first(writer.journal) or {}).get("begin")
            if state_of(writer, begin) == live.ALIVE:
                return _Sign(now_ms(), is_over=False)
        return _Sign(self.entry.record.end_time or 0 if self.entry else 0, is_over=True)

    def _kind(self, writer: str, begin: screening.Beginning, last: _Sign) -> str | None:
        """What a writer is that did not start the run; None as long as that can't be told.

        One that says it did was told the run's id. Beside a starter who lives it joined the run,
        after one who is gone it resumed it, as a pod does that is started again. What it was
        taken for once, it is for ever: its session is called so.
        """
        if begin.kind != "start":
            return begin.kind
        with contextlib.suppress(OSError):
            known = journal.first(self.run.folder / f"{writer}.jsonl")
            if known is not None:
                return str(known["begin"]["kind"])
        sessions = self.entry.record.sessions if self.entry else {}
        for kind in ("join", "resume"):
            if f"{kind}-{writer[-8:]}" in sessions:
                return kind
        if last.time >= begin.time:
            return "join"
        return "resume" if last.is_over or now_ms() - begin.time > _SIGN_MS else None

    # -- one journal -----------------------------------------------------------------------

    def _one(self, found: Found, begin: screening.Beginning, note: Note) -> Note:
        target = self.run.folder / f"{found.writer}.jsonl"
        size = _size(target)
        if not size and note.consumed == found.size and self.covers(note):
            return note
        goes_on = size == note.mirrored and note.state == found.state and size > 0
        if goes_on and note.consumed == found.size:
            _touch(target, found.seen)
            return note
        if size and not _is_mirror(target):
            raise FormatError(f"its journal {shown(found.writer)} is also one of a run here")
        start = note.consumed if goes_on else 0
        data = self._read(found, start)
        consumed, lines, head = start + len(data), note.lines, b""
        if not goes_on:
            data, lines = data.partition(b"\n")[2], 1
            head = journal.line_of({"begin": self._first(found, begin)})
        with self._undone(found.writer, target):
            for name, told in screening.files_of(data, found.writer).items():
                self._fetch(name, told)
        faults.hit("collect.journal")
        written = _append(target, data) if goes_on else _write(target, head + data)
        _touch(target, found.seen)
        session = "start" if begin.kind == "start" else f"{begin.kind}-{found.writer[-8:]}"
        return Note(consumed, written, lines + data.count(b"\n"), found.state, session)

    def _read(self, found: Found, start: int) -> bytes:
        """The whole lines of a journal from a byte on. FormatError when it is too large."""
        if found.size > MAX_JOURNAL:
            raise FormatError(
                f"its journal {shown(found.writer)} has {found.size} bytes, at most {MAX_JOURNAL}"
                " are collected"
            )
        data = self.depot.read(found, start)
        return data if found.is_over else data[: data.rfind(b"\n") + 1]  # one is being written

    def covers(self, note: Note) -> bool:
        """Whether the run as it is recorded holds all that was mirrored of a journal."""
        sessions = self.entry.record.sessions if self.entry else {}
        parts = (it.lines for key, it in sessions.items() if key.split(".")[0] == note.session)
        return bool(note.session) and sum(parts) >= note.lines

    def _first(self, found: Found, begin: screening.Beginning) -> dict[str, Any]:
        """The first event of the mirror."""
        boot = live.OVER if found.state == live.DEAD else live.ELSEWHERE
        owner = replace(begin.owner, boot=boot)
        code, base = Code(), dict[str, Any]()
        if begin.kind in ("start", "resume"):
            code, base = self.code(begin.code)
        if begin.identity:
            base["identity"] = dict(begin.identity)
        first = {
            "schema": 1,
            "kind": begin.kind,
            "owner": live.owner_to_document(owner),
            "time": begin.time,
            "base": base,
            "mirrors": "spool",
        }
        if begin.requirements:
            first["requirements"] = begin.requirements
        if begin.record is not None:
            first["record"] = to_document(self._at_home(replace(begin.record, code=code)))
        return first

    def _at_home(self, record: RunRecord) -> RunRecord:
        """The record with the experiment that the repository knows by its name or id."""
        known = store.identify(self.place, record.experiment, record.experiment_id)
        return replace(record, experiment=known.name, experiment_id=known.id)

    def code(self, told: str | None) -> tuple[Code, dict[str, Any]]:
        """The code that GITML_CODE named, in this repository."""
        if told is None:
            return Code(incomplete={".": _NOT_TOLD}), {}
        if not _ID.fullmatch(told):
            return Code(incomplete={".": f"GITML_CODE was {shown(told)}, which is no id"}), {}
        repo = self.place.repo
        commit = git.resolve(repo, f"{told}^{{commit}}")
        if commit is not None:
            base = snapshot.told_by(repo, commit)
            dirty = base["commit"] != commit
            return Code(commit=base["commit"], tree=base["tree"], dirty=dirty), base
        tree = git.resolve(repo, f"{told}^{{tree}}")
        if tree is not None:
            return Code(tree=tree), {"tree": tree}
        return Code(incomplete={".": f"GITML_CODE was {told}, which is not in this repository"}), {}

    @contextlib.contextmanager
    def _undone(self, writer: str, journal: Path) -> Iterator[None]:
        """Leave no file of a journal that is refused, unless there is a part of it already."""
        try:
            yield
        except BaseException:
            if not journal.exists():
                staging.clear(self.run.files, writer)
                with contextlib.suppress(OSError):  # other journals are in it
                    self.run.folder.rmdir()
            raise

    def _fetch(self, name: str, told: Mapping[str, Any]) -> None:
        """Have a staged file beside the journals, with the content that was logged."""
        target = self.run.files / name
        if target.exists():
            return
        files.make_folder(target.parent)
        draft = target.with_name(f"{name}.part")
        draft.unlink(missing_ok=True)
        try:
            self.depot.fetch(self.run.run_id, name, draft, told["size"])
            if files.hash_file(draft) != files.Digest(told["md5"], told["sha256"], told["size"]):
                raise FormatError(f"its artifact {shown(told['path'])} is not what was logged")
            faults.hit("collect.file")
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)


def _is_mirror(path: Path) -> bool:
    first = journal.first(path) or {}
    return first.get("begin", {}).get("mirrors") is not None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _append(path: Path, data: bytes) -> int:
    with path.open("ab") as file:
        file.write(data)
        return file.tell()


def _write(path: Path, data: bytes) -> int:
    files.make_folder(path.parent)
    write_atomic(path, data)
    return len(data)


def _touch(path: Path, seen: float) -> None:
    """Give the mirror the writer's last sign of life."""
    with contextlib.suppress(OSError):
        os.utime(path, (seen, seen))
