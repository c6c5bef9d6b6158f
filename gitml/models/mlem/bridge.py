"""MLEM at work: jobs run in an environment that has it and what the model needs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gitml import process
from gitml.documents import dump_json
from gitml.environments import BuildError, Spec, environment
from gitml.environments.complaints import complaint
from gitml.errors import UsageError
from gitml.models import installs
from gitml.models.locate import Located
from gitml.models.mlem import pins, settings, worker

Tell = Callable[[str], None]

# Not as `-m`: MLEM would take the worker for code of the model, and gitml with it.
_START = "from gitml.models.mlem.worker import main; main()"


def spec_of(source: Located, *, allow_code: bool = False) -> Spec:
    """The environment of a model with MLEM in it; UsageError as in `installs.spec_of`."""
    spec = installs.spec_of(source.folder, allow_code=allow_code or source.trusted)
    return pins.with_mlem(spec)


def work(spec: Spec, job: Mapping[str, Any], progress: Tell | None = None) -> None:
    """Do a job of `gitml.models.mlem.worker` in the environment of a spec, built if need be.

    Whether the model of the job may be loaded was decided before. Raises `UsageError` for a model
    that MLEM can't take, and `BuildError` with what MLEM said when it fails.
    """
    found = environment(spec, "uv", progress)
    with tempfile.TemporaryDirectory() as folder:  # MLEM puts the current folder on sys.path
        Path(folder, settings.FILE).touch()
        done = process.run(
            [str(found.python), "-c", _START],
            cwd=folder,
            env={**found.variables(os.environ), **settings.VARIABLES},
            input=dump_json(dict(job)),
        )
    if done.returncode == worker.REFUSED:
        raise UsageError(done.stderr.decode("utf-8", "replace").strip().splitlines()[-1])
    if done.returncode:
        raise BuildError(f"MLEM could not {job['action']} the model: {complaint(done.stderr)}")
