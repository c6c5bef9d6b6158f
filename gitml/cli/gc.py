"""`gitml gc`."""

from __future__ import annotations

import time

import click

from gitml.cli import output
from gitml.cli.figures import age, plural, size
from gitml.cli.here import recovered
from gitml.cli.listing import show_table
from gitml.cli.plain import plain
from gitml.cli.progress import progress_stages
from gitml.cli.table import Cell, Table
from gitml.storage import StoredObject
from gitml.tracking import garbage

_DAYS = click.FloatRange(min=0)


@click.command()
@click.option(
    "--older-than", type=_DAYS, metavar="DAYS", default=0.0, help="Only runs deleted so long ago."
)
@click.option("--remote", is_flag=True, help="Objects in the DVC remote too.")
@click.option(
    "--keep",
    type=_DAYS,
    metavar="DAYS",
    default=garbage.Options().keep,
    show_default=True,
    help="Leave younger objects in the remote: a run on its way may need them.",
)
@click.option("--yes", is_flag=True, help="Do it; without, it is only listed.")
@click.pass_context
def gc(ctx: click.Context, older_than: float, remote: bool, keep: float, yes: bool) -> None:
    """Take deleted runs out for good, and artifacts that nothing names any more.

    A run that was taken out can't be restored, in no clone. Artifacts go that no run, tag or
    tracked pointer names; with --remote, all git remotes are asked first. Deleted runs that were
    pushed go only when the remote could be asked whether somebody restored them.

    Projects that share a DVC remote don't know of one another: a file that both logged is one
    object there, and goes when one of them needs it no more. Give each a folder of its own.
    """
    place = recovered()
    with progress_stages() as progress:
        plan = garbage.plan(place, garbage.Options(older_than, remote, keep), progress)
        _list(plan)
        if plan.is_empty:
            output.remark("nothing to collect")
        elif not yes:
            output.remark("nothing was changed; the same command with --yes does it")
        else:
            ctx.exit(_tell(garbage.collect(place, plan, progress)))


def _list(plan: garbage.Plan) -> None:
    """Show what would go, and what has to stay."""
    now = round(time.time() * 1000)
    if plan.runs:
        rows = [
            (Cell(run.run_id[-8:], "yellow"), run.name, run.experiment, age(run.time * 1000, now))
            for run in plan.runs
        ]
        show_table(Table.of(["DELETED RUN", "NAME", "EXPERIMENT", "SINCE"], rows))
    for run_id, why in plan.kept.items():
        output.remark(f"run {run_id[-8:]} stays: {why}")
    if plan.in_cache:
        output.say(f"unused in the cache: {_sum(plan.in_cache)}")
    if plan.remote is not None and plan.in_remote:
        output.say(f"unused in {plain(plan.remote)}: {_sum(plan.in_remote)}")


def _sum(objects: tuple[StoredObject, ...]) -> str:
    return f"{plural(len(objects), 'object')}, {size(garbage.size_of(objects))}"


def _tell(done: garbage.Collected) -> int:
    """Show what went; the exit code."""
    parts = [
        f"took out {plural(len(done.runs), 'run')}" if done.runs else "",
        f"freed {_sum(done.from_cache)} in the cache" if done.from_cache else "",
        f"freed {_sum(done.from_remote)} in the remote" if done.from_remote else "",
    ]
    output.say("; ".join(part for part in parts if part) or "nothing had to go any more")
    if done.runs and not done.from_remote:
        output.remark("gitml push tells the other clones")
    for problem in done.problems:
        output.warn(problem)
    return 1 if done.problems else 0
