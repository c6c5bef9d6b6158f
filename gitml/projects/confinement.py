"""What of a run in a container is settled before it starts: the image, and what it may see."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from gitml import containers
from gitml.containers.engine import check_is_here
from gitml.errors import UsageError, shown
from gitml.projects import image
from gitml.projects.mlproject import DockerEnv, EntryPoint, Project
from gitml.projects.parameters import Values
from gitml.projects.runtime import Runtime, Tell
from gitml.tracking import environment as machine
from gitml.tracking import system_tags
from gitml.tracking.redact import is_secret_name

DOCKER, LOCAL = "docker", "local"
CODE = PurePosixPath("/mlflow/projects/code")  # as in MLflow, whose projects may name it
# The spool. It is mounted itself: a container could put a link in the place of a folder below.
INSIDE = PurePosixPath("/gitml/spool")
DATA = PurePosixPath("/gitml/data")

# What of `docker create` would take from gitml what it needs to run, watch or end a container.
_OURS = frozenset(
    """attach a cidfile detach d detach-keys interactive i name pid restart rm sig-proxy tty t
    workdir w""".split()
)
_ARGUMENT = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_PLACE = re.compile(r"\.{0,2}/|\.{1,2}$|~")  # else it is the name of a volume of the engine's

_INSTEAD = "run it on this machine (--env-manager local)"
_OR_HERE = "run it without --backend docker"


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of this machine that a container sees at `target`."""

    source: Path
    target: PurePosixPath
    read_only: bool = True

    @property
    def option(self) -> str:
        """The option of the engine; podman takes no comma in the form that takes a colon."""
        if ":" not in str(self.source):
            return f"--volume={self.source}:{self.target}{':ro' * self.read_only}"
        text = io.StringIO()
        words = ["type=bind", f"source={self.source}", f"target={self.target}"]
        csv.writer(text, lineterminator="").writerow(words + ["readonly"] * self.read_only)
        return f"--mount={text.getvalue()}"


@dataclass(frozen=True, slots=True)
class Confinement:
    """A container to be: its engine and image, and the options that the project and the user give.

    `called` is the image as the project calls it, before gitml was put into it. `secrets` are
    values of variables that are passed on, and must not be recorded.
    """

    engine: str
    image: str
    image_id: str
    called: str
    options: tuple[str, ...]
    mounts: tuple[Mount, ...] = ()
    secrets: tuple[str, ...] = ()

    @property
    def tags(self) -> dict[str, str]:
        """What the run's tags say of it, under MLflow's names."""
        return {
            system_tags.DOCKER_IMAGE_URI: self.called,
            system_tags.DOCKER_IMAGE_ID: self.image_id,
        }


def is_wanted(project: Project, backend: str, manager: str | None) -> bool:
    """Whether a project runs in a container: it names an image, or the user wants one.

    UsageError when a manager of environments is named as well, but for `local` of a project with an
    image, which then runs here.
    """
    named = project.environment
    if backend == DOCKER and manager is not None:
        raise UsageError(f"in a container there is no {shown(manager)}; leave --env-manager out")
    if isinstance(named, DockerEnv) and manager not in (None, LOCAL):
        raise UsageError(
            f"the project names the image {shown(named.image)}; leave --env-manager out, or use"
            " --env-manager local to run it here"
        )
    return backend == DOCKER or (isinstance(named, DockerEnv) and manager is None)


