"""`gitml registry sync`."""

from __future__ import annotations

from dataclasses import asdict

import click

from gitml.cli import output
from gitml.cli.here import here
from gitml.cli.listing import format_option, show
from gitml.cli.progress import progress_stages
from gitml.cli.table import Cell, Table
from gitml.registry import approving, syncing
from gitml.registry.syncing import CREATED, Synced

_STYLES = {CREATED: "green", syncing.MISSING: "yellow", syncing.WRONG: "bold red"}


@click.command()
@click.option("--dry-run", is_flag=True, help="Tell what is missing, and create nothing.")
@format_option
@click.pass_context
def sync(ctx: click.Context, dry_run: bool, format: str) -> None:
    """Create the tags of versions and stages that the main branch asks for, one push each.

    No tag is moved or deleted; it may run any number of times, also twice at once. Ends with 1
    when something stays out of sync, and says why.
    """
    with progress_stages() as progress:
        place = here()
        by = approving.of_forge(place)
        found = syncing.sync(place, dry_run=dry_run, approved_by=by, progress=progress)
    show(format, [asdict(it) for it in found], lambda: _table(found), "all is in sync")
    for it in found:
        if it.why and format == "table":
            output.warn(f"{it.tag}: {it.why}")
    ctx.exit(int(any(it.state != CREATED for it in found)))


def _table(found: list[Synced]) -> Table:
    rows = [
        (Cell(it.state, _STYLES[it.state]), it.tag, it.version, it.stage or "", it.commit[:12])
        for it in found
    ]
    return Table.of(["STATE", "TAG", "VERSION", "STAGE", "COMMIT"], rows)
