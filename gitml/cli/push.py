"""`gitml push`."""

from __future__ import annotations

from pathlib import Path

import click

from gitml.cli.here import recovered
from gitml.cli.progress import progress_stages
from gitml.cli.report import report
from gitml.tracking import bundling, exchange


@click.command()
@click.option(
    "--artifacts",
    is_flag=True,
    help="Look for the artifacts of all runs; upload again what the DVC remote has lost.",
)
@click.option(
    "--from-bundle", "bundle", metavar="FILE", type=click.Path(exists=True, path_type=Path),
    help="Take in the runs of a bundle first: whole new ones, and nothing else that is in it.",
)  # fmt: skip
@click.pass_context
def push(ctx: click.Context, artifacts: bool, bundle: Path | None) -> None:
    """Publish runs, artifacts and registry tags: what the remote lacks, never by force.

    Ends with 1 when something stayed behind.
    """
    place = recovered()
    if bundle is not None:
        with bundling.read(place, bundle) as arrived:
            bundling.add(place, arrived)
    with progress_stages() as progress:
        done = exchange.push(place, artifacts=artifacts, progress=progress)
    ctx.exit(report(done, "pushed"))
