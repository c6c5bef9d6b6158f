"""A task: an entry point of a project with values, ready to run. Nothing has run yet."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from gitml import git
from gitml.errors import UsageError, shown
from gitml.projects import backend_config, confinement, mlproject, parameters, runtime
from gitml.projects.confinement import Confinement, Mount
from gitml.projects.image import Wish
from gitml.projects.kubernetes import placing
from gitml.projects.kubernetes.placing import KUBERNETES, Placement
from gitml.projects.mlproject import MAIN, EntryPoint, Project
from gitml.projects.ray import cargo, cluster
from gitml.projects.ray.cluster import Cluster
from gitml.projects.runtime import Runtime
from gitml.tracking import system_tags
from gitml.tracking.keyfiles import is_key
from gitml.tracking.place import Place
from gitml.tracking.record import Source
from gitml.tracking.redact import is_secret_name, redact_command
from gitml.tracking.starting import Program

PROJECT = "PROJECT"  # the type of a run's source, as in MLflow
_CODE = frozenset(".py .sh .r .toml .yaml .yml .cfg .ini .json .txt .ipynb .sql".split())

Tell = Callable[[str], None]
Locate = Callable[[str, str, str, bool], str]  # name, type, value, whether it is the default


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks for; the meaning of each is that of `gitml.projects.run`.

    `timeout` is in seconds. With `allow_extra` parameters that the entry point does not have are
    passed on as `--key value`. `docker_args` are options of `docker run`, and `image` says what is
    to be done for the image of a container. `backend_config` is what the user tells the backend.
    """

    uri: str = "."
    entry_point: str = MAIN
    version: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    allow_extra: bool = False
    env_manager: str | None = None
    backend: str = confinement.LOCAL
    timeout: float | None = None
    docker_args: Mapping[str, object] = field(default_factory=dict)
    image: Wish = field(default_factory=Wish)
    backend_config: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Where:
    """Where a task runs: its folder, the place of its run, and what the run says of its source.

    `repository` is a folder by which the entry point finds that place. `name` is how the source is
    recorded: a folder by its path in the repository, else its URI.
    """

    place: Place
    folder: Path
    repository: Path
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """An entry point that is ready to run in `where`, as the command `argv`.

    `params` are logged by its run, `fetched` at its end unless the script did: what the caller gave
    for data that was fetched. `secrets` are values that must not be recorded. `data` are the files
    and folders that the program is told of: where each parameter's is. With a `confinement` it runs
    in a container, or on a cluster, with a `placement` in one of Kubernetes. `source` is what the
    run says that was executed, by default the command line that asks for the same.
    """

    where: Where
    request: Request
    runtime: Runtime
    argv: tuple[str, ...]
    params: Mapping[str, bool | int | float | str]
    fetched: Mapping[str, str]
    secrets: tuple[str, ...]
    data: Mapping[str, Path] = field(default_factory=dict)
    confinement: Confinement | Cluster | None = None
    placement: Placement | None = None
    source: Source | None = None

    @property
    def is_here(self) -> bool:
        """Whether the program is a process of this machine, which starts at once."""
        return self.confinement is None and self.placement is None

    @property
    def tags(self) -> dict[str, str]:
        """The tags of its run, under MLflow's names; a script has none of a project's."""
        if self.source is not None and self.source.type != PROJECT:
            return dict(self.where.tags)
        return {
            system_tags.PROJECT_ENTRY_POINT: self.request.entry_point,
            system_tags.PROJECT_ENV: self.runtime.manager,
            system_tags.PROJECT_BACKEND: self.request.backend,
            **(self.confinement.tags if self.confinement else {}),
            **(self.placement.tags if self.placement else {}),
            **self.where.tags,
        }

    def program(self) -> Program:
        """What its run consists of, for the record."""
        own = Source(self.where.name, PROJECT, command_of(self.request))
        files = tuple(_untracked(self.where))
        return Program(self.source or own, self.runtime.machine, self.runtime.packages, files)


