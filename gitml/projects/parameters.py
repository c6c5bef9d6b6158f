"""The parameters of an entry point: their types, defaults, and the values that a run is given."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitml.documents import near_miss
from gitml.errors import UsageError, shown

# The names of types, as they are met in projects; MLflow takes any word and checks path and uri.
TYPES = {
    "string": "string", "str": "string", "text": "string",
    "int": "int", "integer": "int", "long": "int",
    "float": "float", "double": "float", "number": "float",
    "bool": "bool", "boolean": "bool",
    "path": "path", "uri": "uri",
}  # fmt: skip

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_BOOLS = frozenset("true false yes no on off 1 0".split())


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an entry point; `default` is text, or None where a value must be given."""

    name: str
    type: str = "string"
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Values:
    """What a command is given, as text: values of its parameters, and values it does not name."""

    declared: Mapping[str, str]
    extra: Mapping[str, str]


def values(
    parameters: Sequence[Parameter],
    given: Mapping[str, object],
    folder: Path,
    *,
    allow_extra: bool = False,
) -> Values:
    """The values for a command, checked against the types; a path becomes an absolute one.

    A given path is relative to the current folder, a default one to the project's `folder`.
    Raises UsageError for values that are missing, unknown or of another type.
    """
    known = {parameter.name: parameter for parameter in parameters}
    told = {name: text(value) for name, value in given.items()}
    missing = [one.name for one in parameters if one.default is None and one.name not in told]
    if missing:
        raise UsageError(f"{_named(missing)} needs a value: -P {missing[0]}=VALUE")
    unknown = [name for name in told if name not in known]
    if unknown and not allow_extra:
        raise UsageError(_unknown(unknown[0], known))
    declared = {}
    for parameter in parameters:
        value, base = told.get(parameter.name), Path.cwd()
        if value is None:
            value, base = str(parameter.default), folder
        declared[parameter.name] = _checked(parameter, value, base)
    return Values(declared, {name: told[name] for name in unknown})


def text(value: object) -> str:
    """A value as the program gets it; MLflow's form, which is Python's."""
    return value if isinstance(value, str) else str(value)


def as_logged(
    parameters: Sequence[Parameter], given: Values
) -> dict[str, bool | int | float | str]:
    """The values as a run's params: numbers and truths as such where the type says so."""
    types = {parameter.name: parameter.type for parameter in parameters}
    declared = {name: _typed(types[name], value) for name, value in given.declared.items()}
    return {**declared, **given.extra}


def is_uri(value: str) -> bool:
    """Whether a value names its scheme, as URIs do and paths do not."""
    return _URI.match(value) is not None


def _typed(kind: str, value: str) -> bool | int | float | str:
    if kind == "int":
        return int(value)
    if kind == "float":
        return float(value)
    truths = {"true": True, "false": False}
    return truths.get(value.lower(), value) if kind == "bool" else value


def _named(names: Sequence[str]) -> str:
    listed = ", ".join(shown(name) for name in names)
    return f"the parameter {listed}" if len(names) == 1 else f"each of the parameters {listed}"


def _unknown(name: str, known: Mapping[str, Parameter]) -> str:
    there = ", ".join(known) or "none"
    hint = near_miss(name, known) or f"; there is {there}"
    return f"no parameter {shown(name)}{hint}; with --allow-extra it is passed on as --{name} VALUE"


def _checked(parameter: Parameter, value: str, base: Path) -> str:
    check = _CHECKS[parameter.type]
    try:
        return check(value, base)
    except ValueError as error:
        raise UsageError(f"the parameter {shown(parameter.name)}: {error}") from None


def _string(value: str, base: Path) -> str:
    return value


def _int(value: str, base: Path) -> str:
    if not re.fullmatch(r"[-+]?\d+", value, re.ASCII):
        raise ValueError(f"{shown(value)} is no whole number")
    return value


def _float(value: str, base: Path) -> str:
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{shown(value)} is no number") from None
    if not math.isfinite(number) and not re.fullmatch(r"[-+]?(?:inf|nan)", value, re.IGNORECASE):
        raise ValueError(f"{shown(value)} is out of range")
    return value


def _bool(value: str, base: Path) -> str:
    if value.lower() not in _BOOLS:
        raise ValueError(f"{shown(value)} is neither true nor false")
    return value


def _path(value: str, base: Path) -> str:
    if "\0" in value or not value:
        raise ValueError(f"{shown(value)} is no path")
    path = base / value
    if not path.exists():
        raise ValueError(f"there is no file or folder {shown(value)}")
    return str(path.absolute())


def _uri(value: str, base: Path) -> str:
    if _URI.match(value):
        return value
    return _path(value, base)


_CHECKS: Mapping[str, Callable[[str, Path], str]] = {
    "string": _string,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "path": _path,
    "uri": _uri,
}
