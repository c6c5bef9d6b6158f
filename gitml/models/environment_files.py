"""The files beside a model that say what to install for it, as MLflow writes and reads them.

`requirements.txt` and `constraints.txt` are pip's, `python_env.yaml` names the interpreter and
what installs packages, and `conda.yaml` says the same to Conda.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gitml import documents
from gitml.errors import FormatError, UsageError, shown
from gitml.files import disk, shown_path
from gitml.models.distributions import installed_version
from gitml.models.requirements import (
    Requirements,
    lines_of,
    parse_requirements,
    refers_to_file,
)
from gitml.tracking.redact import redact_text

REQUIREMENTS, CONSTRAINTS = "requirements.txt", "constraints.txt"
PYTHON_ENV, CONDA = "python_env.yaml", "conda.yaml"
MAX_BYTES = 1_000_000  # of a file that is read
MAX_LINES = 10_000

_NAME = "mlflow-env"
_CHANNELS = ("conda-forge",)
_CONSTRAINED = f"-c {CONSTRAINTS}"
_BUILD = ("pip", "setuptools", "wheel")

CondaEnv = Mapping[str, Any] | str | os.PathLike[str]


def write(
    folder: Path,
    requirements: Iterable[str],
    conda_env: CondaEnv | None = None,
    constraints: Iterable[str] | None = None,
) -> None:
    """Write the files into `folder`, for the running interpreter.

    A `conda_env`, as a mapping or the path of a file, becomes `conda.yaml`, and its pip section
    takes the place of the requirements; the files that it refers to are read in, and credentials
    are taken out. Raises UsageError for one that is none, and StorageError.
    """
    own = None if conda_env is None else _mapping(conda_env)
    wanted = Requirements(tuple(requirements), tuple(constraints or ()))
    if own is not None:
        wanted = parse_requirements(next(iter(_pip_sections(own)), []))
    lines = [*wanted.lines, *([_CONSTRAINED] if wanted.constraints else ())]
    files = {
        REQUIREMENTS: "\n".join(lines).encode(),
        PYTHON_ENV: documents.dump_yaml(_python_env()),
        CONDA: _dumped(_conda(lines) if own is None else _with_pip(own, lines)),
    }
    if wanted.constraints:
        files[CONSTRAINTS] = "\n".join(wanted.constraints).encode()
    for name, data in files.items():
        with disk(f"write {shown_path(folder / name)}"):
            (folder / name).write_bytes(data)


def read(folder: Path) -> Requirements:
    """The requirements of the model in `folder`; none where no file tells any.

    They are those of `requirements.txt`, else of the pip section of `conda.yaml`. Of files that
    lines refer to, only the folder's own `constraints.txt` is read. Raises FormatError for any
    other, and for a damaged file.
    """
    text = _stored(folder / REQUIREMENTS)
    lines = lines_of(text) if text is not None else _conda_lines(folder / CONDA)
    constraints = lines_of(_stored(folder / CONSTRAINTS) or "") if _CONSTRAINED in lines else []
    lines = [line for line in lines if line != _CONSTRAINED]
    if len(lines) > MAX_LINES:
        raise FormatError(f"{shown_path(folder)} requires more than {MAX_LINES} things")
    for line in (*lines, *constraints):
        if refers_to_file(line):
            where = shown_path(folder / REQUIREMENTS)
            raise FormatError(f"{where} refers to another file: {shown(redact_text(line))}")
    return Requirements(tuple(lines), tuple(constraints))


def _stored(path: Path) -> str | None:
    where = shown_path(path)
    with disk(f"read {where}"):
        if not path.is_file():
            return None
        if path.stat().st_size > MAX_BYTES:
            raise FormatError(f"{where} has more than 1 MB; it is no list of requirements")
        data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError(f"{where} is not UTF-8") from None


def _conda_lines(path: Path) -> list[str]:
    text = _stored(path)
    environment = documents.load_yaml((text or "").encode(), path.name)
    sections = _pip_sections(environment) if isinstance(environment, dict) else []
    lines = sections[0] if sections else []
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise FormatError(f"{shown_path(path)}: pip must be a list of requirement lines")
    return lines_of("\n".join(lines))


# -- what MLflow writes --------------------------------------------------------------------


def _python() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def _python_env() -> dict[str, Any]:
    versions = {name: installed_version(name) for name in _BUILD}
    return {
        "python": _python(),
        "build_dependencies": [
            f"{name}=={version}" if version else name for name, version in versions.items()
        ],
        "dependencies": [f"-r {REQUIREMENTS}"],
    }


def _conda(lines: list[str]) -> dict[str, Any]:
    pip = installed_version("pip")  # Conda's channels may not have the newest one yet: not `==`
    needed = [f"python={_python()}", f"pip<={pip}" if pip else "pip", {"pip": lines}]
    return {"channels": list(_CHANNELS), "dependencies": needed, "name": _NAME}


# -- the user's own ------------------------------------------------------------------------


def _mapping(conda_env: CondaEnv) -> Mapping[str, Any]:
    if isinstance(conda_env, str | os.PathLike):
        path = Path(conda_env)
        conda_env = documents.load_yaml(_read(path), path.name)
    if not isinstance(conda_env, Mapping):
        kind = documents.shown_kind(conda_env)
        raise UsageError(f"conda_env must be a mapping or the path of a YAML file, not {kind}")
    if not isinstance(conda_env.get("dependencies", []), list):
        kind = documents.shown_kind(conda_env["dependencies"])
        raise UsageError(f"conda_env: dependencies must be a list, not {kind}")
    return conda_env


def _pip_sections(environment: Mapping[str, Any]) -> list[Any]:
    dependencies = environment.get("dependencies")
    listed = dependencies if isinstance(dependencies, list) else []
    return [item["pip"] for item in listed if isinstance(item, Mapping) and "pip" in item]


def _with_pip(environment: Mapping[str, Any], lines: list[str]) -> dict[str, Any]:
    """The environment with these lines in its pip section, which is added where there is none."""
    section = {"pip": lines}
    needed = [
        section if isinstance(item, Mapping) and "pip" in item else item
        for item in environment.get("dependencies", [])
    ]
    if lines and section not in needed:
        needed.append(section)
    return {**environment, "dependencies": needed}


def _dumped(environment: Mapping[str, Any]) -> bytes:
    try:
        plain = _redacted({key: environment[key] for key in sorted(environment)})
        return documents.dump_yaml(plain)
    except (TypeError, ValueError) as error:
        raise UsageError(f"conda_env can't be written as YAML: {error}") from None


def _redacted(value: Any) -> Any:
    """The value with the credentials taken out of every text in it, such as channels' URLs."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {key: _redacted(item) for key, item in value.items()}
    return [_redacted(item) for item in value] if isinstance(value, list) else value


def _read(path: Path) -> bytes:
    try:
        if path.is_file():
            return path.read_bytes()
        raise UsageError(f"there is no file {shown_path(path)}; give the conda_env or its file")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"can't read the conda_env {shown_path(path)}: {reason}") from None
