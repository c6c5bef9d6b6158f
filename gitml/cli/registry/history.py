"""`gitml registry history`."""

from __future__ import annotations

import click

from gitml.cli.figures import minute
from gitml.cli.here import here
from gitml.cli.listing import format_option, show
from gitml.cli.registry.names import model_argument
from gitml.cli.table import Cell, Column, Table
from gitml.registry import events
from gitml.registry.events import Event


@click.command()
@model_argument()
@format_option
def history(name: str, format: str) -> None:
    """Tell what happened to the model NAME, the oldest first: from git alone, also offline."""
    found = events.history(here().repo, name)
    show(format, [events.to_document(event) for event in found], lambda: _table(found))


def _table(found: list[Event]) -> Table:
    columns = ("WHEN", "EVENT", "VERSION", "BY", "RUN", Column("TAG", optional=True))
    return Table.of(columns, map(_row, found))


def _row(event: Event) -> list[Cell | str]:
    return [
        minute(event.time),
        event.what,
        Cell(event.version, "bold"),
        event.by.partition(" <")[0],
        event.run_id[-8:],
        event.tag,
    ]
