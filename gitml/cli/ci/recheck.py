"""`gitml ci recheck`."""

from __future__ import annotations

import click

from gitml.cli import output
from gitml.cli.here import repository
from gitml.cli.progress import progress_stages
from gitml.config import Config
from gitml.tracking.place import place_with


@click.command()
@click.option("--base", required=True, metavar="REV", help="The main branch as it is here.")
@click.option("--branch", required=True, metavar="NAME", help="What the forge calls it.")
def recheck(base: str, branch: str) -> None:
    """Start the check of each open merge request again that would come out otherwise by now.

    That is after an approval, which at GitLab starts nothing, after CI has measured something, or
    after another promotion. The token is that of the environment.
    """
    from gitml.ci import rechecking

    place = place_with(repository()[0], Config())  # nothing that is checked out decides
    with progress_stages() as progress:
        found = list(rechecking.recheck(place, base, branch, progress))
    output.say(*(f"!{it.number} {_WILL[it.passes]}: its check is made again" for it in found))
    if not found:
        output.remark("the check of each open merge request says what it would say now")


_WILL = {True: "passes by now", False: "does not pass by now"}
