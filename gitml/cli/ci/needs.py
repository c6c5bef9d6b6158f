"""`gitml ci needs`."""

from __future__ import annotations

import json

import click

from gitml.cli import output
from gitml.cli.ci.check import revisions
from gitml.cli.here import without_settings
from gitml.cli.plain import inert_json
from gitml.cli.progress import progress_stages


@click.command()
@revisions
@click.option(
    "--format", type=click.Choice(["text", "json", "tsv"]), default="text", show_default=True
)
def needs(base: str, head: str, format: str) -> None:
    """List what CI has to evaluate or reproduce before a change can be judged.

    That is what the gates of the base ask for, `evaluate` and `reproduced`, and CI has not run yet.
    Nothing of the change is run. The JSON, of one line, has a list for each kind of job.
    As tsv each line is a kind of job, version, entry point and dataset.
    """
    from gitml.ci import needs as wanted

    place = without_settings()
    with progress_stages() as progress:
        found = wanted.needs(place, base, head, progress)
    if format == "json":
        output.say_raw([inert_json(json.dumps(wanted.to_document(found)))])
    elif format == "tsv":
        output.say_raw([wanted.row(need) for need in found])
    else:
        output.say(*(wanted.described(need) for need in found))