def make(
    request: Request,
    where: Where,
    tell: Tell | None,
    locate: Locate,
    prepared: Callable[[], Runtime] | None = None,
) -> Task:
    """Check all that is asked for, build the environment, and put the command together.

    `locate` gives what the program gets for a parameter's value: one that names data
    elsewhere is fetched. The environment is that of the project, or what `prepared` makes. Raises
    UsageError, FormatError and `BuildError`; then nothing has run.
    """
    check_backend(request)
    if request.backend == KUBERNETES:
        return _placed(request, where, tell)
    project = mlproject.read(where.folder)
    entry = project.entry_point(request.entry_point)
    backend = _backend(project, request)
    found = _located(entry, request.parameters, locate)
    given = {**request.parameters, **{name: place for name, (_, place) in found.items()}}
    told = parameters.values(entry.parameters, given, where.folder, allow_extra=request.allow_extra)
    mounts, seen = _data(entry, told, given, where, _BELOW.get(backend))
    shell = _shell() if backend == confinement.LOCAL else "bash"
    argv = entry.command.argv(shell, seen.declared, seen.extra)
    hidden = {name for name in (*told.declared, *told.extra) if is_secret_name(name)}
    params = parameters.as_logged(entry.parameters, told)
    if backend == confinement.LOCAL and prepared is not None:
        box, ready = None, prepared()
    else:
        box, ready = _settled(backend, project, request, where.place, mounts, tell)
    secrets = tuple(str(params[name]) for name in sorted(hidden))
    return Task(
        where,
        request,
        ready,
        tuple(argv),
        {name: value for name, value in params.items() if name not in {*hidden, *found}},
        {name: uri for name, (uri, _) in found.items()},
        secrets + (box.secrets if box else ()),
        _files(entry, told.declared),
        box,
    )


def _backend(project: Project, request: Request) -> str:
    """Where a project runs that may name an image. UsageError for what does not go with it."""
    found = request.backend
    if found in (confinement.LOCAL, confinement.DOCKER):
        wanted = confinement.is_wanted(project, found, request.env_manager)
        found = confinement.DOCKER if wanted else confinement.LOCAL
    if found != confinement.DOCKER:
        _check_no_container(request)
    if found == confinement.LOCAL:
        runtime.choose(project, request.env_manager)
    if request.backend_config and found in (confinement.LOCAL, confinement.DOCKER):
        raise UsageError(f"the backend {found} takes no configuration or address; leave it out")
    return found


def _settled(
    backend: str,
    project: Project,
    request: Request,
    place: Place,
    mounts: tuple[Mount, ...],
    tell: Tell | None,
) -> tuple[Confinement | Cluster | None, Runtime]:
    """What the program runs in: on this machine, in a container, or on a cluster."""
    if backend == cluster.RAY:
        manager, config = request.env_manager, request.backend_config
        return cluster.prepare(project, manager, config, place, mounts, tell)
    if backend == confinement.DOCKER:
        return confinement.prepare(project, request.image, request.docker_args, mounts, tell)
    return None, runtime.prepare(project, request.env_manager, tell)


_BELOW = {confinement.DOCKER: confinement.DATA, cluster.RAY: cargo.DATA}  # where data is to be


def _placed(request: Request, where: Where, tell: Tell | None) -> Task:
    """The task of an entry point that runs in a cluster, where the paths are others."""
    project = mlproject.read(where.folder)
    declared = project.entry_point(request.entry_point)
    entry = placing.parameters_of(declared, request.parameters, where.folder)
    extra = request.allow_extra
    told = parameters.values(entry.parameters, request.parameters, where.folder, allow_extra=extra)
    argv = entry.command.argv("bash", told.declared, told.extra)
    hidden = {name for name in (*told.declared, *told.extra) if is_secret_name(name)}
    params = parameters.as_logged(entry.parameters, told)
    network = request.docker_args.get("network")
    wish = replace(request.image, network=None if network is None else str(network))
    placed, ready = placing.prepare(project, request.backend_config, wish, tell)
    return Task(
        where,
        request,
        ready,
        tuple(argv),
        {name: value for name, value in params.items() if name not in hidden},
        {},
        (*(str(params[name]) for name in sorted(hidden)), *placed.secrets),
        placement=placed,
    )


def _data(
    entry: EntryPoint,
    told: parameters.Values,
    given: Mapping[str, object],
    where: Where,
    below: PurePosixPath | None,
) -> tuple[tuple[Mount, ...], parameters.Values]:
    """What goes along of the data that parameters name, and their values there."""
    if below is None:
        return (), told
    chosen = [parameter.name for parameter in entry.parameters if parameter.name not in given]
    top = where.repository if where.place.owner is not None else None
    return confinement.data(entry, told, chosen, top, below)


