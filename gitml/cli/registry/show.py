"""`gitml registry show`."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click
from rich.text import Text

from gitml.cli import output
from gitml.cli.figures import age
from gitml.cli.here import here
from gitml.cli.listing import show_table
from gitml.cli.plain import plain
from gitml.cli.registry.list import held
from gitml.cli.registry.names import model_argument
from gitml.cli.table import Cell, Column, Table
from gitml.registry import catalog, desired, untagged
from gitml.registry.catalog import Registered
from gitml.registry.files import ModelFile
from gitml.registry.rows import model_row, version_row


@click.command()
@model_argument()
@click.option("--format", type=click.Choice(["table", "json"]), default="table", show_default=True)
def show(name: str, format: str) -> None:
    """Show a registered model: what was decided about it, and its versions, the newest first."""
    place = here()
    book = catalog.read(place.repo)
    now = desired.read(place, name)
    waiting = untagged.pending(place, {name: now}, name)
    begun = waiting or name in desired.names(place)  # a model without versions has a file
    versions = book.models.get(name, ()) if begun else book.versions(name)
    if format == "json":
        rows = [version_row(item, now) for item in versions]
        output.say_json({**model_row(name, versions, now), "versions": rows})
        return
    output.say(*_head(name, now))
    for item in waiting:
        output.remark(untagged.hint(item, now))
    if versions:
        show_table(_table(versions, now))
    elif not waiting:
        output.remark(f"no versions yet; gitml registry register runs:/latest/model {name}")


def _head(name: str, now: ModelFile) -> Iterator[Text]:
    yield _field("model", name)
    for title, value in (
        ("description", now.description),
        ("owners", ", ".join(now.owners)),
        ("stages", held(now.stages)),
        ("aliases", held(now.aliases)),
    ):
        if value:
            yield _field(title, value)
    yield Text()


def _field(name: str, value: str) -> Text:
    return Text.assemble((f"{name:13}", "bold"), plain(value))


def _table(versions: tuple[Registered, ...], now: ModelFile) -> Table:
    columns = ("VERSION", Column("NO", right=True), "HOLDS", "RUN", "PATH", "CHANGE")
    more = (Column("REGISTERED", optional=True), Column("BY", optional=True))
    moment = round(time.time() * 1000)
    return Table.of((*columns, *more), [_row(item, now, moment) for item in reversed(versions)])


def _row(item: Registered, now: ModelFile, moment: int) -> list[Cell | str]:
    told = version_row(item, now)
    holds = [*told["stages"], *told["aliases"], *(["archived"] if told["archived"] else [])]
    return [
        Cell(str(item.version), "bold"),
        str(item.ordinal),
        ", ".join(holds),
        item.note.run_id[-8:],
        item.note.path,
        item.note.change,
        age(item.time, moment),
        item.note.by.partition(" <")[0],
    ]
