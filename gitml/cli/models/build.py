"""`gitml models build`: packages and images made by other tools."""

from __future__ import annotations

from pathlib import Path

import click

from gitml.cli import output

_KINDS = ("mlem:pip", "mlem:whl", "mlem:docker_dir", "mlem:requirements")


@click.command()
@click.option("--model-uri", "-m", "uri", required=True, metavar="URI", help="The model to build.")
@click.option("--with", "builder", type=click.Choice(_KINDS), required=True, help="The builder.")
@click.option(
    *("--output-directory", "-d", "folder"),
    required=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="A new folder for what is built.",
)
@click.option(
    *("--name", "-n"),
    default="model",
    show_default=True,
    metavar="NAME",
    help="Of the Python package.",
)
@click.option("--allow-code", is_flag=True, help="Load the model though it can run code.")
def build(uri: str, builder: str, folder: Path, name: str, allow_code: bool) -> None:
    """Build a model with MLEM: a Python package, a wheel, a Docker context, or its requirements.

    MLEM's builder runs in an environment of its own; what it writes gets the versions with which
    it starts. gitml's own images, which need no MLEM: `gitml models build-docker`.
    """
    from gitml.models import load
    from gitml.models.mlem import building

    opened = load.opened(uri, allow_code=allow_code)
    kind = builder.partition(":")[2]
    made = building.build(opened, kind, folder, name, allow_code=allow_code, progress=output.remark)
    output.say(*sorted(str(made / path.name) for path in made.iterdir()))
