"""`gitml status`."""

from __future__ import annotations

import click

from gitml.cli.deploy import NOTHING_NAMED, model_option, offline_option
from gitml.cli.here import here
from gitml.cli.listing import format_option, show
from gitml.cli.table import Cell, Column, Table
from gitml.deploy import state, wanted
from gitml.deploy.deployments import chosen
from gitml.deploy.state import State
from gitml.deploy.telling import row

_STYLES = {
    state.SYNCED: "green",
    state.HEALTHY: "green",
    state.OUT_OF_SYNC: "yellow",
    state.DEGRADED: "red",
    state.MISSING: "red",
    state.UNKNOWN: "red",
}


@click.command()
@click.pass_context
@click.argument("stage", required=False)
@model_option
@offline_option
@click.option("--check", is_flag=True, help="Exit with 1 unless all is synced and healthy.")
@format_option
def status(
    ctx: click.Context,
    stage: str | None,
    model: str | None,
    offline: bool,
    check: bool,
    format: str,
) -> None:
    """Show what should run, by the main branch, and what does."""
    place = here()
    told = wanted.wanted(place, offline=offline)
    named = wanted.stages(place, told)
    some = chosen(told.deployments, stage and stage.lower(), model, named)
    found = wanted.states(place, told, some)
    show(format, [row(one) for one in found], lambda: _table(found), NOTHING_NAMED)
    if check and not all(one.is_fine for one in found):
        ctx.exit(1)


def _table(found: list[State]) -> Table:
    columns = ("STAGE", "MODEL", "WANTED", "LIVE", "SYNC", "HEALTH", Column("NOTE", optional=True))
    return Table.of(columns, [_cells(one) for one in found])


def _cells(one: State) -> list[Cell | str]:
    return [
        one.deployment.stage,
        one.deployment.model,
        str(one.wanted.version) if one.wanted else "",
        one.live.version or "",
        Cell(one.sync, _STYLES[one.sync]),
        Cell(one.health, _STYLES[one.health]),
        one.note,
    ]
