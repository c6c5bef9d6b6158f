"""Listings: one set of documents, shown as a table, as JSON, as CSV or as Markdown.

    @format_option
    def command(format: str) -> None:
        show(format, documents, lambda: Table.of(["NAME"], rows))

JSON keys are a contract. CSV has a column for each of them, nested ones joined by a dot.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from gitml.cli import output
from gitml.cli.plain import plain, plain_lines
from gitml.cli.table import Table
from gitml.review.rows import flat_rows

FORMATS = ("table", "json", "csv", "md")
F = TypeVar("F", bound=Callable[..., Any])


def format_option(function: F) -> F:
    """Give a command the option `--format`."""
    return click.option(
        "--format",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to show it; json and csv have every field.",
    )(function)


def show(
    format: str,
    documents: Sequence[Mapping[str, Any]],
    table: Callable[[], Table],
    empty: str = "nothing to list",
) -> None:
    """Write a listing in the format; `empty` is the remark on a table without rows."""
    if format == "json":
        output.say_json(documents)
    elif format == "csv":
        output.say_text(csv_text(documents))
    elif format == "md":
        output.say_raw(table().markdown())
    elif not documents:
        output.remark(empty)
    else:
        show_table(table())


def show_table(table: Table) -> None:
    """Write a table for people; columns that have no room are named instead."""
    fitting, dropped = table.fitting(output.width())
    output.say(*fitting.lines())
    if dropped:
        output.remark(_no_room(dropped, output.width()))


def _no_room(titles: list[str], width: int) -> str:
    """The columns that were left out, as many of them as a line can name."""
    line = "no room for " + ", ".join(map(plain, titles))
    if len(line) <= width:
        return line
    kept = line[: width - 16].rpartition(", ")[0]
    return f"{kept} and {len(titles) - kept.count(', ') - 1} more"


def csv_text(documents: Sequence[Mapping[str, Any]]) -> str:
    """Documents as CSV, one line each; lists and mappings inside a column are JSON."""
    names, rows = flat_rows(documents)
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow([_cell(name) for name in names])
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return target.getvalue()


def _cell(value: Any) -> str:
    if value is None or value == []:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)
    return text if text.isprintable() else "\n".join(plain_lines(text))