BACKENDS = (confinement.LOCAL, confinement.DOCKER, KUBERNETES, cluster.RAY)


def check_backend(request: Request) -> None:
    """Refuse a backend that there is not, and what is not for it."""
    name = request.backend
    if name not in BACKENDS:
        raise UsageError(f"there is no backend {shown(name)}; there are {', '.join(BACKENDS)}")
    if name == KUBERNETES and request.env_manager is not None:
        raise UsageError(
            f"in a cluster there is no {shown(request.env_manager)}; leave --env-manager out"
        )
    if name == KUBERNETES and set(request.docker_args) - {"network"}:
        raise UsageError(
            "a pod has no options of docker run (but network, for the build of the image); say it"
            " in the template of the Job"
        )


def _check_no_container(request: Request) -> None:
    """Refuse what is said of a container or an image where there is none."""
    if request.docker_args or request.image != Wish():
        raise UsageError(
            "options of docker run and of its image are for a project that runs in a container; use"
            " --backend docker, or leave them out"
        )


def described(request: Request, project: Project) -> str:
    """The command of the entry point that is asked for, as its file has it."""
    return project.entry_point(request.entry_point).command.text.strip()


def _located(
    entry: EntryPoint, given: Mapping[str, object], locate: Locate
) -> dict[str, tuple[str, str]]:
    """The parameters whose values name data elsewhere: how it is called, and where it is now."""
    found = {}
    for parameter in entry.parameters:
        value = given.get(parameter.name, parameter.default)
        if value is not None:
            text = parameters.text(value)
            place = locate(parameter.name, parameter.type, text, parameter.name not in given)
            if place != text:
                found[parameter.name] = text, place
    return found


def _files(entry: EntryPoint, told: Mapping[str, str]) -> dict[str, Path]:
    """What the values of parameters name on this machine."""
    kinds = {one.name: one.type for one in entry.parameters}
    named = {name: Path(value) for name, value in told.items() if kinds[name] in ("path", "uri")}
    return {name: path for name, path in named.items() if path.is_absolute()}


def _shell() -> str:
    """The shell that commands are written for; bash, as in MLflow."""
    for name in ("bash", "sh"):
        if found := shutil.which(name):
            return found
    raise UsageError("neither bash nor sh, which run a project's commands, is on the PATH")


def command_of(request: Request) -> tuple[str, ...]:
    """The command line that asks for the same, without credentials."""
    words = ["gitml", "run", request.uri]
    words += [] if request.entry_point == MAIN else ["-e", request.entry_point]
    words += ["--version", request.version] if request.version else []
    for name, value in request.parameters.items():
        words += ["-P", f"{name}={parameters.text(value)}"]
    words += ["--env-manager", request.env_manager] if request.env_manager else []
    words += ["--backend", request.backend] if request.backend != confinement.LOCAL else []
    words += backend_config.words(request.backend_config)
    for name, given in request.docker_args.items():
        words += ["-A", name if given is True else f"{name}={given}"]
    words += ["--build-image"] if request.image.build else []
    words += ["--skip-image-build"] if request.image.as_it_is else []
    words += ["--allow-extra"] if request.allow_extra else []
    return redact_command(words)


def _untracked(where: Where) -> Sequence[Path]:
    """The files of the project that look like code, and that git neither tracks nor ignores.

    A key of somebody's is not among them, whatever it looks like.
    """
    repo = where.place.repo
    if repo.root is None or not where.folder.is_relative_to(repo.root):
        return ()
    inside = where.folder.relative_to(repo.root).as_posix()
    listed = git.attempt(
        repo, "ls-files", "--others", "--exclude-standard", "-z", "--", f":(literal){inside}"
    )
    names = os.fsdecode(listed.stdout).split("\0")
    paths = (repo.root / name for name in names if name)
    return [path for path in paths if _is_code(path) and not is_key(path)]


def _is_code(path: Path) -> bool:
    is_project = path.name.lower() == mlproject.FILE_NAME.lower()
    return is_project or path.suffix.lower() in _CODE
