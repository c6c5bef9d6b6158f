"""The requirements of a model: inferred from modules, or as the user gives them to save_model.

Requirement lines are pip's. Files that lines refer to (`-r`, `-c`) are read at once, so that the
lines say all; credentials in them are taken out.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitml.errors import UsageError, shown
from gitml.files import shown_path
from gitml.models.distributions import distribution_of
from gitml.tracking.environment import normalised
from gitml.tracking.redact import redact_text

MAX_BYTES = 1_000_000  # of a requirements file

Given = str | os.PathLike[str] | Iterable[str]

_CONTINUED = re.compile(r"\\\r?\n")
_COMMENT = re.compile(r"(?:^| )#.*")
_REFERENCE = re.compile(r"(?:-([rc])\s*|--(requirement|constraint)(?:\s+|=))(\S.*)")
_NAMED = re.compile(
    r"(?P<name>[A-Z0-9](?:[A-Z0-9._-]*[A-Z0-9])?) ?(?P<extras>\[[^\]]*\])? ?"
    r"(?P<rest>(?:(?:[<>!~=]=|[<>;(@]|--).*)?)",
    re.IGNORECASE | re.ASCII,
)
_PLACE = re.compile(
    r"\.{1,2}|.*[/\\].*|.*\.(?:whl|zip|tar\.\w+|tgz)(?:\[[^\]]{0,200}\])?", re.IGNORECASE
)


class RequirementWarning(UserWarning):
    """A model needs what its requirements can't name."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """Requirement lines, and the lines of a constraints file for them."""

    lines: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()


def requirements_of(
    infer: Callable[[], Iterable[str]],
    *,
    defaults: Iterable[str] = (),
    pip_requirements: Given | None = None,
    extra_pip_requirements: Given | None = None,
    conda_env: object = None,
) -> Requirements:
    """What to require for a model: what the user gives, else what `infer()` and `defaults` need.

    `infer` returns the names of modules, and is called only when they are needed. With a
    `conda_env` nothing is: it says all. Raises UsageError when more than one of the three is
    given, and for lines that are no requirements.
    """
    given = {
        "conda_env": conda_env,
        "pip_requirements": pip_requirements,
        "extra_pip_requirements": extra_pip_requirements,
    }
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise UsageError(f"{' and '.join(names)} are both given; give one of them")
    if conda_env is not None:
        return Requirements()
    if pip_requirements is not None:
        return parse_requirements(pip_requirements)
    extra = parse_requirements(extra_pip_requirements or ())
    lines = requirements_for(infer(), defaults=defaults, extra=extra.lines)
    return Requirements(tuple(lines), extra.constraints)


def requirements_for(
    modules: Iterable[str], *, defaults: Iterable[str] = (), extra: Iterable[str] = ()
) -> list[str]:
    """The requirement lines for modules, as they are installed now: pinned, sorted by name.

    `defaults` are modules that are needed in any case. A line of `extra` takes the place of the
    inferred one of its name; without a version it only adds its `[extras]`. Modules that no
    distribution has are left out; those of a local folder too, and a warning names them.
    """
    pinned: dict[str, str] = {}
    local: set[str] = set()
    for module in dict.fromkeys((*defaults, *modules)):
        found = distribution_of(module)
        if found is not None and normalised(found.name) == "gitml":
            continue  # what loads the model brings it
        if found is not None and found.is_local:
            local.add(found.name)
        elif found is not None:
            pinned[normalised(found.name)] = found.requirement
    if local:
        names = ", ".join(sorted(local, key=str.lower))
        text = f"the model needs {names}, which only this machine has; give it in code_paths"
        warnings.warn(text, RequirementWarning, stacklevel=2)
    return sorted(_merged(pinned, extra), key=_order)


def _merged(pinned: Mapping[str, str], extra: Iterable[str]) -> set[str]:
    """The lines of both; of the pins, those that `extra` says nothing else about."""
    kept = dict(pinned)
    lines = set()
    for line in extra:
        name, extras, rest = _parts(line)
        if rest or name not in pinned:
            kept.pop(name, None)
            lines.add(line)
        elif name in kept:
            named, equals, version = pinned[name].partition("==")
            kept[name] = f"{named}{extras}{equals}{version}" if equals else pinned[name]
    return lines | set(kept.values())


