"""`gitml ci ask` and `gitml ci again`."""

from __future__ import annotations

import click

from gitml.cli import output
from gitml.cli.ci.check import revisions
from gitml.cli.here import here, without_settings
from gitml.cli.progress import progress_stages


@click.command()
@revisions
@click.option("--branch", required=True, metavar="NAME", help="The branch that has the change.")
@click.option("--run", metavar="N", help="The check's run, to be started again afterwards.")
def ask(base: str, head: str, branch: str, run: str | None) -> None:
    """Start the workflow that evaluates and reproduces, if a change needs anything of it.

    It runs on the main branch, where the keys are. The token is that of the environment.
    """
    from gitml.ci import measuring, needs

    place = without_settings()
    with progress_stages() as progress:
        found = measuring.ask(place, base, branch, head, run, progress)
    output.say(*(needs.described(need) for need in found))


@click.command()
@click.argument("run", metavar="RUN")
def again(run: str) -> None:
    """Start a run of CI again, by its number: a check, once what it needs was measured."""
    from gitml.ci import measuring

    measuring.again(here(), run)
