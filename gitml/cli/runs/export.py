"""`gitml runs export`."""

from __future__ import annotations

from pathlib import Path

import click

from gitml.cli import output
from gitml.cli.figures import plural
from gitml.cli.here import recovered
from gitml.cli.listing import csv_text
from gitml.cli.plain import json_text
from gitml.cli.searching import Query, search_options
from gitml.documents import write_atomic
from gitml.errors import UsageError, shown
from gitml.review.parquet import parquet
from gitml.review.rows import row

_BINARY = "parquet"
_FORMATS = ("csv", "json", _BINARY)


@click.command()
@search_options
@click.option("--format", type=click.Choice(_FORMATS),
              help="By default what the name of FILE ends with, csv where it has no ending;"
              " parquet needs the extra of that name.")  # fmt: skip
@click.option(
    "-O",
    "--output",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write it here; by default to standard output.",
)
def export(query: Query, format: str | None, file: Path | None) -> None:
    """Write runs with all of their params, metrics and tags as CSV, JSON or Parquet."""
    format = format or _format_of(file)
    if file is None and format == _BINARY:
        raise UsageError("parquet is not text; name a file: --output FILE")
    found = query.search(recovered()).runs
    documents = [row(run.record) for run in found]
    if format == _BINARY:
        data = parquet(documents)
    else:
        data = (json_text(documents) if format == "json" else csv_text(documents)).encode()
    if file is None:
        output.say_text(data.decode())
    else:
        write_atomic(file, data)
        output.remark(f"{plural(len(found), 'run')} written to {file}")


def _format_of(file: Path | None) -> str:
    """The format that a file's name tells: one that says nothing holds CSV, as the output does."""
    suffix = "" if file is None else file.suffix.lower().lstrip(".")
    if suffix and suffix not in _FORMATS:
        endings = ", ".join(f".{name}" for name in _FORMATS)
        raise UsageError(
            f"no format is called {shown(suffix)}; let the file's name end with one of {endings},"
            " or choose one with --format"
        )
    return suffix or "csv"
