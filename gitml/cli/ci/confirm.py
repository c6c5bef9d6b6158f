"""`gitml ci confirm`."""

from __future__ import annotations

from pathlib import Path

import click

from gitml.cli import output
from gitml.cli.ci.job import base_option, entry_options, version_argument
from gitml.cli.here import here
from gitml.cli.progress import progress_stages


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(exists=True, path_type=Path))
@version_argument
@base_option
@entry_options
def confirm(
    file: Path, version: str, base: str, entry_point: str | None, dataset: str | None
) -> None:
    """Record the run that a job without rights has left in a bundle, and sign it as CI's.

    It must be the one run that was asked for, and nothing else may be in the bundle. With an entry
    point it is to evaluate the version, without one to reproduce it. This runs no code of the
    project, and needs the right to push, and CI's signing key.
    """
    from gitml.ci import confirming
    from gitml.ci.needs import Need

    need = Need(version, entry_point or None, dataset or None)
    with progress_stages() as progress:
        output.say(confirming.confirm(here(), file, need, base, progress))
