"""`gitml init`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from gitml.cli import output
from gitml.cli.here import here
from gitml.cli.plain import plain
from gitml.tracking import initialize


@click.command()
@click.option(
    "--remote",
    metavar="DIR_OR_URL",
    help="Where artifacts go that are too large for git: a folder, or any remote that DVC knows.",
)
@click.option("--experiment", metavar="NAME", help="The experiment of runs that name none.")
def init(remote: str | None, experiment: str | None) -> None:
    """Set up gitml in this folder: the top of a repository, or a project inside it.

    Writes a few files and commits nothing. Recording works without, as long as artifacts are
    small. A second time, it adds what is missing and leaves the rest as it is.
    """
    written = initialize.init(Path.cwd(), remote, experiment=experiment)
    names = [Path(os.path.relpath(file.path)).as_posix() for file in written]
    for name, file in zip(names, written, strict=True):
        output.say(f"wrote {plain(name)}  ({file.what})")
    if written:
        output.say("now run:", f"  git add {plain(shlex.join(names))}")
        output.say('  git commit --message "Set up gitml"')
    else:
        output.remark("nothing to do: gitml is set up here")
    if here().remote() is None:
        output.remark(
            "large artifacts stay in this clone until they have a place:"
            " gitml init --remote DIR_OR_URL"
        )
