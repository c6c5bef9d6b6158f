"""`gitml deploy`."""

from __future__ import annotations

import os
from typing import Any

import click

from gitml.cli import output
from gitml.cli.here import here
from gitml.cli.listing import format_option, show
from gitml.cli.table import Table
from gitml.deploy import reconcile, reporting, wanted
from gitml.deploy.reconcile import FAILED, Note, Outcome, Wish
from gitml.deploy.wanted import Wanted
from gitml.errors import UsageError, shown
from gitml.tracking.place import Place

NOTHING_NAMED = (
    "nothing is deployed: gitml.yaml on the main branch names no deployments, or no model has a"
    " version in their stages"
)

offline_option = click.option(
    "--offline", is_flag=True, help="Take the main branch and tags as they were fetched last."
)
model_option = click.option("--model", metavar="NAME", help="Only this model.")


@click.command()
@click.pass_context
@click.argument("stage", required=False)
@model_option
@click.option("--down", is_flag=True, help="Serve nothing there, until the next deployment.")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@click.option(
    "--report/--no-report",
    "reports",
    default=lambda: os.environ.get("CI") == "true",
    help="Tell the forge what fails, on the pull request that decided it; by default in CI.",
)
@offline_option
@format_option
def deploy(
    ctx: click.Context,
    stage: str | None,
    model: str | None,
    down: bool,
    dry_run: bool,
    reports: bool,
    offline: bool,
    format: str,
) -> None:
    """Bring what runs to what the main branch says, in one stage or in all.

    What is deployed where is in gitml.yaml. A version that can't start, or does not predict for its
    own example, never serves; the one before goes on.
    """
    place = here()
    told = wanted.wanted(place, offline=offline)
    note = _note if format == "table" else lambda outcome: None
    stage = stage and stage.lower()
    if down:
        done = _down(place, told, stage, model, note)
    else:
        done = reconcile.deploy(place, told, Wish(stage, model, dry_run), output.remark, note)
    if reports and not (down or dry_run):
        reporting.report(place, told, done, output.warn)
    if format != "table":
        show(format, [row(outcome) for outcome in done], lambda: _table(done))
    elif not done:
        output.remark(NOTHING_NAMED)
    if any(outcome.done == FAILED for outcome in done):
        ctx.exit(1)


def _down(
    place: Place, told: Wanted, stage: str | None, model: str | None, note: Note
) -> list[Outcome]:
    if stage is None:
        raise UsageError("name the stage that is to be taken down: gitml deploy STAGE --down")
    done = reconcile.take_down(place, told, stage, model)
    for outcome in done:
        note(outcome)
    return done


def _table(done: list[Outcome]) -> Table:
    columns = ("STAGE", "MODEL", "VERSION", "RESULT", "WHY")
    rows = [[str(value or "") for value in list(row(it).values())[:6]] for it in done]
    return Table.of(columns, [[*cells[:3], *cells[4:]] for cells in rows])


def _note(outcome: Outcome) -> None:
    before = outcome.before
    version = f" {before.wanted.version}" if before.wanted else ""
    why = f": {outcome.why}" if outcome.why else ""
    output.say(f"{before.deployment.name}:{version} {outcome.done}{why}")
    for line in outcome.log:
        output.remark(f"    {shown(line)}")


def row(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON; its keys are stable."""
    before = outcome.before
    return {
        "stage": before.deployment.stage,
        "model": before.deployment.model,
        "version": str(before.wanted.version) if before.wanted else None,
        "was": before.live.version,
        "result": outcome.done.replace(" ", "_"),
        "why": outcome.why or None,
        "log": list(outcome.log),
    }