def prepare(
    project: Project,
    wish: image.Wish,
    arguments: Mapping[str, object],
    mounts: tuple[Mount, ...],
    tell: Tell | None,
) -> tuple[Confinement, Runtime]:
    """Settle the image of a project, and what its container gets; and what the record says of it.

    `arguments` are options of `docker run`. Raises UsageError, `BuildError` and `EngineError`.
    """
    named = project.environment if isinstance(project.environment, DockerEnv) else DockerEnv("")
    options = (
        *_variables(named),
        *(f"--volume={_volume(text, project.folder)}" for text in named.volumes),
        *_arguments(arguments),
    )
    engine = containers.find_engine(_INSTEAD if named.image else _OR_HERE)
    check_is_here(engine)
    network = arguments.get("network", arguments.get("net"))
    wish = replace(wish, network=None if network is None else str(network))
    ready = image.settle(engine, project, wish, tell)
    id, version, packages = image.contents(engine, ready)
    secrets = [os.environ[name] for name in _passed_on(named) if is_secret_name(name)]
    found = Confinement(engine, ready, id, named.image or ready, options, mounts, tuple(secrets))
    here = replace(machine.environment(), python=version)
    return found, Runtime(DOCKER, {}, here, packages)


def _passed_on(named: DockerEnv) -> list[str]:
    """The variables of the caller's that the project takes."""
    return [name for name, value in named.environment if value is None]


def _variables(named: DockerEnv) -> Iterator[str]:
    """The options for a project's variables; the engine takes the values of the caller's itself."""
    missing = [name for name in _passed_on(named) if name not in os.environ]
    if missing:
        raise UsageError(
            f"the project takes the variable {missing[0]} from you, and it is not set; set it"
        )
    for name, value in named.environment:
        yield f"--env={name}" if value is None else f"--env={name}={value}"


def _volume(text: str, folder: Path) -> str:
    """A volume as `docker run` takes it; a relative place is seen from the project's folder."""
    source, sign, rest = text.partition(":")
    if not sign or not _PLACE.match(source):
        return text
    return f"{os.path.abspath(folder / Path(source).expanduser())}{sign}{rest}"


def _arguments(given: Mapping[str, object]) -> Iterator[str]:
    """Options of `docker run` from names and values, as MLflow makes them: True for a flag."""
    for name, value in given.items():
        if not _ARGUMENT.fullmatch(name):
            raise UsageError(f"{shown(name)} is no option of docker run; write gpus=all, say")
        if name in _OURS:
            raise UsageError(f"gitml sets the option {name} of docker run itself; leave it out")
        if value is True:
            yield f"-{name}" if len(name) == 1 else f"--{name}"
        elif len(name) == 1:
            yield from (f"-{name}", str(value))
        else:
            yield f"--{name}={value}"


# -- what a container sees of this machine -------------------------------------------------


def data(
    entry: EntryPoint,
    told: Values,
    chosen: Collection[str],
    top: Path | None,
    below: PurePosixPath = DATA,
) -> tuple[tuple[Mount, ...], Values]:
    """Have the files and folders that parameters name in the container, to be read only.

    They are `below` a folder there; the values are what the program gets. `top` is the folder of a
    stranger's project, and what he has `chosen` himself, as a default, must lie in it.
    """
    mounts, values = list[Mount](), dict(told.declared)
    for parameter in entry.parameters:
        source = Path(values[parameter.name])
        if parameter.type not in ("path", "uri") or not source.is_absolute():
            continue
        if top is not None and parameter.name in chosen and not _is_in(source, top):
            raise UsageError(
                f"the default of the parameter {shown(parameter.name)} is outside the project; say"
                f" what it may see: -P {parameter.name}=PATH"
            )
        mounts.append(Mount(source, below / str(len(mounts)) / source.name))
        values[parameter.name] = str(mounts[-1].target)
    return tuple(mounts), replace(told, declared=values)


def _is_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def access(project: Project) -> tuple[str, ...]:
    """What a project's container would have of this machine, in words: volumes, variables.

    Volumes of what is in the project are none.
    """
    named = project.environment
    if not isinstance(named, DockerEnv):
        return ()
    variables = (f"variable {name}" for name in _passed_on(named))
    return (*_volumes(named.volumes, project.folder), *variables)


def _volumes(volumes: Sequence[str], folder: Path) -> Iterator[str]:
    for text in volumes:
        source, has_source, _ = text.partition(":")
        is_own = _PLACE.match(source) and not source.startswith("~")
        if has_source and not (is_own and _is_in(folder / source, folder)):
            yield f"volume {text}"
