"""The folder that an engine builds an image from: everything in it is fixed, and nothing else."""

from __future__ import annotations

import datetime
import os
import platform
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from gitml import files
from gitml.environments import counterparts, pythons, uv, wheel
from gitml.environments.requirements import package
from gitml.environments.spec import Spec, is_version, minor
from gitml.errors import UsageError, shown
from gitml.models import installs
from gitml.models.images.dockerfile import Recipe, dockerfile

Tell = Callable[[str], None]

_PLATFORMS = {
    "linux/amd64": "x86_64-manylinux_2_28",
    "linux/arm64": "aarch64-manylinux_2_28",
}
# Whatever else somebody puts there stays out; engines differ on a plus sign in a name.
_IGNORED = ("*", "!Dockerfile", "!build.txt", "!gitml-*.whl", "!model", "!requirements.txt")
# Libraries of the system that a package's wheel needs and a slim image does not have.
_LIBRARIES = {"lightgbm": "libgomp1"}


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
    _check(spec)
    python = _python(spec)
    locked = uv.lock(spec, wheel.SERVING, python, _system(recipe), progress)
    tools = [line for line in spec.build if _name(line) not in ("pip", "wheel")]
    _text(folder / "requirements.txt", [*spec.indexes(), locked])
    if tools:
        _text(folder / "build.txt", [*spec.indexes(), *tools])
    own = wheel.write_wheel(folder).name
    settled = replace(
        recipe,
        base=recipe.base or f"python:{python}-slim",
        libraries=_libraries(locked) if recipe.libraries is None else recipe.libraries,
        identity=replace(recipe.identity, created=recipe.identity.created or _now()),
    )
    _text(folder / "Dockerfile", [dockerfile(settled, own, build_tools=bool(tools))])
    _text(folder / ".dockerignore", _IGNORED)
    _copy(model, folder / "model")


def _check(spec: Spec) -> None:
    """Refuse what is in a folder of this machine: an image does not have it."""
    for line in spec.requirements:
        if _is_here(line):
            raise UsageError(
                f"{spec.source}: {shown(line)} is on this machine only; take it from an index"
            )


def _is_here(line: str) -> bool:
    wanted = package(line)
    if wanted is None:
        return "://" not in line
    return (wanted.url or "").startswith("file:")


def _python(spec: Spec) -> str:
    """The Python of the image, such as 3.11: the model's, or the running one if that will do."""
    wanted = spec.python or minor(pythons.running().version)
    if is_version(wanted):
        return minor(wanted)
    if found := pythons.choose(wanted, [pythons.running()]):
        return minor(found.version)
    raise UsageError(f"{spec.source} asks for Python {wanted}; write one version of it there")


def _system(recipe: Recipe) -> str:
    """The platform of the image as uv calls it."""
    arm = platform.machine().lower() in ("arm64", "aarch64")
    wanted = recipe.platform or f"linux/{'arm64' if arm else 'amd64'}"
    if wanted not in _PLATFORMS:
        raise UsageError(f"{shown(wanted)} is no platform for images; {' or '.join(_PLATFORMS)} is")
    return _PLATFORMS[wanted]


def _libraries(locked: str) -> tuple[str, ...]:
    names = set(re.findall(r"^([a-z0-9-]+)==", locked, re.MULTILINE))
    return tuple(library for name, library in _LIBRARIES.items() if name in names)


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
