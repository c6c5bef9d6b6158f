"""What an entry point runs in: this Python, or an environment that is built for its project."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gitml import environments, process
from gitml.environments import Environment, Manager
from gitml.environments.uv import find as find_uv
from gitml.errors import GitmlError, StorageError, UsageError
from gitml.projects.mlproject import Project
from gitml.tracking import environment as machine
from gitml.tracking import record

Tell = Callable[[str], None]

_OF_MLFLOW = "virtualenv"  # which MLflow makes with pip, and gitml with uv
MANAGERS = (*environments.MANAGERS, _OF_MLFLOW)
_ASK = (
    "import json, platform, sys, sysconfig;"
    " places = [sysconfig.get_path(name) for name in ('purelib', 'platlib')];"
    " print(json.dumps([platform.python_version(), places]))"
)


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where an entry point finds its Python, and what of it the run's record holds.

    `packages` are all that is installed, as lines of a requirements file: a lock.
    """

    manager: str
    variables: Mapping[str, str]
    machine: record.Environment
    packages: tuple[str, ...]


def prepare(project: Project, manager: str | None, tell: Tell | None) -> Runtime:
    """What the entry points of a project run in, built when it has to be.

    By default the environment that the project names, built by uv where uv is there; `tell` hears
    of steps that take time. Raises UsageError and `BuildError`.
    """
    chosen = choose(project, manager)
    if chosen == "local":
        if tell is not None:
            for line in _differences(project):
                tell(line)
        return this_python()
    if not isinstance(project.environment, Path):
        raise UsageError(
            f"the project names no environment for {chosen} to build; add a python_env.yaml or a"
            " requirements.txt, or use --env-manager local"
        )
    spec = environments.read_spec(
        project.environment, allow_code=True, root=project.folder, conda=chosen == "conda"
    )
    return _built(environments.environment(spec, chosen, tell, gitml="whole"), chosen)


def locked(wanted: record.Environment, lock: Sequence[str], tell: Tell | None) -> Runtime:
    """The environment that a run had, built with uv unless there is just the same.

    That may be this Python, or an environment that was built before. `lock` are all packages that
    were installed, as lines of a requirements file. gitml is the running one; what came from a
    folder of another machine can't be had, and is left out. Raises UsageError and `BuildError`.
    """
    here = this_python()
    if here.machine.python == wanted.python and set(here.packages) == set(lock):
        return here
    if (found := _alike(wanted.python, lock)) is not None:
        return found
    lines = (line for line in lock if line and not line.startswith("#"))
    spec = environments.Spec(
        python=wanted.python.partition(" ")[0] or None,
        requirements=tuple(line for line in lines if not line.startswith(("gitml==", "gitml @"))),
        source="the lock of the run",
    )
    return _built(environments.environment(spec, "uv", tell, gitml="whole"), "uv")


def _alike(python: str, lock: Sequence[str]) -> Runtime | None:
    """An environment that was built before, and has just these packages."""
    for stored in environments.environments():
        same = stored.python == python and set(machine.packages(stored.site_packages)) == set(lock)
        if same and (found := environments.again(stored)) is not None:
            return _built(found, "conda" if stored.manager == "conda" else "uv")
    return None


def choose(project: Project, manager: str | None) -> Manager:
    """The manager that is meant; MLflow's `virtualenv` is uv."""
    if manager == _OF_MLFLOW:
        return "uv"
    if manager is not None:
        return environments.manager_of(manager)
    return "uv" if project.environment is not None and _has_uv() else "local"


def _has_uv() -> bool:
    try:
        find_uv()
    except UsageError:
        return False
    return True


def _differences(project: Project) -> tuple[str, ...]:
    """What this Python has otherwise than the project asks."""
    if not isinstance(project.environment, Path):
        return ()
    try:
        spec = environments.read_spec(project.environment, allow_code=True, root=project.folder)
        return environments.environment(spec, "local").differences
    except GitmlError as error:
        return (str(error),)


def this_python() -> Runtime:
    """The Python that is running, with all that it has."""
    told = dict(os.environ)
    scripts = str(Path(sys.executable).parent)
    told["PATH"] = os.pathsep.join([scripts, told.get("PATH", os.defpath)])
    return Runtime("local", told, machine.environment(), machine.packages())


def _built(found: Environment, manager: Manager) -> Runtime:
    done = process.run([str(found.python), "-I", "-c", _ASK], timeout=60)
    if done.returncode:
        raise StorageError(f"{found.python} does not run; run: gitml env prune --unused-for 0")
    version, folders = json.loads(done.stdout)
    here = replace(machine.environment(), python=version)
    return Runtime(manager, found.variables(), here, machine.packages(tuple(folders)))
