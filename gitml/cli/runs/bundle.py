"""`gitml runs bundle`."""

from __future__ import annotations

from pathlib import Path

import click

from gitml.cli import output
from gitml.cli.figures import plural
from gitml.cli.here import recovered
from gitml.cli.names import run_argument
from gitml.tracking import bundling, store


@click.command()
@run_argument(many=True, required=False)
@click.option(
    "-o", "--output", "file", required=True, metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path), help="Where they go.",
)  # fmt: skip
def bundle(runs: tuple[str, ...], file: Path) -> None:
    """Put runs into a file, for `gitml push --from-bundle FILE` to publish.

    By default all that are recorded here and not at the remote. Artifacts go to the DVC remote,
    and the rest into the file: so a job that runs code needs no right to push.
    """
    place = recovered()
    ids = [store.resolve(place, name) for name in runs] or bundling.unpublished(place)
    bundling.write(place, list(dict.fromkeys(ids)), file)
    output.say(f"{plural(len(set(ids)), 'run')} in {file}")
