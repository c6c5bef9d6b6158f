"""The MLproject file: entry points and environment of a project, in MLflow's format.

Format: schemas/mlproject.schema.json. A folder without the file is a project, too: its scripts
are its entry points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from gitml.documents import MAX_YAML_BYTES, load_yaml, near_miss, position, validate_yaml
from gitml.errors import FormatError, StorageError, UsageError, shown
from gitml.files import shown_path
from gitml.projects.command import Command
from gitml.projects.parameters import TYPES, Parameter

FILE_NAME = "MLproject"
MAIN = "main"
_SCRIPTS = {".py": "python", ".sh": "bash", ".R": "Rscript", ".r": "Rscript"}
_ENVIRONMENTS = ("docker_env", "python_env", "conda_env")
_FOUND = ("python_env.yaml", "conda.yaml", "requirements.txt", "pyproject.toml")


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """What a project can run."""

    name: str
    command: Command
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True, slots=True)
class DockerEnv:
    """An image to run in, volumes as `docker run` takes them, and variables.

    A variable without a value (None) is passed on from the caller.
    """

    image: str
    volumes: tuple[str, ...] = ()
    environment: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Project:
    """A project in `folder`; `environment` is the file that describes it, or an image."""

    folder: Path
    name: str | None = None
    entry_points: tuple[EntryPoint, ...] = ()
    environment: Path | DockerEnv | None = None

    def entry_point(self, name: str = MAIN) -> EntryPoint:
        """The entry point of that name, or the script at that path below the folder.

        Raises UsageError, which tells what there is.
        """
        for entry_point in self.entry_points:
            if entry_point.name == name:
                return entry_point
        path = PurePosixPath(name)
        if path.suffix in _SCRIPTS and (self.folder / path).is_file():
            if path.is_absolute() or ".." in path.parts:
                raise UsageError(f"the script {shown(name)} is outside the project")
            return EntryPoint(name, _script(path))
        names = [entry_point.name for entry_point in self.entry_points]
        hint = near_miss(name, names) or (f"; it has {', '.join(names)}" if names else "")
        raise UsageError(f"the project has no entry point {shown(name)}{hint}")


class _FaultError(Exception):
    """What is wrong with the document, and the keys that lead there."""

    def __init__(self, keys: tuple[str, ...], what: str) -> None:
        super().__init__(what)
        self.keys = keys


def read(folder: Path) -> Project:
    """The project in a folder. Raises UsageError and FormatError, which tells line and column."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {shown_path(folder)}")
    found = [path for path in sorted(folder.iterdir()) if path.name.lower() == FILE_NAME.lower()]
    if not found:
        return Project(folder, environment=_beside(folder))
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise UsageError(f"{shown_path(folder)} has {names}; a project has one {FILE_NAME}")
    return parse(_bytes(found[0]), folder, found[0].name)


def parse(data: bytes, folder: Path, where: str = FILE_NAME) -> Project:
    """The project that the text of an MLproject file describes.

    Raises FormatError, which tells line and column.
    """
    document = load_yaml(data, where)
    validate_yaml(document, data, "mlproject", where)
    try:
        return _project(document or {}, folder)
    except _FaultError as fault:
        line, column = position(data, fault.keys)
        raise FormatError(f"{where}: line {line}, column {column}: {fault}") from None


def _project(document: Mapping[str, Any], folder: Path) -> Project:
    entry_points = document.get("entry_points") or {}
    name = document.get("name")
    return Project(
        folder,
        None if name is None else str(name),
        tuple(_entry_point(key, value) for key, value in entry_points.items()),
        _environment(document, folder),
    )


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise UsageError(f"{shown_path(path)} is no file")
    try:
        with path.open("rb") as file:
            return file.read(MAX_YAML_BYTES + 1)
    except OSError as error:
        raise StorageError(f"can't read {shown_path(path)}: {error.strerror}") from None


def _script(path: PurePosixPath) -> Command:
    quoted = str(path).replace("'", "'\\''").replace("{", "{{").replace("}", "}}")
    return Command(f"{_SCRIPTS[path.suffix]} './{quoted}'")


def _entry_point(name: str, document: Mapping[str, Any]) -> EntryPoint:
    keys = ("entry_points", name)
    command = Command(document["command"])
    listed = (document.get("parameters") or {}).items()
    parameters = tuple(
        _parameter(key, value, name, (*keys, "parameters", key)) for key, value in listed
    )
    names = [parameter.name for parameter in parameters]
    try:
        used = command.parameters()
    except UsageError as error:
        raise _FaultError((*keys, "command"), f"the command of {shown(name)}: {error}") from None
    for unknown in (one for one in used if one not in names):
        hint = near_miss(unknown, names) or "; declare it under parameters"
        what = f"the command of {shown(name)} has {{{unknown}}}, which is no parameter{hint}"
        raise _FaultError((*keys, "command"), what)
    return EntryPoint(name, command, parameters)


def _parameter(name: str, value: object, entry_point: str, keys: tuple[str, ...]) -> Parameter:
    """`name: float` or `name: {type: float, default: 0.1}`."""
    kind, default = value, None
    if isinstance(value, Mapping):
        kind, default = value.get("type"), value.get("default")
    kind = "string" if kind is None else str(kind)
    if kind.lower() not in TYPES:
        hint = near_miss(kind, TYPES) or "; write string, int, float, bool, path or uri"
        what = f"entry point {shown(entry_point)}: {shown(kind)} is no type of {shown(name)}{hint}"
        raise _FaultError(keys, what)
    text = None if default is None else str(default)
    return Parameter(name, TYPES[kind.lower()], text)


def _environment(document: Mapping[str, Any], folder: Path) -> Path | DockerEnv | None:
    named = [key for key in _ENVIRONMENTS if document.get(key) is not None]
    if len(named) > 1:
        raise _FaultError(
            (named[1],), f"there is {' and '.join(named)}; a project has one environment"
        )
    if not named:
        return _beside(folder)
    (key,) = named
    value = document[key]
    if isinstance(value, Mapping):
        return _docker(value)
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise _FaultError((key,), f"{key} {shown(value)} is outside the project")
    if not (folder / path).is_file():
        raise _FaultError((key,), f"there is no {key} {shown(value)}")
    return folder / path


def _docker(document: Mapping[str, Any]) -> DockerEnv:
    environment: Sequence[Any] = document.get("environment") or ()
    return DockerEnv(
        document["image"],
        tuple(document.get("volumes") or ()),
        tuple(
            (item, None) if isinstance(item, str) else (item[0], str(item[1]))
            for item in environment
        ),
    )


def _beside(folder: Path) -> Path | None:
    """The file that describes the environment where MLproject names none; MLflow's order."""
    return next((folder / name for name in _FOUND if (folder / name).is_file()), None)
