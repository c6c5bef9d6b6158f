"""`gitml ci reproduce`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gitml.cli import output
from gitml.cli.ci.job import base_option, bundle_option, version_argument
from gitml.cli.here import recovered
from gitml.cli.running import timeout_option


@click.command()
@version_argument
@base_option
@bundle_option
@timeout_option("Stop the new run after so long.")
def reproduce(version: str, base: str, file: Path | None, timeout: float | None) -> None:
    """Run the run of a version again, as `gitml runs reproduce` does, with data from DVC's remote.

    The code is that of whoever trained it: this is for a job without rights. How it came out is
    judged by the gate `reproduced`, not here.
    """
    from gitml.ci import reproducing
    from gitml.tracking import bundling

    place = recovered()
    with output.without_commands():
        done = reproducing.reproduce(place, version, base, timeout, output.remark, sys.stderr)
    if file is not None:
        bundling.write(place, [done.again.run_id], file)
    word = "reproduces" if done.reproduced else "does not reproduce"
    output.say(f"{done.again.run_id[-8:]} {word} {version}")
