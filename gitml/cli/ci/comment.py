"""`gitml ci comment`."""

from __future__ import annotations

import os
from typing import TextIO

import click

from gitml import forge
from gitml.cli import output
from gitml.cli.here import here
from gitml.cli.plain import plain_lines
from gitml.errors import UsageError
from gitml.forge.current import current_number
from gitml.forge.finding import address_of
from gitml.forge.interface import Forge
from gitml.registry import main_branch
from gitml.tracking.place import Place

REPORT = "report"  # what marks the comment that has the report of a check


@click.command()
@click.option(
    "-p", "--pull-request", "--pr", "number", type=click.IntRange(min=1), metavar="N",
    help="By default the one that this job of CI runs for.",
)  # fmt: skip
@click.option(
    "-F", "--body-file", "file", required=True, metavar="FILE",
    type=click.File("r", encoding="utf-8", errors="replace"),
    help="What to write, in Markdown; - is standard input.",
)  # fmt: skip
@click.option(
    "--marker", default=REPORT, show_default=True, metavar="WORD",
    help="Which of several comments of gitml it is, such as report:churn.",
)  # fmt: skip
def comment(number: int | None, file: TextIO, marker: str) -> None:
    """Write a comment on a pull request, or write the same one anew.

    It is known again by an invisible mark and by its author: comments of others are left alone.
    The token is that of the environment: GH_TOKEN or GITHUB_TOKEN, GITLAB_TOKEN.
    """
    wanted = number or current_number(os.environ)
    if wanted is None:
        raise UsageError("say which pull request gets the comment: --pull-request N")
    body = "\n".join(plain_lines(file.read())).rstrip() + "\n"
    output.say(forge_of_main(here()).comment(wanted, marker, body))


def forge_of_main(place: Place) -> Forge:
    """The forge that has the main branch."""
    remote = main_branch.remote(place)
    return forge.forge_of(None if remote is None else address_of(place.repo, remote))
