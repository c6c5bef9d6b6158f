"""`gitml registry alias`."""

from __future__ import annotations

import click

from gitml.cli import output
from gitml.cli.here import here
from gitml.cli.registry.names import model_argument
from gitml.errors import UsageError
from gitml.registry import deciding


@click.command()
@model_argument()
@click.argument("alias", metavar="ALIAS")
@click.argument("version", metavar="[VERSION]", required=False)
@click.option("-d", "--delete", "deleted", is_flag=True, help="Take the alias away.")
def alias(name: str, alias: str, version: str | None, deleted: bool) -> None:
    """Give VERSION of the model NAME the further name ALIAS, for models:/NAME@ALIAS.

    It is written into the model's file, registry/NAME.yaml, in your work tree; it holds for others
    once that is on the main branch.
    """
    if deleted == (version is not None):
        raise UsageError("name the version that gets the alias, or --delete")
    output.say(deciding.set_alias(here(), name, alias, version))
