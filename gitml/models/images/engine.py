"""Having the container engine build the image of a model."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from gitml import caches, containers
from gitml.containers import Image
from gitml.errors import UsageError, shown
from gitml.models.images.context import generate_dockerfile
from gitml.models.images.dockerfile import Recipe

_NAME = re.compile(r"[a-z0-9][\w.:/-]*")
_INSTEAD = "write the files for one elsewhere (gitml models generate-dockerfile)"


def find_engine() -> str:
    """The engine that answers, docker or podman. Raises `UsageError` when there is none."""
    return containers.find_engine(_INSTEAD)


def build_docker(
    model_folder: Path,
    name: str,
    recipe: Recipe | None = None,
    *,
    network: str | None = None,
    allow_code: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Image:
    """Build the image `name`, such as `churn:v1.0.0`, of a model.

    `network` is the engine's, for the time of the build. pip in the image uses the index that pip
    or uv is told of by variables here. `progress` is told each line that the engine says. Raises
    `UsageError` when no engine answers or the model can't go into an image, and `BuildError` when
    the engine fails.
    """
    recipe = recipe or Recipe()
    if not _NAME.fullmatch(name):
        raise UsageError(f"{shown(name)} is no name for an image; write one such as churn:v1.0.0")
    engine = find_engine()
    containers.check_index()
    options = ["--network", network] if network else []
    options += ["--platform", recipe.platform] if recipe.platform else []
    with tempfile.TemporaryDirectory(dir=caches.folder("images")) as draft:
        file = generate_dockerfile(
            model_folder, Path(draft, "context"), recipe, allow_code=allow_code, progress=progress
        )
        return containers.build(engine, file.parent, name, options, progress)
