"""`gitml registry archive`."""

from __future__ import annotations

import click

from gitml.cli import output
from gitml.cli.here import here
from gitml.cli.registry.names import model_argument
from gitml.registry import deciding


@click.command()
@model_argument()
@click.argument("versions", metavar="VERSION...", nargs=-1, required=True)
@click.option("--undo", is_flag=True, help="Take the mark away.")
def archive(name: str, versions: tuple[str, ...], undo: bool) -> None:
    """Mark versions of the model NAME as archived: not to be used any more. Nothing is deleted.

    A version that holds a stage is not archived. The mark is written into registry/NAME.yaml in
    your work tree, as with `gitml registry alias`.
    """
    output.say(deciding.archive(here(), name, versions, undo=undo))
