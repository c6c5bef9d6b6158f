"""`gitml runs list`."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from gitml.cli import completing, output
from gitml.cli.figures import plural
from gitml.cli.here import recovered
from gitml.cli.listing import format_option, show
from gitml.cli.runs.columns import Sheet, legend
from gitml.cli.searching import Query, search_options
from gitml.documents import near_miss
from gitml.errors import UsageError, shown
from gitml.review.histories import curves
from gitml.review.rows import row
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord

_LINES = 50
_PROBLEMS = 3


@click.command("list")
@search_options
@click.option(
    "-c", "--columns", metavar="NAMES", help="Such as run,metrics.auc,params.*,tags.team."
)
@click.option(
    "-m",
    "--metric",
    metavar="KEY",
    shell_complete=completing.METRIC,
    help="Draw this metric's curve in every line.",
)
@format_option
def list_runs(query: Query, columns: str | None, metric: str | None, format: str) -> None:
    """List runs, the newest first.

    The best value of each metric is marked; params are shown where they differ. A table has at
    most 50 lines unless --limit says otherwise.
    """
    if columns and format in ("csv", "json"):
        raise UsageError(f"--columns chooses what a table shows; {format} has every field")
    place = recovered()
    found = query.search(place, _LINES if format in ("table", "md") else None)
    records = [run.record for run in found.runs]
    if metric and records:
        _check_known(metric, records)
    empty = "" if records else _empty(place, query)
    wanted = [name.strip() for name in columns.split(",") if name.strip()] if columns else []
    drawn = curves(place, found.runs, metric) if metric else ()
    sheet = Sheet(records, round(time.time() * 1000), metric, drawn)
    start = "time" if format == "md" else "started"  # a document is read later
    show(format, [row(it) for it in records], lambda: sheet.table(wanted, start), empty)
    if format in ("table", "md") and records:
        more = found.total - len(records)
        output.remark(*([f"{plural(more, 'more run')}; see --limit"] if more else []))
        output.remark(*legend(records))
    for problem in found.problems[:_PROBLEMS]:
        output.warn(problem)


def _check_known(metric: str, records: Sequence[RunRecord]) -> None:
    if not any(metric in record.metrics for record in records):
        known = sorted({key for record in records for key in record.metrics})
        hint = near_miss(metric, known)
        raise UsageError(f"none of these runs has a metric {shown(metric)}{hint}")


def _empty(place: Place, query: Query) -> str:
    if query == Query(limit=query.limit):
        return "no runs yet; a script with gitml.start_run() records one"
    return f"no run matches{query.unknown(place)}"
