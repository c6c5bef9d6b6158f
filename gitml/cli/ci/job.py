"""What the commands share that do a job of CI's about a version: options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

version_argument = click.argument("version", metavar="NAME@VERSION")
base_option = click.option(
    "--base", required=True, metavar="REV", help="The main branch, which says what is run."
)
bundle_option = click.option(
    "-o", "--output", "file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="Also put the run into a bundle, for `gitml ci confirm`.",
)  # fmt: skip


def entry_options(command: F) -> F:
    """The options that say with what a version is evaluated."""
    data = click.option("--dataset", metavar="PATH_OR_URL", help="The data that it is scored on.")
    return click.option("--entry-point", "-e", metavar="NAME", help="What scores it.")(
        data(command)
    )
