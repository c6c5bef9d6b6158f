"""`gitml registry history`."""

from __future__ import annotations

import click

from gitml.cli import output
from gitml.cli.figures import minute
from gitml.cli.here import here
from gitml.cli.listing import format_option, show
from gitml.cli.registry.names import model_argument
from gitml.cli.table import Cell, Column, Table
from gitml.registry import desired, events, held, untagged
from gitml.registry.events import REGISTERED, Event
from gitml.registry.held import Held
from gitml.registry.stages import UNKNOWN

_NOBODY = "no version held a stage then"
_NOTHING = "nothing has happened yet"


@click.command()
@model_argument()
@click.option("--at", metavar="DATE", help="Who held which stage then, such as 2026-05-31.")
@format_option
def history(name: str, at: str | None, format: str) -> None:
    """Tell what happened to the model NAME, the oldest first: from git alone, also offline.

    With --at tell which version held which stage at the end of that day, or at a time such as
    2026-05-31T12:30, who approved it, and from which run, code and data it is. An approval of which
    only a tag tells that nobody has signed who may is marked as not proven.
    """
    place = here()
    if at is None:
        found = events.history(place, name)
        show(
            format, [events.to_document(event) for event in found], lambda: _table(found), _NOTHING
        )
        now = desired.read(place, name)
        for item in untagged.pending(place, {name: now}, name):
            output.remark(untagged.hint(item, now))
    else:
        then = held.at(place, name, held.moment_of(at))
        show(format, [held.to_document(it) for it in then], lambda: _held(then), _NOBODY)


def _table(found: list[Event]) -> Table:
    columns = ("WHEN", "EVENT", "VERSION", "BY", "RUN", Column("TAG", optional=True))
    return Table.of(columns, map(_row, found))


def _row(event: Event) -> list[Cell | str]:
    return [
        minute(event.time),
        event.what,
        Cell(event.version, "bold"),
        event.by.partition(" <")[0] if event.what == REGISTERED else _by(event.by, event.proven),
        event.run_id[-8:],
        event.tag,
    ]


def _by(people: str, proven: bool) -> str:
    """Who approved, as a stage's tag tells; whoever may push tags can make one that tells so."""
    return people.partition(" <")[0] + ("" if proven or people == UNKNOWN else " (not proven)")


def _held(found: list[Held]) -> Table:
    columns = ("STAGE", "VERSION", "SINCE", "APPROVED BY", "DECIDED BY", "RUN", "CODE", "DATA")
    return Table.of((*columns, Column("TAG", optional=True)), map(_held_row, found))


def _held_row(it: Held) -> list[Cell | str]:
    return [
        it.taken.tag.stage,
        Cell(str(it.taken.note.version), "bold"),
        minute(it.since),
        _by(it.approved_by or UNKNOWN, it.proven),
        (it.decided_by or "").partition(" <")[0],
        it.taken.note.run_id[-8:],
        ((it.run.code.commit if it.run else None) or "")[:12],
        ", ".join(dict.fromkeys(item.name for item in it.data)),
        str(it.taken.tag),
    ]
