"""The `.mlem` file beside a model's artifacts, read without MLEM and without running anything.

MLEM takes the text under any key `type` for code to import when there is a dot in it, follows the
paths of artifacts to wherever they lead, and installs what `requirements` name. Here only hooks of
MLEM's own, artifacts beside the file, and packages of the index are taken. Format: what MLEM
0.4.14 writes; MLEM has no schema of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitml import documents
from gitml.documents import shown_kind
from gitml.environments import requirements as pip
from gitml.errors import FormatError, UsageError, shown
from gitml.files import shown_path
from gitml.models import contained

SUFFIX = ".mlem"
MAIN = "model"  # the processor that is the model; others prepare its input or its output
_HOOK = re.compile(r"[A-Za-z_]\w*")
_SOURCE = ("extra_index", "source_url", "vcs", "vcs_commit")
_FREE = ("params",)  # what the user wrote, which MLEM does not read
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Metadata:
    """A model of MLEM.

    `path` is its `.mlem` file. `processors` are by name, each with the `type` and `methods` of the
    object. `artifacts` are paths relative to the folder of the file. `requirements` are pip's
    lines. `has_code` says that source code travels in the file.
    """

    path: Path
    processors: Mapping[str, Mapping[str, Any]]
    artifacts: Mapping[str, str]
    requirements: tuple[str, ...] = ()
    has_code: bool = False

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.path.name.removesuffix(SUFFIX)

    @property
    def kind(self) -> str:
        """What wrapped object it is, such as sklearn or callable."""
        return str(self.processors[MAIN].get("type", ""))

    @property
    def methods(self) -> Mapping[str, Mapping[str, Any]]:
        """The methods of the object, with their arguments and results."""
        return self.processors[MAIN].get("methods") or {}

    @property
    def method(self) -> str | None:
        """The method that predicts: predict, else the call, else the only one."""
        known = [name for name in ("predict", "__call__") if name in self.methods]
        if not known and len(self.methods) == 1:
            known = list(self.methods)
        return known[0] if known else None

    def files(self) -> Iterator[tuple[Path, str]]:
        """The `.mlem` file and every artifact, with their paths in the folder."""
        yield self.path, self.path.name
        for place in dict.fromkeys(self.artifacts.values()):
            yield self.path.parent / place, place


def read(path: Path) -> Metadata:
    """The model that a `.mlem` file describes; `NAME` means `NAME.mlem`, as for MLEM.

    Raises `UsageError` when there is none, and `FormatError` for a file that names code, paths that
    leave its folder, artifacts that are not there or others, and packages from elsewhere.
    """
    file = path if path.name.endswith(SUFFIX) else path.with_name(path.name + SUFFIX)
    if not file.is_file() and not file.is_symlink():
        raise UsageError(f"there is no model of MLEM {shown_path(file)}")
    with contained.opened(file) as opened:
        data = opened.read(documents.MAX_YAML_BYTES + 1)
    where = file.name
    document = _mapping(documents.load_yaml(data, where), where)
    if document.get("object_type") != "model":
        kind = shown(document.get("object_type"))
        raise UsageError(f"{where} is no model of MLEM: its object_type is {kind}")
    _check_hooks({key: it for key, it in document.items() if key not in _FREE}, where)
    processors = _mapping(document.get("processors"), f"{where}: processors")
    known = {name: _processor(it, f"{where}: {shown(name)}") for name, it in processors.items()}
    if MAIN not in known:
        raise FormatError(f"{where}: processors: there is none named {MAIN}")
    lines, has_code = _requirements(document.get("requirements"), where)
    artifacts = dict(_artifacts(document.get("artifacts"), file.parent, where))
    return Metadata(file, known, artifacts, lines, has_code)


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FormatError(f"{where} must be a mapping, not {shown_kind(value)}")
    return value


def _processor(value: Any, where: str) -> dict[str, Any]:
    found = _mapping(value, where)
    if not isinstance(found.get("type"), str):
        raise FormatError(f"{where} has no type")
    for name, method in _mapping(found.get("methods") or {}, f"{where}: methods").items():
        arguments = _mapping(method, f"{where}: {shown(name)}").get("args") or []
        if not isinstance(arguments, list) or not all(isinstance(it, dict) for it in arguments):
            raise FormatError(f"{where}: {shown(name)}: args must be a list of mappings")
    return found


def _check_hooks(value: Any, where: str) -> None:
    """Refuse a type that is not the plain name of one of MLEM's own, at any depth."""
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            _check_hooks(item, where)
    name = value.get("type") if isinstance(value, dict) else None
    if isinstance(name, str) and not _HOOK.fullmatch(name):
        raise FormatError(f"{where}: the type {shown(name)} names code, not a type of MLEM's own")


# -- artifacts -----------------------------------------------------------------------------


def _artifacts(value: Any, folder: Path, where: str) -> Iterator[tuple[str, str]]:
    for name, item in _mapping(value or {}, f"{where}: artifacts").items():
        place = f"{where}: artifact {shown(name)}"
        given = _mapping(item, place)
        if given.get("type", "local") != "local":
            raise FormatError(f"{place} is kept elsewhere ({shown(given['type'])}); fetch it first")
        path = contained.inside(folder, given.get("uri"), place)
        _check_content(path, given, place)
        yield name, path.relative_to(folder).as_posix()


def _check_content(path: Path, given: Mapping[str, Any], where: str) -> None:
    """Refuse a file that is not the one that was saved."""
    total = hashlib.md5(usedforsecurity=False)
    size = 0
    with contained.opened(path) as file:
        while block := file.read(_BLOCK):
            size += len(block)
            total.update(block)
    if (given.get("size"), given.get("hash")) != (size, total.hexdigest()):
        raise FormatError(f"{where}: {path.name} is not the file that was saved with the model")


# -- requirements --------------------------------------------------------------------------


def _requirements(value: Any, where: str) -> tuple[tuple[str, ...], bool]:
    """The lines for pip, and whether there is code among the requirements."""
    if not isinstance(value or [], list):
        raise FormatError(f"{where}: requirements must be a list, not {shown_kind(value)}")
    given = [_mapping(it, f"{where}: requirements") for it in value or []]
    kinds = [it.get("type", "installable") for it in given]
    lines = [_line(it, where) for it in given if it.get("type", "installable") == "installable"]
    return tuple(dict.fromkeys(lines)), any(kind in ("custom", "file") for kind in kinds)


def _line(given: Mapping[str, Any], where: str) -> str:
    name = given.get("package_name") or given.get("module")
    version = given.get("version")
    line = f"{name}=={version}" if version is not None else str(name)
    if any(given.get(key) for key in _SOURCE):
        raise FormatError(
            f"{where}: requirements: {shown(line)} comes from elsewhere than the package index;"
            " take its extra_index, source_url and vcs out"
        )
    try:
        found = pip.parse(line)
    except ValueError as error:
        raise FormatError(f"{where}: requirements: {error}") from None
    if found.kind != "package" or found.risk or not re.fullmatch(r"[\w.\-=+!]+", line):
        raise FormatError(f"{where}: requirements: {shown(line)} is not NAME==VERSION")
    return found.value
