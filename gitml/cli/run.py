"""`gitml run`: an entry point of a project, as a run."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from gitml.cli import output
from gitml.cli.running import (
    address_option,
    agreed,
    backend_config_option,
    manager_option,
    pairs,
    timeout_option,
    told_backend,
    version_option,
    yes_option,
)
from gitml.errors import NoRepositoryError
from gitml.projects.mlproject import MAIN


@click.command()
@click.argument("uri", metavar="URI", default=".")
@click.option(
    *("--entry-point", "-e"),
    default=MAIN,
    show_default=True,
    metavar="NAME",
    help="What to run: an entry point, or a script.",
)
@click.option(
    *("--param", "-P", "params"),
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter's value; may be given more than once.",
)
@click.option("--allow-extra", is_flag=True, help="Pass unknown parameters on as --NAME VALUE.")
@click.option("--experiment-name", metavar="NAME", help="The experiment of the run.")
@click.option("--experiment-id", metavar="ID", help="The same, by its id.")
@click.option("--run-name", metavar="NAME", help="The name of the run.")
@click.option("--run-id", metavar="ID", help="Go on with this run.")
@manager_option(
    "Who builds the environment; by default uv if the project names one. local: this Python."
)
@click.option(
    *("--backend", "-b"),
    default="local",
    show_default=True,
    help="Where it runs: local, docker, kubernetes, ray.",
)
@backend_config_option
@address_option
@click.option(
    *("--docker-args", "-A"),
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of docker run, such as gpus=all; a NAME alone for a flag.",
)
@click.option("--build-image", is_flag=True, help="Build the image from the project's Dockerfile.")
@click.option(
    "--skip-image-build", is_flag=True, help="Run the image as it is, with no gitml added."
)
@timeout_option("Stop the entry point after so long.")
@version_option
@click.option(
    "--storage-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where data goes that parameters name; by default a temporary folder.",
)
@yes_option
def run(uri: str, params: Sequence[str], storage_dir: Path | None, yes: bool, **given: Any) -> None:
    """Run an entry point of the project URI, by default the folder that you are in.

    URI is a folder, a git URL or runs:/RUN, with #FOLDER for a folder in it. What is not a plain
    folder runs in a temporary work tree; your own stays as it is.

    The run is recorded with the code, the parameters and the output. A script that calls
    gitml.start_run() goes on with it. The exit code is 1 when the entry point fails.
    """
    from gitml.cli.here import recovered
    from gitml.projects import running
    from gitml.projects.execution import Marks
    from gitml.projects.image import Wish
    from gitml.projects.task import Request

    with contextlib.suppress(NoRepositoryError):  # a project elsewhere has one of its own
        recovered()
    names = ("experiment_name", "experiment_id", "run_name", "run_id")
    marks = Marks(**{name: given.pop(name) for name in names})
    wish = Wish(build=given.pop("build_image"), as_it_is=given.pop("skip_image_build"))
    options = pairs(given.pop("docker_args"), "-A", flags=True)
    given["backend_config"] = told_backend(given)
    request = Request(uri=uri, parameters=pairs(params), docker_args=options, image=wish, **given)
    submitted = running.submit(
        request,
        marks,
        tell=output.remark,
        started=_announce,
        storage_dir=storage_dir,
        ask=agreed(yes),
    )
    running.check(submitted)
    output.remark(f"run {submitted.run_id[-8:]} {submitted.get_status()}")


def _announce(run_id: str) -> None:
    output.remark(f"run {run_id}")
