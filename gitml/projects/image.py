"""The image that a project runs in: the one that it names, with gitml in it, or one of its lock.

What is built here is named by what it is made of, and found by that name the next time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitml import caches, containers, environments, locks
from gitml.containers import EngineError
from gitml.containers.python import (
    base_of,
    check_not_local,
    libraries_of,
    uv_platform,
    version_of,
)
from gitml.documents import dump_json, load_json, write_atomic
from gitml.environments import BuildError, Spec, counterparts, uv, wheel
from gitml.environments.requirements import package, without_user
from gitml.errors import FormatError, UsageError, shown
from gitml.projects import packing
from gitml.projects.dockerfile import LABEL, dockerfile
from gitml.projects.mlproject import DockerEnv, Project

Tell = Callable[[str], None]

DOCKERFILE = "Dockerfile"
_PATIENCE = 3600.0  # seconds to wait for another process that builds the same image
_ASK = """
import json, platform
try:
    from gitml.tracking.environment import packages
    found = list(packages())
except ImportError:
    from importlib import metadata
    found = sorted({f"{one.name}=={one.version}" for one in metadata.distributions()})
print(json.dumps([platform.python_version(), found]))
"""
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
_STEP = re.compile(r"(?:STEP \d+/\d+: |Step \d+/\d+ : |#\d+ \[[^\]]*\d+/\d+\] )(?=RUN|COPY|ADD)")
_RUN_PYTHON = 'exec "$(command -v python || command -v python3)" -I -c "$0"'


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user says of the image: `build` it from the Dockerfile even when it is there.

    With `as_it_is` nothing is built, also no gitml put into it. `network` is that of the build.
    `more` are packages that recording needs besides, to reach a bucket, say. With an `id` it is
    just the image of that id, which was made for another run.
    """

    build: bool = False
    as_it_is: bool = False
    network: str | None = None
    more: tuple[str, ...] = ()
    id: str | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """The options of the build."""
        return (f"--network={self.network}",) if self.network else ()


def settle(engine: str, project: Project, wish: Wish, tell: Tell | None) -> str:
    """The name of the image that the project's entry points run in, built when it has to be.

    Raises UsageError, `BuildError` and EngineError.
    """
    if wish.id is not None:
        return _of_id(engine, wish.id)
    if wish.build and wish.as_it_is:
        raise UsageError("--build-image builds what --skip-image-build does not; give one of them")
    if isinstance(project.environment, DockerEnv):
        base = _wanted(engine, project, project.environment.image, wish, tell)
        return base if wish.as_it_is else _with_gitml(engine, base, wish, tell)
    if project.environment is None:
        raise UsageError(
            "the project names no environment to make an image of; add a python_env.yaml, a"
            " requirements.txt or a docker_env"
        )
    if wish.build or wish.as_it_is:
        raise UsageError(
            "--build-image and --skip-image-build are for projects with a docker_env; this one has"
            f" {project.environment.name}"
        )
    return _of_environment(engine, project, project.environment, wish, tell)


def _of_id(engine: str, id: str) -> str:
    if not _ID.fullmatch(id) or containers.identify(engine, id) is None:
        raise BuildError(
            f"the image of the run ({shown(id)}) is not on this machine; --env current makes one of"
            " the run's commit"
        )
    return id


# -- the image that a project names --------------------------------------------------------


def _wanted(engine: str, project: Project, image: str, wish: Wish, tell: Tell | None) -> str:
    """The image of that name: what is there, else built from the Dockerfile, else pulled."""
    has_file = (project.folder / DOCKERFILE).is_file()
    if wish.build and not wish.as_it_is and has_file:
        return _from_dockerfile(engine, project, wish, tell, again=True)
    if containers.identify(engine, image) is not None:
        return image
    if wish.as_it_is or not has_file:
        return _pulled(engine, image, tell)
    return _from_dockerfile(engine, project, wish, tell)


def _pulled(engine: str, image: str, tell: Tell | None) -> str:
    if tell is not None:
        tell(f"Pulling {image}")
    try:
        containers.ask(engine, "pull", "--quiet", image, timeout=None)
    except EngineError as error:
        raise BuildError(
            f"the image {shown(image)} is not here, and can't be pulled ({error}); build it, or put"
            f" a {DOCKERFILE} into the project"
        ) from None
    return image


def _from_dockerfile(
    engine: str, project: Project, wish: Wish, tell: Tell | None, *, again: bool = False
) -> str:
    """The image of the project's Dockerfile, with its files beside it.

    It gets a name of gitml's own: a stranger's project must not replace an image of the user's.
    """
    with _draft() as folder:
        name = f"gitml-project:{packing.copy(project.folder, folder)[:20]}"
        with _turn(engine, name, again=again) as is_mine:
            if is_mine:
                _build(engine, folder, name, wish, tell, ours=False)
    return name