def _order(line: str) -> tuple[int, str, str]:
    """Options first, which hold for all; then by name; then paths and URLs."""
    name = _parts(line)[0]
    return (1 if name else 0 if line.startswith("-") else 2), name, line


def _parts(line: str) -> tuple[str, str, str]:
    """The normalised name of a requirement line, its `[extras]`, and the rest."""
    found = _NAMED.fullmatch(line)
    if found is None or (_PLACE.fullmatch(line) and not found["rest"]):
        return "", "", line
    return normalised(found["name"]), found["extras"] or "", found["rest"]


# -- what users give -----------------------------------------------------------------------


def parse_requirements(value: Given) -> Requirements:
    """Requirements as the API takes them: lines, the path of a file, or text of several lines.

    Text is what has a line break or begins with `-`; any other text is a path. Comments go, and
    files that `-r` and `-c` name are read in, relative to the file that names them. Raises
    UsageError for what is no requirement and for files that can't be read.
    """
    found: dict[bool, dict[str, None]] = {True: {}, False: {}}
    seen = set()
    text, folder = _start(value)
    todo = [(line, folder, False) for line in reversed(lines_of(text))]
    while todo:
        line, folder, is_constraint = todo.pop()
        reference = _REFERENCE.fullmatch(line)
        if reference is None:
            found[is_constraint][_checked(line)] = None
            continue
        name = reference[3].strip("\"'")
        for_constraints = (reference[1] or reference[2]).startswith("c")
        if (folder / name, for_constraints) not in seen:
            seen.add((folder / name, for_constraints))
            text, inside = _file(name, folder)
            todo += ((inner, inside, for_constraints) for inner in reversed(lines_of(text)))
    return Requirements(tuple(found[False]), tuple(found[True]))


def lines_of(text: str) -> list[str]:
    """The lines of a requirements file without comments; what `\\` continues is one line."""
    lines = (" ".join(line.split()) for line in _CONTINUED.sub("", text).splitlines())
    return [line for line in (_COMMENT.sub("", line) for line in lines) if line]


def refers_to_file(line: str) -> bool:
    """Whether a line of a requirements file names another one to read (`-r`, `-c`)."""
    return _REFERENCE.fullmatch(line) is not None


def _start(value: Any) -> tuple[str, Path]:
    """The text of requirements, and the folder that what they name is relative to."""
    if isinstance(value, str) and (value.startswith("-") or "\n" in value):
        return value, Path()
    if isinstance(value, str | os.PathLike):
        return _file(os.fspath(value), Path())
    if isinstance(value, Iterable) and not isinstance(value, bytes | Mapping):
        lines = list(value)
        if all(isinstance(line, str) for line in lines):
            return "\n".join(lines), Path()
    kind = type(value).__name__
    raise UsageError(f"requirements must be lines of text or the path of a file, not {kind}")


def _file(name: str, folder: Path) -> tuple[str, Path]:
    """The text of a file, and the folder that it is in."""
    path = folder / name
    where = shown_path(path)
    if "://" in name:
        raise UsageError(f"{shown(redact_text(name))} is not fetched; give a file of this machine")
    try:
        if not path.is_file():
            raise UsageError(f"there is no file {where}; give requirement lines or their file")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{where} has more than 1 MB; give a file of requirement lines")
        return path.read_bytes().decode("utf-8-sig"), path.parent
    except UnicodeDecodeError:
        raise UsageError(f"{where} is not UTF-8; save it as UTF-8") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"can't read the requirements {where}: {reason}") from None


def _checked(line: str) -> str:
    """The line without credentials; refused when pip could not take it for a requirement."""
    is_one = line.startswith("-") or _NAMED.fullmatch(line) or _PLACE.fullmatch(line)
    if is_one and line.isprintable():
        return redact_text(line)
    hint = "pins are written name==version" if "=" in line else "write name==version"
    raise UsageError(f"{shown(redact_text(line))} is no requirement: {hint}")
