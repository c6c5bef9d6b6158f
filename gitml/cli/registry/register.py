"""`gitml registry register`."""

from __future__ import annotations

import click

from gitml.cli import output
from gitml.cli.here import recovered
from gitml.cli.progress import progress_stages
from gitml.registry import registering
from gitml.registry.registering import Wish
from gitml.registry.version import Part

_WHY = {
    "first": "the first version",
    "same": "the signature is the same",
    "compatible": "the signature changed, and clients of the former version go on working",
    "incompatible": "the signature changed, and clients of the former version may fail",
}


@click.command()
@click.argument("uri", metavar="MODEL_URI")
@click.argument("name", metavar="NAME")
@click.option("--version", metavar="VERSION", help="Such as v2.0.0, instead of the next one.")
@click.option(
    "--bump", type=click.Choice(["major", "minor", "patch"]), help="What the next one is."
)
@click.option("--description", default="", metavar="TEXT", help="What is new in it.")
def register(uri: str, name: str, version: str | None, bump: Part | None, description: str) -> None:
    """Make the model MODEL_URI, runs:/RUN/PATH, the next version of the registered model NAME.

    Runs and artifacts are pushed first, as by `gitml push`, then the tag NAME@VERSION, which is
    never moved. The change of the signature tells which part of the version grows. Where the remote
    refuses the tag, the version goes on by `gitml registry promote`, and sync makes the tag.
    """
    place = recovered()
    wish = Wish(version, bump, description)
    with progress_stages() as progress:
        made = registering.register(place, uri, name, wish, progress)
    output.say(str(made.tag))
    output.remark(_WHY.get(made.note.change, made.note.change))
    if made.waits:
        output.warn(registering.told(made))
