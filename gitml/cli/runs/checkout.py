"""`gitml runs checkout`."""

from __future__ import annotations

from pathlib import Path

import click

from gitml.cli import output
from gitml.cli.here import recovered
from gitml.cli.names import run_argument
from gitml.cli.progress import progress_bytes
from gitml.review.checkout import check_out, default_folder, put_artifacts
from gitml.review.view import view
from gitml.tracking import store


@click.command()
@run_argument()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--artifacts", is_flag=True, help="With the artifacts, in .gitml/run/artifacts.")
@click.option("--plain", "without_git", is_flag=True, help="A plain folder, no git work tree.")
def checkout(run: str, folder: Path | None, artifacts: bool, without_git: bool) -> None:
    """Put the code of a run into a new folder, by default beside the repository.

    The folder is a git work tree of the run's commit (`git worktree remove DIR` takes it away
    again). Your own work tree, index and branch stay as they are.
    """
    place = recovered()
    found = view(place, store.resolve(place, run))
    target = folder or default_folder(place, found)
    check_out(place, found, target, as_worktree=not without_git)
    if artifacts:
        with progress_bytes("artifacts") as progress:
            put_artifacts(place, found, target, progress)
    output.say(str(target))
