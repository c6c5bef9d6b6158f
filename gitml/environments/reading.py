"""Specs from files: python_env.yaml, conda.yaml, requirements.txt, and what these name.

A pyproject.toml is read when it is named; that of a folder is looked for in projects only.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitml.documents import load_yaml, shown_kind, unknown_key
from gitml.environments import counterparts, pyproject
from gitml.environments.requirements import Line, lines, parse
from gitml.environments.spec import Spec, python_version
from gitml.errors import FormatError, UsageError, shown
from gitml.files import shown_path

FILES = ("python_env.yaml", "conda.yaml", "requirements.txt")
_MAX_BYTES = 1_000_000
_MAX_LINES = 10_000  # of all files together
_PYTHON_ENV = ("python", "build_dependencies", "dependencies")
_CONDA = ("name", "channels", "dependencies", "prefix")
_ALLOW = "allow it with --allow-code (allow_code=True) if you trust who wrote it"


def read_spec(
    path: Path, *, allow_code: bool = False, root: Path | None = None, conda: bool = False
) -> Spec:
    """The spec that a file describes; of a folder, its python_env.yaml, conda.yaml or requirements.

    Its conda.yaml comes first when it is `conda` that will build the environment.

    A line that would fetch from elsewhere than the user's own index, or run what is in a folder,
    and a file outside `root` (by default the folder) is refused unless `allow_code`. Raises
    `UsageError` and `FormatError`, which name the file and the line.
    """
    file = _described(path, conda)
    reader = _Reader((root or file.parent).resolve(), allow_code)
    if file.name == pyproject.FILE_NAME:
        text, python = pyproject.read(file)
        _take_all([text], file.name, file, reader, reader.requirements)
        return reader.spec(python_version(python, f"{file.name}: requires-python"), file)
    if file.suffix not in (".yaml", ".yml"):
        reader.read(file, reader.requirements)
        return reader.spec(None, file)
    document = _mapping(load_yaml(_bytes(file), file.name), file.name)
    if _is_condas(file, document):
        return _from_conda(document, file, reader)
    return _from_python_env(document, file, reader)


def _described(path: Path, conda: bool) -> Path:
    if not path.is_dir():
        return path
    names = sorted(FILES, key=lambda name: not (conda and name == "conda.yaml"))
    found = [path / name for name in names if (path / name).is_file()]
    if not found:
        raise UsageError(f"{shown_path(path)} has none of {', '.join(FILES)}; add one of them")
    return found[0]


def _bytes(file: Path) -> bytes:
    if not file.is_file():  # a pipe that nobody writes would hold us up
        raise UsageError(f"there is no file {shown_path(file)}")
    try:
        with file.open("rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"can't read {shown_path(file)}: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise FormatError(f"{file.name} is over 1 MB long; it can't be what it should be")
    return data


def _text(file: Path) -> str:
    try:
        return _bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError(f"{file.name} is not UTF-8; save it as UTF-8") from None


@dataclass
class _Reader:
    """Gathers the lines of requirements files and of those that they include."""

    root: Path
    allow_code: bool
    requirements: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    build: list[str] = field(default_factory=list)
    _open: list[Path] = field(default_factory=list)
    _done: set[tuple[Path, int]] = field(default_factory=set)
    _taken: int = 0

    def read(self, file: Path, into: list[str]) -> None:
        """Add the lines of a requirements file."""
        if file in self._open:
            raise UsageError(f"{file.name} includes itself; take the line out")
        if (file, id(into)) in self._done:
            return  # its lines are there
        self._done.add((file, id(into)))
        self._open.append(file)
        for number, line in lines(_text(file)):
            self.take(line, f"{file.name}: line {number}", file.parent, into)
        self._open.pop()

    def take(self, line: str, where: str, folder: Path, into: list[str]) -> None:
        """Add one line, which stands in a file of `folder`."""
        self._taken += 1
        if self._taken > _MAX_LINES:
            raise FormatError(f"{where}: there are more than {_MAX_LINES} lines")
        try:
            found = parse(line)
        except ValueError as error:
            raise UsageError(f"{where}: {error}") from None
        if found.risk and not self.allow_code:
            raise UsageError(f"{where}: it {found.risk}; {_ALLOW}")
        if found.kind == "include":
            self.read(self._included(found.value, where, folder), into)
        elif found.kind == "constrain":
            self.read(self._included(found.value, where, folder), self.constraints)
        elif found.kind == "option":
            self.options.append(_anchored(found, folder))
        else:
            into.append(_anchored(found, folder))

    def _included(self, name: str, where: str, folder: Path) -> Path:
        if re.match(r"[a-zA-Z][\w+.-]+:", name):
            raise UsageError(f"{where}: {shown(name)} is no file; put it beside and name it")
        file = Path(os.path.normpath(folder / name))
        if not (self.allow_code or file.resolve().is_relative_to(self.root)):
            raise UsageError(f"{where}: {shown(name)} is outside of the folder; {_ALLOW}")
        return file

    def spec(self, python: str | None, file: Path, **fields: tuple[str, ...]) -> Spec:
        """The spec of all that was read."""
        return Spec(
            python=python,
            requirements=_once(self.requirements),
            constraints=_once(self.constraints),
            options=_once(self.options),
            build=_once(self.build),
            source=file.name,
            **fields,
        )


def _once(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def _anchored(line: Line, folder: Path) -> str:
    """A line whose relative path, if it has one, is absolute: the line moves to another folder."""
    option, _, place = line.value.rpartition(" ")
    if option not in ("", "--editable", "--find-links") or not line.risk:
        return line.value
    if "://" in place or "+" in place.partition(":")[0] or place.startswith("file:"):
        return line.value
    return f"{option} {Path(os.path.abspath(folder / place))}".lstrip()


# -- YAML ----------------------------------------------------------------------------------


def _is_condas(file: Path, document: Mapping[str, Any]) -> bool:
    if "conda" in file.stem or "channels" in document:
        return True
    listed = document.get("dependencies")
    return isinstance(listed, list) and any(isinstance(item, dict) for item in listed)


def _from_python_env(document: Mapping[str, Any], file: Path, reader: _Reader) -> Spec:
    _check_keys(document, _PYTHON_ENV, file.name)
    for key, into in (
        ("build_dependencies", reader.build),
        ("dependencies", reader.requirements),
    ):
        _take_all(_listed(document, key, file.name), f"{file.name}: {key}", file, reader, into)
    return reader.spec(python_version(document.get("python"), f"{file.name}: python"), file)


def _take_all(
    items: Iterable[object], where: str, file: Path, reader: _Reader, into: list[str]
) -> None:
    for item in items:
        if not isinstance(item, str):
            raise FormatError(f"{where}: a requirement must be text, not {shown_kind(item)}")
        for _, line in lines(item):
            reader.take(line, where, file.parent, into)


def _from_conda(document: Mapping[str, Any], file: Path, reader: _Reader) -> Spec:
    _check_keys(document, _CONDA, file.name)
    python, packages = None, []
    for item in _listed(document, "dependencies", file.name):
        if isinstance(item, dict) and list(item) == ["pip"]:
            pip = _listed(item, "pip", file.name)
            _take_all(pip, f"{file.name}: pip", file, reader, reader.requirements)
        elif not isinstance(item, str):
            raise FormatError(f"{file.name}: dependencies: can't take {shown_kind(item)}")
        elif (version := counterparts.python_of(item)) is not None:
            python = version or None
        else:
            packages.append(_package(item, file, reader))
    channels = [_channel(item, file, reader) for item in _listed(document, "channels", file.name)]
    spec = reader.spec(python_version(python, f"{file.name}: python"), file)
    return dataclasses.replace(spec, conda=_once(packages), channels=_once(channels))


def _channel(item: object, file: Path, reader: _Reader) -> str:
    name = str(item)
    if not reader.allow_code and not re.fullmatch(r"\w[\w.-]*", name):
        raise UsageError(f"{file.name}: it takes packages from {shown(name)}; {_ALLOW}")
    return name


def _package(item: str, file: Path, reader: _Reader) -> str:
    channel, has_channel, _ = item.rpartition("::")
    if has_channel:
        _channel(channel, file, reader)
    return " ".join(item.split())


def _mapping(document: object, where: str) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise FormatError(f"{where} must be a mapping, not {shown_kind(document)}")
    return document


def _listed(document: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = document.get(key)
    if value is not None and not isinstance(value, list):
        raise FormatError(f"{where}: {key} must be a list, not {shown_kind(value)}")
    return value or []


def _check_keys(document: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in document:
        if key not in known:
            raise FormatError(f"{where}: {unknown_key(key, known)}")
