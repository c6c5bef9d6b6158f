"""`gitml ci vouch`."""

from __future__ import annotations

import click

from gitml.cli import output
from gitml.cli.here import here
from gitml.registry import publishing, vouching


@click.command()
@click.argument("run", metavar="RUN")
def vouch(run: str) -> None:
    """Sign RUN, by its id, as one that CI has recorded: it reproduces a run, or evaluates a model.

    The gates `reproduced` and `evaluate` count such runs only. It needs CI's own signing key; sign
    nothing but what the same job has recorded.
    """
    place = here()
    output.say(vouching.vouch(place, run, publishing.remote(place)))
