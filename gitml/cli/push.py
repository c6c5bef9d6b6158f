"""`gitml push`."""

from __future__ import annotations

import click

from gitml.cli.here import recovered
from gitml.cli.progress import progress_stages
from gitml.cli.report import report
from gitml.tracking import exchange


@click.command()
@click.option(
    "--artifacts",
    is_flag=True,
    help="Look for the artifacts of all runs; upload again what the DVC remote has lost.",
)
@click.pass_context
def push(ctx: click.Context, artifacts: bool) -> None:
    """Publish runs, artifacts and registry tags: what the remote lacks, never by force.

    Ends with 1 when something stayed behind.
    """
    place = recovered()
    with progress_stages() as progress:
        done = exchange.push(place, artifacts=artifacts, progress=progress)
    ctx.exit(report(done, "pushed"))
