"""MLEM at work: jobs run in an environment that has it and what the model needs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from gitml import process
from gitml.documents import dump_json
from gitml.environments import BuildError, Spec, environment, read_spec
from gitml.environments.complaints import complaint
from gitml.errors import UsageError
from gitml.models.locate import Located
from gitml.models.mlem import pins, worker

Tell = Callable[[str], None]

# Not as `-m`: MLEM would take the worker for code of the model, and gitml with it.
_START = "from gitml.models.mlem.worker import main; main()"
# MLEM reports every use of it to its makers, who are gone, unless it is told not to.
_SILENT = {"ITERATIVE_DO_NOT_TRACK": "1", "MLEM_NO_ANALYTICS": "true", "MLEM_EMOJIS": "false"}


def spec_of(source: Located, *, allow_code: bool = False) -> Spec:
    """The environment of a model with MLEM in it."""
    spec = read_spec(source.folder, allow_code=allow_code or source.trusted)
    return pins.with_mlem(spec)


def work(spec: Spec, job: Mapping[str, Any], progress: Tell | None = None) -> None:
    """Do a job of `gitml.models.mlem.worker` in the environment of a spec, built if need be.

    Whether the model of the job may be loaded was decided before. Raises `UsageError` for a model
    that MLEM can't take, and `BuildError` with what MLEM said when it fails.
    """
    found = environment(spec, "uv", progress)
    with tempfile.TemporaryDirectory() as folder:  # MLEM puts the current folder on sys.path
        done = process.run(
            [str(found.python), "-c", _START],
            cwd=folder,
            env={**found.variables(os.environ), **_SILENT},
            input=dump_json(dict(job)),
        )
    if done.returncode == worker.REFUSED:
        raise UsageError(done.stderr.decode("utf-8", "replace").strip().splitlines()[-1])
    if done.returncode:
        raise BuildError(f"MLEM could not {job['action']} the model: {complaint(done.stderr)}")
