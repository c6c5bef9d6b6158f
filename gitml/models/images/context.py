"""The folder that an engine builds an image from: everything in it is fixed, and nothing else."""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from gitml import files
from gitml.containers.python import (
    base_of,
    check_not_local,
    libraries_of,
    uv_platform,
    version_of,
)
from gitml.environments import counterparts, uv, wheel
from gitml.environments.requirements import package
from gitml.errors import UsageError
from gitml.models import installs
from gitml.models.images.dockerfile import Recipe, dockerfile

Tell = Callable[[str], None]

# Whatever else somebody puts there stays out; engines differ on a plus sign in a name.
_IGNORED = ("*", "!Dockerfile", "!build.txt", "!gitml-*.whl", "!model", "!requirements.txt")


def generate_dockerfile(
    model_folder: Path,
    output_dir: Path,
    recipe: Recipe | None = None,
    *,
    allow_code: bool = False,
    progress: Tell | None = None,
) -> Path:
    """Make the new folder that an image is built from; the path of its Dockerfile.

    The requirements of the model and of the server are settled now, for the image's Python, which
    needs uv. `allow_code` is that of `installs.spec_of`. Raises `UsageError` when the output folder
    is there and not empty, or the model can't go into an image, and `BuildError` when no versions
    fit the requirements.
    """
    target = output_dir.absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{files.shown_path(output_dir)} is there already; name a new folder")
    with files.disk(f"write {files.shown_path(output_dir)}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".gitml-") as draft:
            folder = Path(draft, "context")
            folder.mkdir(mode=0o755)
            _write(model_folder, folder, recipe or Recipe(), allow_code, progress)
            if target.exists():
                target.rmdir()
            folder.rename(target)
    return target / "Dockerfile"


def _write(
    model: Path, folder: Path, recipe: Recipe, allow_code: bool, progress: Tell | None
) -> None:
    if not (model / "MLmodel").is_file():
        raise UsageError(f"{files.shown_path(model)} is no model: it has no file MLmodel")
    spec = counterparts.on_pypi(installs.spec_of(model, allow_code=allow_code))
    check_not_local(spec)
    python = version_of(spec)
    locked = uv.lock(spec, wheel.SERVING, python, uv_platform(recipe.platform), progress)
    tools = [line for line in spec.build if _name(line) not in ("pip", "wheel")]
    _text(folder / "requirements.txt", [*spec.indexes(), locked])
    if tools:
        _text(folder / "build.txt", [*spec.indexes(), *tools])
    own = wheel.write_wheel(folder).name
    settled = replace(
        recipe,
        base=recipe.base or base_of(python),
        libraries=libraries_of(locked) if recipe.libraries is None else recipe.libraries,
        identity=replace(recipe.identity, created=recipe.identity.created or _now()),
    )
    _text(folder / "Dockerfile", [dockerfile(settled, own, build_tools=bool(tools))])
    _text(folder / ".dockerignore", _IGNORED)
    _copy(model, folder / "model")


def _name(line: str) -> str:
    wanted = package(line)
    return wanted.name if wanted else line


def _now() -> str:
    """The time in RFC 3339, or the one that a reproducible build sets."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH", "")
    zone = datetime.timezone.utc
    if seconds.isdigit():
        moment = datetime.datetime.fromtimestamp(int(seconds), zone)
    else:
        moment = datetime.datetime.now(zone)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


# -- files ---------------------------------------------------------------------------------


def _text(file: Path, lines: Iterable[str]) -> None:
    text = "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
    file.write_text(text, encoding="utf-8", newline="\n")
    file.chmod(0o644)


def _copy(source: Path, target: Path) -> None:
    """Copy a model's files, readable for the user of the image; refuse what leads out of it."""
    root = source.resolve()
    target.mkdir(mode=0o755)
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if not path.resolve().is_relative_to(root):
            raise UsageError(f"{files.shown_path(path)} leads out of the model; copy it there")
        if path.is_dir():
            place.mkdir(mode=0o755)
        elif path.is_file():
            files.copy(path, place)
            place.chmod(0o644)
        else:
            raise UsageError(f"{files.shown_path(path)} is no file; take it out of the model")
