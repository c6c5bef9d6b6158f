"""Having the engine build an image from a folder, with the index that is configured here."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitml import process
from gitml.containers.engine import EngineError, ask
from gitml.environments.complaints import BuildError, complaint
from gitml.environments.requirements import without_user
from gitml.errors import UsageError

# How pip in the image is told of an index while it is built; none of it stays in the image.
INDEX_ARGUMENTS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
# An index that only uv was told of, for pip in the image.
_OF_UV = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX"}
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")  # every engine keeps them out of the image


@dataclass(frozen=True, slots=True)
class Image:
    """An image at the engine: its id, and how many bytes all its layers have."""

    id: str
    size: int


def build(
    engine: str,
    context: Path,
    name: str,
    options: Sequence[str] = (),
    tell: Callable[[str], None] | None = None,
    *,
    index: bool = True,
) -> Image:
    """Build the image `name` from the Dockerfile in the folder `context`.

    pip in the image uses the index that pip or uv is told of by variables here, unless `index` is
    false. `tell` hears each line that the engine says. Raises `BuildError` with its complaint.
    """
    env = _variables(os.environ)
    argv = [engine, "build", "--tag", name, *options]
    argv += ["--format", "docker"] if engine == "podman" else []  # OCI's has no health check
    told = _arguments(env) if index else _proxies(env)
    argv += [word for variable in told for word in ("--build-arg", variable)]
    done = process.follow([*argv, str(context)], tell or (lambda line: None), env=env)
    if done.returncode:
        raise BuildError(f"{engine} could not build {name}: {complaint(done.stdout)}")
    image = identify(engine, name)
    if image is None:
        raise BuildError(f"{engine} does not find {name}, which it has built")
    return image


def check_index() -> None:
    """Refuse an index whose password would be readable in an image that is built now."""
    list(_arguments(_variables(os.environ)))


def identify(engine: str, name: str) -> Image | None:
    """The image of that name; None when the engine has none."""
    try:
        told = ask(engine, "image", "inspect", "--format", "{{.Id}} {{.Size}}", name)
    except EngineError:
        return None
    identity, size = told.split()
    return Image(identity, int(size))


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
    yield from _proxies(env)


def _proxies(env: Mapping[str, str]) -> Iterator[str]:
    for name in _PROXIES:
        yield from (form for form in (name, name.lower()) if env.get(form))
