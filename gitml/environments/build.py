"""An environment for a spec: built once, named by what it is made of, used again."""

from __future__ import annotations

import os
import secrets
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from gitml import locks, process
from gitml.environments import conda, counterparts, local, pythons, store, uv, wheel
from gitml.environments.complaints import BuildError, complaint
from gitml.environments.spec import Spec, is_version
from gitml.errors import UsageError, shown

Manager = Literal["uv", "conda", "local"]
MANAGERS: tuple[Manager, ...] = get_args(Manager)
_PATIENCE = 3600.0  # seconds to wait for another process that builds the same environment


@dataclass(frozen=True, slots=True)
class Environment:
    """A folder with an interpreter and packages, ready for use.

    `differences` says, for the current environment, what of the spec it does not have.
    """

    path: Path
    python: Path
    differences: tuple[str, ...] = ()

    def variables(self, given: Mapping[str, str] | None = None) -> dict[str, str]:
        """`given`, by default this process's variables, for a program that runs in here."""
        told = dict(os.environ if given is None else given)
        for name in ("PYTHONHOME", "PYTHONPATH", "CONDA_PREFIX"):
            told.pop(name, None)
        told["VIRTUAL_ENV"] = str(self.path)
        told["PATH"] = os.pathsep.join([str(self.python.parent), told.get("PATH", os.defpath)])
        return told


def manager_of(name: str) -> Manager:
    """The manager that is called so; `UsageError` when none is."""
    for manager in MANAGERS:
        if name == manager:
            return manager
    *most, last = MANAGERS
    known = f"{', '.join(most)} or {last}"
    raise UsageError(f"{shown(name)} is no manager of environments; {known} is")


def environment(
    spec: Spec,
    manager: Manager = "uv",
    progress: Callable[[str], None] | None = None,
    *,
    gitml: wheel.Extent | None = "serving",
) -> Environment:
    """The environment of a spec, from the user's cache folder or built into it.

    `uv` and `conda` build one; `local` is the current interpreter, and says what differs.
    `progress` is told of steps that take time, a line each. The running gitml is added, to serve
    models, as a `whole`, or not at all with None, unless the spec names another version of it.

    Raises `UsageError` when the spec or the manager can't be used, and `BuildError` when the
    manager fails.
    """
    if manager == "local":
        return Environment(Path(sys.prefix), Path(sys.executable), local.differences(spec))
    if manager_of(manager) == "uv":
        spec = counterparts.on_pypi(spec, progress)
    extent = gitml if wheel.is_wanted(spec) else None
    if extent:
        spec = wheel.without(spec)  # no index gets to say what it is
    key = _key(spec, manager, extent)
    if found := store.lookup(key):
        return _ready(found.path)
    if progress is not None and locks.is_held(store.lock(key)):
        progress("Waiting for another process that builds the same environment")
    with locks.held(store.lock(key), _PATIENCE, remove=True):
        found = store.lookup(key)
        return _ready(found.path) if found else _built(spec, manager, extent, key, progress)


def again(stored: store.Stored) -> Environment | None:
    """An environment that was built before, which counts as used now; None when it has gone."""
    found = store.lookup(stored.key)
    return _ready(found.path) if found is not None else None


def _ready(path: Path) -> Environment:
    return Environment(path, pythons.interpreter(path))


def _key(spec: Spec, manager: Manager, extent: wheel.Extent | None) -> str:
    """What names an environment: the spec, the platform, the Python, and the running gitml."""
    python = spec.python or pythons.running().version
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    own = f"{extent} {wheel.digest()}" if extent else ""
    conditions = (manager, sysconfig.get_platform(), multiarch, own)
    return replace(spec, python=python).digest(*conditions)[:20]


def _built(
    spec: Spec,
    manager: Manager,
    extent: wheel.Extent | None,
    key: str,
    progress: Callable[[str], None] | None,
) -> Environment:
    """Build in a folder of its own, which is marked when it is whole. The lock is held.

    Nobody else ever writes there: an orphan of an earlier build may still be at work in its own.
    """
    store.clear(key)
    if extent:
        _check_python(spec)
    place = store.folder() / f"{key}-{secrets.token_hex(4)}"
    place.mkdir(mode=0o700)
    try:
        with tempfile.TemporaryDirectory() as drafts:
            wheels = [wheel.write_wheel(Path(drafts), extent)] if extent else []
            builder = uv.build if manager == "uv" else conda.build
            builder(spec, wheels, place, progress)
        store.complete(place, spec, manager, _version(pythons.interpreter(place)))
    except BaseException:
        store.remove(place)
        raise
    return _ready(place)


def _check_python(spec: Spec) -> None:
    """Refuse a Python that the running gitml, which is added, does not run on."""
    python = spec.python if spec.python and is_version(spec.python) else None
    if python and tuple(map(int, python.split(".")[:2])) < wheel.PYTHON:
        raise UsageError(
            f"{spec.source} asks for Python {python}, but gitml needs"
            f" {wheel.PYTHON[0]}.{wheel.PYTHON[1]} or newer; use --env-manager local"
        )


def _version(python: Path) -> str:
    """The version of an interpreter, which also shows that it runs."""
    script = "import platform; print(platform.python_version())"
    done = process.run([str(python), "-I", "-c", script], timeout=60)
    if done.returncode:
        raise BuildError(f"{python} does not run: {complaint(done.stderr)}")
    return done.stdout.decode().strip()
