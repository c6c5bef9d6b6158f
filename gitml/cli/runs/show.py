"""`gitml runs show`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from gitml.cli import completing, output
from gitml.cli.here import recovered
from gitml.cli.names import run_argument
from gitml.cli.runs.page import Page
from gitml.errors import FormatError, UsageError, shown
from gitml.review.histories import histories
from gitml.review.view import RunCommit, RunView, commits, packages, view
from gitml.tracking import store
from gitml.tracking.metrics import Point
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord, to_document


@click.command()
@run_argument()
@click.option(
    "-m",
    "--metric",
    "metrics",
    multiple=True,
    metavar="KEY",
    shell_complete=completing.METRIC,
    help="Draw this metric.",
)
@click.option(
    "--format",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="json is the run's whole record.",
)
def show(run: str, metrics: tuple[str, ...], format: str) -> None:
    """Show all of a run, with the curves of its metrics."""
    place = recovered()
    found = view(place, store.resolve(place, run))
    made = commits(place, found)
    if format == "json":
        output.say_json({**to_document(found.record), **_commits(found, made)})
        return
    _check(metrics, found.record)
    page = Page(
        found,
        now=round(time.time() * 1000),
        width=output.width(),
        histories=_histories(place, found),
        packages=len(packages(place, found)),
        children=store.search(place, f"attributes.parent_run_id = '{found.record.run_id}'"),
        drawn=metrics,
        commits=made,
    )
    output.say(*page.lines())


def _commits(run: RunView, made: Sequence[RunCommit]) -> dict[str, Any]:
    """The newest commit of a run, the first one with its author, and who changed it since."""
    return {
        "run_commit": run.commit,
        "first_commit": made[0].commit if made else run.commit if run.files else None,
        "author": made[0].author if made else None,
        "changes": [asdict(change) for change in made[1:]],
    }


def _histories(place: Place, run: RunView) -> dict[str, list[Point]]:
    try:
        return histories(place, run.record, run.commit)
    except FormatError as error:
        output.warn(str(error))
        return {}


def _check(metrics: tuple[str, ...], record: RunRecord) -> None:
    for key in metrics:
        if key not in record.metrics:
            known = ", ".join(sorted(record.metrics)) or "none"
            raise UsageError(f"the run has no metric {shown(key)}; it has {known}")
