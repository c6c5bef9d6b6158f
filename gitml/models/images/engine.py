"""The container engine: whether one answers, and having it build an image."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gitml import caches, process
from gitml.environments.complaints import BuildError, complaint
from gitml.environments.requirements import without_user
from gitml.errors import UsageError, shown
from gitml.models.images.context import generate_dockerfile
from gitml.models.images.dockerfile import INDEX_ARGUMENTS, Recipe

_ENGINES = ("docker", "podman")
_PATIENCE = 30.0  # seconds that an engine may take to say that it is there
_NAME = re.compile(r"[a-z0-9][\w.:/-]*")
# An index that only uv was told of, for pip in the image.
_OF_UV = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX"}
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")  # every engine keeps them out of the image


@dataclass(frozen=True, slots=True)
class Image:
    """An image that was built: its id, and how many bytes all its layers have."""

    id: str
    size: int


def find_engine() -> str:
    """The engine that answers, docker or podman. Raises `UsageError` when there is none."""
    heard = [f"{name} {_refusal(name)}" for name in _ENGINES if shutil.which(name)]
    for name in _ENGINES:
        if f"{name} " in heard:
            return name
    why = "; ".join(heard) or "neither docker nor podman is installed"
    raise UsageError(
        f"no container engine answers: {why}; start one, or write the files for one elsewhere"
        " (gitml models generate-dockerfile)"
    )


def _refusal(engine: str) -> str:
    """What an engine says instead of its version; nothing when it answers."""
    try:
        done = process.run([engine, "version"], timeout=_PATIENCE)
    except OSError as error:
        return f"says {shown(str(error))}"
    return f"says {shown(complaint(done.stderr))}" if done.returncode else ""


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
    env = _variables(os.environ)
    argv = [engine, "build", "--tag", name]
    argv += ["--format", "docker"] if engine == "podman" else []  # OCI's has no health check
    argv += ["--network", network] if network else []
    argv += ["--platform", recipe.platform] if recipe.platform else []
    argv += [word for variable in _arguments(env) for word in ("--build-arg", variable)]
    with tempfile.TemporaryDirectory(dir=caches.folder("images")) as draft:
        file = generate_dockerfile(
            model_folder, Path(draft, "context"), recipe, allow_code=allow_code, progress=progress
        )
        tell = progress or (lambda line: None)
        done = process.follow([*argv, str(file.parent)], tell, env=env)
    if done.returncode:
        raise BuildError(f"{engine} could not build {name}: {complaint(done.stdout)}")
    return _identify(engine, name)


def _variables(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of the engine, in which pip's variables say what uv is told."""
    told = dict(given)
    for pip, uv in _OF_UV.items():
        if uv in told and pip not in told:
            told[pip] = re.sub(r"(^|\s)[\w-]+=", r"\1", told[uv])  # an index may have a name
    return told


def _arguments(env: Mapping[str, str]) -> Iterator[str]:
    """The names of the variables that the build is told; the engine takes their values itself."""
    for name in INDEX_ARGUMENTS:
        if value := env.get(name):
            if without_user(value) != value:
                raise UsageError(
                    f"{name} holds a password, which would be readable in the image; use an index"
                    " that needs none"
                )
            yield name
    for name in _PROXIES:
        yield from (form for form in (name, name.lower()) if env.get(form))


def _identify(engine: str, name: str) -> Image:
    done = process.run([engine, "image", "inspect", "--format", "{{.Id}} {{.Size}}", name])
    if done.returncode:
        raise BuildError(f"{engine} does not find {name}: {complaint(done.stderr)}")
    identity, size = done.stdout.decode().split()
    return Image(identity, int(size))
