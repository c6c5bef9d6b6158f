"""`gitml ci stages`."""

from __future__ import annotations

import json

import click

from gitml.ci import due
from gitml.cli import output
from gitml.cli.here import here


@click.command()
def stages() -> None:
    """List the stages in which something is to be deployed, on one line of JSON.

    So a workflow has one job for each of them, with the stage's environment, and none where all
    is as the main branch says. A stage of which that can't be told is among them.
    """
    output.say(json.dumps(due.stages(here())))
