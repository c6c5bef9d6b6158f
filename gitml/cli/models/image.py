"""`gitml models generate-dockerfile` and `gitml models build-docker`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gitml.cli import output
from gitml.cli.figures import size

if TYPE_CHECKING:
    from gitml.models.images import Recipe
    from gitml.models.locate import Located

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--model-uri", "-m", "uri", required=True, metavar="URI",
                 help="The model that the image serves."),
    click.option("--base", metavar="IMAGE",
                 help="The image to begin with; by default the slim one of the model's Python."),
    click.option("--platform", type=click.Choice(["linux/amd64", "linux/arm64"]),
                 help="By default that of this machine."),
    click.option("--allow-code", is_flag=True,
                 help="Take the model, and its requirements, though they can run code."),
)  # fmt: skip


def image_options(function: F) -> F:
    """Give a command the options that say which image to make."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.command("generate-dockerfile")
@image_options
@click.option(
    *("--output-directory", "-d", "folder"),
    default="mlflow-dockerfile",
    show_default=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="A new folder for the Dockerfile and what goes into the image.",
)
def generate(
    uri: str, base: str | None, platform: str | None, allow_code: bool, folder: Path
) -> None:
    """Write the folder that an image of a model is built from; see `build-docker`."""
    from gitml.models import images, load

    found, model = load.opened(uri, allow_code=allow_code)
    made = images.generate_dockerfile(
        found.folder,
        folder,
        _recipe(found, model, base, platform),
        allow_code=allow_code or found.trusted,
        progress=output.remark,
    )
    output.say(str(made))


@click.command("build-docker")
@image_options
@click.option(
    *("--name", "-n"),
    default="mlflow-pyfunc-servable",
    show_default=True,
    metavar="NAME",
    help="Of the image, such as churn:v1.0.0.",
)
@click.option("--network", metavar="NAME", help="The engine's network for the build, as host.")
def build(
    uri: str,
    base: str | None,
    platform: str | None,
    allow_code: bool,
    name: str,
    network: str | None,
) -> None:
    """Build a container image that serves a model on port 8080, with docker or podman.

    What runs in it is no root, the versions of all packages are fixed, and its labels name the
    model's digest and run.
    """
    from gitml.models import images, load

    images.find_engine()  # before anything is fetched for nothing
    found, model = load.opened(uri, allow_code=allow_code)
    recipe = _recipe(found, model, base, platform)
    built = images.build_docker(
        found.folder,
        name,
        recipe,
        network=network,
        allow_code=allow_code or found.trusted,
        progress=output.remark,
    )
    output.remark(f"{name} has {size(built.size)}")
    output.say(built.id)


def _recipe(found: Located, model: Any, base: str | None, platform: str | None) -> Recipe:
    """How the image is made, and what its labels say."""
    from gitml.models.digest import digest_of_folder
    from gitml.models.images import Identity, Recipe

    identity = Identity(
        title=found.name or model.artifact_path or "",
        version=found.version or "",
        revision=found.commit or "",
        run_id=found.run_id or model.run_id or "",
        digest=found.digest or digest_of_folder(found.folder),
    )
    named = ("--registered-as", f"{found.name}@{found.version}") if found.version else ()
    return Recipe(identity=identity, base=base, platform=platform, arguments=named)
