"""conda, mamba or micromamba: the one that is there builds an environment."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from gitml import process
from gitml.documents import dump_yaml
from gitml.environments import counterparts, pythons
from gitml.environments.complaints import BuildError, complaint
from gitml.environments.spec import Spec
from gitml.errors import UsageError

_CREATE = {  # the first that is on the PATH is used
    "micromamba": ("create",),
    "mamba": ("env", "create"),
    "conda": ("env", "create"),
}


def find() -> tuple[str, Path]:
    """The name of the program and where it is. Raises `UsageError` when none is on the PATH."""
    for name in _CREATE:
        if found := shutil.which(name):
            return name, Path(found)
    raise UsageError(
        "neither micromamba nor mamba nor conda is on the PATH; install one of them, or use"
        " --env-manager uv"
    )


def build(
    spec: Spec, wheels: Iterable[Path], place: Path, tell: Callable[[str], None] | None
) -> None:
    """Make the environment `place`: what conda and PyPI have of a spec, then the wheels."""
    name, program = find()
    if tell is not None:
        tell(f"Building with {name}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "environment.yml")
        file.write_bytes(dump_yaml(_document(spec, Path(folder))))
        place.rmdir()  # conda makes it itself
        _run([str(program), *_CREATE[name], "--prefix", str(place), "--file", str(file)], folder)
        pip = [str(pythons.interpreter(place)), "-m", "pip", "install", "--no-input"]
        for wheel in wheels:
            _run([*pip, str(wheel)], folder)


def _document(spec: Spec, folder: Path) -> dict[str, object]:
    """The spec as conda reads it; the constraints are a file beside it."""
    pip = [*spec.options, *spec.build, *spec.requirements]
    if spec.constraints:
        constraints = folder / "constraints.txt"
        constraints.write_text("\n".join([*spec.constraints, ""]), encoding="utf-8")
        pip.insert(0, f"--constraint {constraints}")
    dependencies: list[object] = list(counterparts.packages(spec))
    return {
        "channels": list(spec.channels) or ["conda-forge"],
        "dependencies": [*dependencies, {"pip": pip}] if pip else dependencies,
    }


def _run(argv: Sequence[str], cwd: str) -> None:
    env = {**os.environ, "CONDA_ALWAYS_YES": "true", "MAMBA_ALWAYS_YES": "true"}
    for name in ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"):
        env.pop(name, None)
    done = process.follow(argv, lambda line: None, cwd=cwd, env=env)
    if done.returncode:
        raise BuildError(complaint(done.stdout))
