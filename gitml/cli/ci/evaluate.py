"""`gitml ci evaluate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import click

from gitml.cli import output
from gitml.cli.ci.job import base_option, bundle_option, entry_options, version_argument
from gitml.cli.here import recovered
from gitml.cli.running import timeout_option
from gitml.environments import MANAGERS, Manager


@click.command()
@version_argument
@base_option
@entry_options
@bundle_option
@click.option(
    "--env-manager", "manager", type=click.Choice(MANAGERS), default="uv", show_default=True,
    help="What the model runs in: an environment of its own, or this Python (local).",
)  # fmt: skip
@click.option(
    "--no-wall", is_flag=True, help="Run the model as a process like any other, if you trust it."
)
@timeout_option("Stop the entry point after so long; by default an hour.")
def evaluate(
    version: str,
    base: str,
    entry_point: str | None,
    dataset: str | None,
    file: Path | None,
    manager: str,
    no_wall: bool,
    timeout: float | None,
) -> None:
    """Score a version with an entry point of the main branch, on data that its model never sees.

    The model predicts in a process behind a wall, which gets inputs only. The entry point gets the
    model's address as the parameter `model`, and where the data is as `dataset`. The run that
    comes of it has the tag gitml.evaluates.
    """
    from gitml.ci import evaluating
    from gitml.tracking import bundling

    if entry_point is None:
        raise click.UsageError("say what scores it: --entry-point NAME")
    place = recovered()
    wish = evaluating.Wish(
        version, base, entry_point, dataset or None, cast(Manager, manager), not no_wall,
        timeout or evaluating.SECONDS,
    )  # fmt: skip
    with output.without_commands():
        run = evaluating.evaluate(place, wish, output.remark, sys.stderr)
    if file is not None:
        bundling.write(place, [run.run_id], file)
    for key, metric in sorted(run.metrics.items()):
        output.say(f"{key} {metric.last:.6g}")
