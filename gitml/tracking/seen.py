"""What the journals of a live run hold, and what is known of their writers, at one moment."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gitml import locks
from gitml.errors import FormatError
from gitml.tracking import holding, journal, live, salvage, screening
from gitml.tracking.fold import STARTS, Part
from gitml.tracking.ledger import Entry
from gitml.tracking.place import Place


class Seen(NamedTuple):
    """A journal at one moment: its first event, and what is known of its writer.

    The state is looked at before the lines are read: of a dead writer they are all read.
    """

    writer: live.Writer
    begin: Mapping[str, Any] | None  # None when it was never wholly written
    state: str

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be written."""
        return self.state == live.DEAD

    @property
    def starts(self) -> bool:
        """Whether the run goes on as long as this writer does."""
        return self.begin is not None and self.begin["kind"] in STARTS


def look(run: live.LiveRun) -> list[Seen]:
    """The journals of a run that are there; another process may record them at any time."""
    found = []
    for writer in run.writers():
        with contextlib.suppress(FileNotFoundError):
            event = journal.first(writer.journal)
            begin = event.get("begin") if event else None
            if begin is not None:
                _check(begin, run, writer)
            found.append(Seen(writer, begin, state_of(writer, begin)))
    return found


def _check(begin: Mapping[str, Any], run: live.LiveRun, writer: live.Writer) -> None:
    """Refuse a first line that names to git anything but objects, and a ref of this run.

    Whoever can write into the repository's folder, or has made the folder that was downloaded, may
    have written it, and what git is told moves branches.
    """
    base = begin.get("base") or {}
    names = [base[key] for key in ("commit", "tree", "live") if base.get(key) is not None]
    ref = base.get("ref")
    is_sound = (
        begin["kind"] in screening.KINDS
        and all(_OBJECT.fullmatch(name) for name in names)
        and (ref is None or holding.is_of(ref, run.run_id))
        and isinstance(begin["owner"]["pid"], int)
        and (begin["kind"] != "start" or begin["record"]["run_id"] == run.run_id)
    )
    if not is_sound:
        raise FormatError(
            f"the first line of the journal {writer.name} is not gitml's; to let go of what it"
            f" holds, run: {shlex.join(['rm', str(writer.journal)])}"
        )


_OBJECT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def state_of(writer: live.Writer, begin: Mapping[str, Any] | None) -> str:
    """What is known of a journal's writer; one that came to its end counts as dead."""
    if begin is None and b"\n" not in writer.journal.read_bytes():
        # without a whole line it acknowledged nothing
        return live.ALIVE if locks.is_held(writer.lock) else live.DEAD
    if journal.has_ended(writer.journal):
        return live.DEAD
    return writer.state(live.owner_from_document(begin["owner"]) if begin else None)


def parts_of(seen: Sequence[Seen], entry: Entry | None, place: Place | None = None) -> list[Part]:
    """What the journals add to the run as it is recorded; with `place` damaged ones do too."""
    if place is not None:
        seen = _salvaged(place, seen, entry)
    known = entry.record.sessions if entry else {}
    parts = []
    for item in seen:
        with contextlib.suppress(FileNotFoundError):
            if item.begin and (part := _part(item, item.begin, known)) is not None:
                parts.append(part)
    return parts


def _salvaged(place: Place, seen: Sequence[Seen], entry: Entry | None) -> list[Seen]:
    """The journals, dead ones whose first line is damaged with another in its place.

    One of them is the run's start when nothing else is.
    """
    has_start = entry is not None or any(it.begin and it.begin["kind"] == "start" for it in seen)
    found = []
    for item in seen:
        if item.begin is None and item.is_over:
            kind = "join" if has_start else "start"
            experiment = place.settings.experiment
            begin = salvage.beginning(place.repo, item.writer, kind, experiment)
            item, has_start = item._replace(begin=begin), True
        found.append(item)
    return found


def _part(seen: Seen, begin: Mapping[str, Any], known: Mapping[str, Any]) -> Part | None:
    """What a journal adds to the sessions `known`; None when it adds nothing."""
    name, place = _session_id(seen.writer, begin), seen.writer.journal
    mine = [session for key, session in known.items() if key.split(".")[0] == name]
    contents = journal.read(place, sum(session.lines for session in mine))
    if contents.lines == 0:
        return None
    return Part(
        session=f"{name}.{len(mine) + 1}" if mine else name,
        begin=begin,
        events=contents.events,
        lines=contents.lines,
        skipped=contents.skipped,
        last_seen=round(place.stat().st_mtime * 1000),
        alive=seen.state == live.ALIVE,
    )


def _session_id(writer: live.Writer, begin: Mapping[str, Any]) -> str:
    """A session's name: that of the start is the same in every run, so that git can compare."""
    kind = str(begin["kind"])
    return kind if kind == "start" else f"{kind}-{writer.name.rpartition('-')[2]}"
