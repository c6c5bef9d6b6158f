"""`gitml registry list`."""

from __future__ import annotations

import time
from collections.abc import Mapping

import click

from gitml.cli import output
from gitml.cli.figures import age, minute
from gitml.cli.here import here
from gitml.cli.listing import format_option, show
from gitml.cli.table import Cell, Column, Table
from gitml.registry import catalog, desired, untagged
from gitml.registry.catalog import Catalog
from gitml.registry.files import ModelFile
from gitml.registry.rows import model_row

_EMPTY = "no models yet; register one: gitml registry register runs:/latest/model NAME"


@click.command("list")
@format_option
def list_models(format: str) -> None:
    """List the registered models by name, each with its latest version, stages and aliases."""
    place = here()
    book, decided = catalog.read(place.repo), desired.read_all(place)
    rows = [
        model_row(name, book.models.get(name, ()), decided.get(name, desired.NOTHING))
        for name in sorted({*book.models, *decided})
    ]
    show(format, rows, lambda: _table(book, decided, format), _EMPTY)
    for item in untagged.pending(place, decided):
        output.remark(untagged.hint(item, decided.get(item.name, desired.NOTHING)))
    for problem in book.problems:
        output.warn(problem)


def _table(book: Catalog, decided: Mapping[str, ModelFile], format: str) -> Table:
    columns = ("NAME", "LATEST", Column("VERSIONS", right=True), "STAGES", Column("ALIASES"))
    more = (Column("REGISTERED", optional=True), Column("DESCRIPTION", optional=True))
    now = round(time.time() * 1000)
    rows: list[list[Cell | str]] = []
    for name in sorted({*book.models, *decided}):
        file, versions = decided.get(name, desired.NOTHING), book.models.get(name, ())
        latest = book.latest(name) if versions else None
        rows.append(
            [
                Cell(name, "bold"),
                str(latest.version) if latest else "",
                str(len(versions)),
                held(file.stages),
                held(file.aliases),
                _when(latest.time, now, format) if latest else "",
                file.description,
            ]
        )
    return Table.of((*columns, *more), rows)


def _when(then: int, now: int, format: str) -> str:
    """When something happened: as a time in a document, which is read later."""
    return minute(then) if format == "md" else age(then, now)


def held(names: Mapping[str, object]) -> str:
    """Names with their versions, such as `production v1.0.0, staging v1.1.0`."""
    return ", ".join(f"{name} {version}" for name, version in names.items())
