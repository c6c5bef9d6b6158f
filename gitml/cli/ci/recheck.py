"""`gitml ci recheck`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gitml.cli import output
from gitml.cli.here import repository
from gitml.cli.progress import progress_stages
from gitml.config import Config
from gitml.tracking.place import place_with

if TYPE_CHECKING:
    from gitml.ci.rechecking import Rechecked


@click.command()
@click.option("--base", required=True, metavar="REV", help="The main branch as it is here.")
@click.option("--branch", required=True, metavar="NAME", help="What the forge calls it.")
@click.pass_context
def recheck(ctx: click.Context, base: str, branch: str) -> None:
    """Start the check of each open merge request again that would come out otherwise by now.

    That is after an approval, which at GitLab starts nothing, after CI has measured something, or
    after another promotion. The token is that of the environment. Ends with 1 when one
    can't be judged, or its check can't be started.
    """
    from gitml.ci import rechecking

    place = place_with(repository()[0], Config())  # nothing that is checked out decides
    with progress_stages() as progress:
        found = list(rechecking.recheck(place, base, branch, progress))
    output.say(*(f"!{it.number} {_said(it)}" for it in found))
    if not found:
        output.remark("the check of each open merge request says what it would say now")
    ctx.exit(int(any(it.problem for it in found)))


def _said(it: Rechecked) -> str:
    if it.problem:
        return f"can't be checked again: {it.problem}"
    return f"{'passes' if it.passes else 'does not pass'} by now: its check is made again"
