"""`gitml ci apart`."""

from __future__ import annotations

from pathlib import Path

import click

from gitml.cli import output
from gitml.cli.ci.job import base_option, version_argument
from gitml.cli.here import here


@click.command()
@version_argument
@base_option
@click.option(
    "-o", "--output", "file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    required=True, help="Where the run is put, as a bundle, for `gitml ci confirm`.",
)  # fmt: skip
@click.pass_context
def apart(ctx: click.Context, version: str, base: str, file: Path) -> None:
    """Have GitLab run a version again, apart from the variables of protected branches.

    Writes FILE once that run is there; before, it is started, and asked for by the next call. Ends
    with 1 when it has failed. The token is that of the environment.
    """
    from gitml.ci import apart as runs

    found = runs.fetch(here(), version, base, file)
    output.say(f"the run again of {version} {found.word}{f': {found.url}' if found.url else ''}")
    ctx.exit(int(found.word == runs.FAILED))
