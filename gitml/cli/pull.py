"""`gitml pull`."""

from __future__ import annotations

import click

from gitml.cli.here import recovered
from gitml.cli.progress import progress_stages
from gitml.cli.report import report
from gitml.tracking import exchange


@click.command()
@click.option(
    "--artifacts", is_flag=True, help="Fetch the artifacts of all runs, as far as they lack here."
)
@click.pass_context
def pull(ctx: click.Context, artifacts: bool) -> None:
    """Bring in the runs and registry tags of others.

    Runs that changed here and there are merged; there is never a conflict to solve. Ends with 1
    when something looks wrong, such as a tag that was moved or an artifact that did not come, and
    with 3 when the remote's ledger can't be read: its tags come all the same.
    """
    place = recovered()
    with progress_stages() as progress:
        done = exchange.pull(place, artifacts=artifacts, progress=progress)
    ctx.exit(report(done, "pulled"))