def _with_gitml(engine: str, base: str, wish: Wish, tell: Tell | None) -> str:
    """The image with the running gitml in it, as far as recording needs that."""
    found = containers.identify(engine, base)
    if found is None:
        raise BuildError(f"the image {shown(base)} is not there any more")
    user = _user(engine, base)
    needed = (*wheel.RECORDING, *wish.more)
    made_of = (found.id, wheel.digest(), dockerfile(base, None, user=user), *needed)
    name = f"gitml-run:{_key(*made_of)}"
    with _turn(engine, name) as is_mine, _draft() as folder:
        if is_mine:
            own = wheel.write_wheel(folder, "recording").name
            _write(folder, "requirements.txt", needed)
            _write(folder, DOCKERFILE, [dockerfile(base, own, user=user)])
            try:
                _build(engine, folder, name, wish, tell)
            except BuildError as error:
                raise BuildError(
                    f"gitml can't be put into the image {shown(base)}: {error}; it needs Python"
                    f" {wheel.PYTHON[0]}.{wheel.PYTHON[1]} or newer with pip. --skip-image-build"
                    " runs it as it is"
                ) from None
    return name


def _user(engine: str, image: str) -> str:
    return containers.ask(engine, "image", "inspect", "--format", "{{.Config.User}}", image)


# -- an image of an environment ------------------------------------------------------------


def _of_environment(
    engine: str, project: Project, file: Path, wish: Wish, tell: Tell | None
) -> str:
    """The image of what a project's environment file asks for, each package at one version."""
    found = environments.read_spec(file, allow_code=True, root=project.folder)
    spec = counterparts.on_pypi(found, tell)
    check_not_local(spec)
    if secret := next((it for it in (*spec.indexes(), *spec.requirements) if _has_user(it)), None):
        raise UsageError(
            f"{file.name}: {shown(without_user(secret))} holds a password, which would be readable"
            " in the image; use an index that needs none"
        )
    python, platform = version_of(spec), uv_platform()
    adds = wheel.is_wanted(spec)
    own = wheel.digest() if adds else ""
    name = f"gitml-env:{spec.digest('image', python, platform, own, *wish.more)[:20]}"
    with _turn(engine, name) as is_mine, _draft() as folder:
        if is_mine:
            more = (*wheel.RECORDING, *wish.more) if adds else wish.more
            listed = wheel.without(spec) if adds else spec
            locked = uv.lock(listed, more, python, platform, tell)
            _fill(folder, spec, locked, base_of(python), adds)
            _build(engine, folder, name, wish, tell)
    return name


def _has_user(line: str) -> bool:
    return without_user(line) != line


def _fill(folder: Path, spec: Spec, locked: str, base: str, adds: bool) -> None:
    tools = [line for line in spec.build if _name(line) not in ("pip", "wheel")]
    _write(folder, "requirements.txt", [*spec.indexes(), locked])
    if tools:
        _write(folder, "build.txt", [*spec.indexes(), *tools])
    own = wheel.write_wheel(folder, "recording").name if adds else None
    libraries = libraries_of(locked)
    _write(
        folder, DOCKERFILE, [dockerfile(base, own, build_tools=bool(tools), libraries=libraries)]
    )


def _name(line: str) -> str:
    wanted = package(line)
    return wanted.name if wanted else line


# -- both ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _draft() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=caches.folder("images")) as folder:
        yield Path(folder)


@contextlib.contextmanager
def _turn(engine: str, name: str, *, again: bool = False) -> Iterator[bool]:
    """Whether the image is to be built in the block: one process builds it, others wait for it."""
    if not again and containers.identify(engine, name) is not None:
        yield False
        return
    lock = caches.folder("images") / f"{name.replace(':', '-')}.lock"
    with locks.held(lock, _PATIENCE, remove=True):
        yield again or containers.identify(engine, name) is None


def _write(folder: Path, name: str, lines: Iterable[str]) -> None:
    text = "".join(f"{line.rstrip()}\n" for line in lines)
    (folder / name).write_text(text, encoding="utf-8", newline="\n")


def _build(
    engine: str, folder: Path, name: str, wish: Wish, tell: Tell | None, *, ours: bool = True
) -> None:
    """Build an image; of what the engine says, its steps are told.

    A Dockerfile that is not `ours` is told nothing of the index, and gets the label from outside.
    """

    def heard(line: str) -> None:
        if tell is not None and (step := _STEP.match(line)):
            tell(line[step.end() :].strip())

    if tell is not None:
        tell(f"Building the image {name}")
    options = wish.options if ours else (*wish.options, f"--label={LABEL}=1")
    containers.build(engine, folder, name, options, heard, index=ours)


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def contents(engine: str, image: str) -> tuple[str, str, tuple[str, ...]]:
    """An image's id, the version of its Python, and all that is installed; empty without a Python.

    What an image has never changes: it is asked once.
    """
    found = containers.identify(engine, image)
    if found is None:
        raise EngineError(f"the image {shown(image)} is not there any more")
    kept = caches.folder("images") / f"{_key(found.id, _ASK)}.json"
    try:
        version, packages = load_json(kept.read_bytes(), kept.name)
    except (OSError, FormatError, ValueError):
        version, packages = _asked(engine, image)
        write_atomic(kept, dump_json([version, packages]))
    return found.id, version, tuple(packages)


def _asked(engine: str, image: str) -> tuple[str, Sequence[str]]:
    options = ("--rm", "--network=none", "--entrypoint=/bin/sh")
    try:
        said = containers.ask(engine, "run", *options, image, "-c", _RUN_PYTHON, _ASK)
        version, packages = json.loads(said)
    except (EngineError, ValueError):
        return "", ()
    return version, packages
