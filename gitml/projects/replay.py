"""How a recorded run was started, so that it can be started again. Pure.

Of a run of `gitml run` the command line tells the entry point and what it was given; of a script,
its own, as far as it shows in which folder that was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from gitml.errors import UsageError, shown
from gitml.projects.confinement import DOCKER, LOCAL
from gitml.projects.mlproject import MAIN
from gitml.projects.task import PROJECT
from gitml.tracking import system_tags
from gitml.tracking.environment import NOTEBOOK
from gitml.tracking.record import RunRecord
from gitml.tracking.redact import MASK

_VALUES = {
    "-e": "entry_point",
    "--version": "version",
    "--env-manager": "env_manager",
    "--backend": "backend",
}
_FLAGS = ("--allow-extra", "--build-image", "--skip-image-build")
_VALUED = frozenset(("-W", "-X", "--check-hash-based-pycs"))  # Python's own options


@dataclass(frozen=True, slots=True)
class Box:
    """A container: the backend that was asked for, and what was said of `docker run` and its image.

    `builds` is whether the image was to be built from the Dockerfile, `as_it_is` whether nothing
    was to be put into it.
    """

    backend: str
    arguments: Mapping[str, str | bool] = field(default_factory=dict)
    builds: bool = False
    as_it_is: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry point of the project in `folder`, and the values that it was given.

    It ran in the container `box`, if there was one.
    """

    folder: str
    name: str
    parameters: Mapping[str, str]
    allow_extra: bool = False
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """A script that was started in `folder`: options of Python, the script, its arguments."""

    folder: str
    arguments: tuple[str, ...]


Replay = Entry | Script


def of(record: RunRecord) -> Replay:
    """How a run was started; folders are those in the repository, with slashes, empty for its top.

    Raises UsageError, with the reason, for a run that can't be started again from its record.
    """
    try:
        found = _entry(record) if record.source.type == PROJECT else _script(record)
    except UsageError as error:
        raise UsageError(f"run {record.run_id[-8:]} can't be started again: {error}") from None
    return found


def hidden(replay: Entry) -> tuple[str, ...]:
    """The parameters whose values were secret, and are not recorded."""
    return tuple(name for name, value in replay.parameters.items() if MASK in value)


# -- projects ------------------------------------------------------------------------------


def _entry(record: RunRecord) -> Entry:
    backend = record.live_tags.get(system_tags.PROJECT_BACKEND) or LOCAL
    if backend not in (LOCAL, DOCKER):
        raise UsageError(f"it was made by the backend {shown(backend)}, not on a machine like this")
    words = list(record.source.command)
    if words[:2] != ["gitml", "run"] or len(words) < 3:
        raise UsageError("its record does not have the command of `gitml run`")
    told = {"entry_point": MAIN}
    given: dict[str, dict[str, Any]] = {"-P": {}, "-A": {}}
    for option, value in _options(words[3:]):
        if option in given:
            name, sign, text = value.partition("=")
            given[option][name] = text if sign or option == "-P" else True
        else:
            told[_VALUES.get(option, option)] = value
    box = None
    if record.live_tags.get(system_tags.PROJECT_ENV) == DOCKER:
        box = _box(backend, given["-A"], told)
    folder, parameters = folder_of(record), given["-P"]
    return Entry(folder, told["entry_point"], parameters, "--allow-extra" in told, box)


def _box(backend: str, arguments: Mapping[str, str | bool], told: Mapping[str, str]) -> Box:
    if hidden := [name for name, value in arguments.items() if MASK in str(value)]:
        raise UsageError(f"its option -A {hidden[0]} held a secret, which is not recorded")
    return Box(backend, arguments, "--build-image" in told, "--skip-image-build" in told)


def folder_of(record: RunRecord) -> str:
    """The folder in which a project's run took place, as it names its source; empty for the top."""
    name = record.source.name if record.source.type == PROJECT else ""
    place, _, part = name.partition("#")
    folder = part if ":" in place else name
    return "" if folder == "." else folder


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options of a recorded `gitml run`, each with its value."""
    rest = iter(words)
    for word in rest:
        if word in _FLAGS:
            yield word, ""
        elif word in ("-P", "-A") or word in _VALUES:
            yield word, next(rest, "")
        else:
            raise UsageError(f"its command has {shown(word)}, which this gitml does not know")


# -- scripts -------------------------------------------------------------------------------


def _script(record: RunRecord) -> Script:
    source = record.source
    if source.type == NOTEBOOK:
        raise UsageError("it was a notebook; run it there")
    if source.entry is None or source.command[:1] != ("python",):
        what = shown(source.name or " ".join(source.command[:3]))
        raise UsageError(f"it was {what}, which is no script of the repository")
    if any(MASK in word for word in source.command):
        raise UsageError("its command line held a secret, which is not recorded")
    arguments = source.command[1:]
    at = _first(arguments)
    if arguments[at : at + 1] == ("-m",):
        return Script(_folder_of_module(arguments[at + 1 : at + 2], source.entry), arguments)
    if at == len(arguments):
        raise UsageError("its command names no script")
    folder, script = _folder_of_script(arguments[at], source.entry)
    return Script(folder, (*arguments[:at], script, *arguments[at + 1 :]))


def _first(arguments: Sequence[str]) -> int:
    """Where the options of Python end: at the script, or at `-m`."""
    at = 0
    while at < len(arguments) and arguments[at].startswith("-") and arguments[at] != "-m":
        at += 2 if arguments[at] in _VALUED else 1
    return at


def _folder_of_module(named: Sequence[str], entry: str) -> str:
    """The folder from which Python finds the module `named` at the path `entry`."""
    path = "/".join(named).replace(".", "/")
    for ending in (f"{path}.py", f"{path}/__main__.py"):
        if (folder := _before(entry, ending)) is not None:
            return folder
    raise UsageError(f"it was the module {shown(''.join(named))}, which is not in the repository")


def _folder_of_script(script: str, entry: str) -> tuple[str, str]:
    """The folder in which a script was started, and its path as seen from there.

    A script that is named by its whole path may have been started anywhere; its own folder is
    taken.
    """
    path = script.replace("\\", "/")
    if PurePosixPath(path).is_absolute() or path[1:3] == ":/":
        top, _, name = entry.rpartition("/")
        return top, name
    plain = str(PurePosixPath(path))
    folder = _before(entry, plain) if ".." not in PurePosixPath(path).parts else None
    if folder is None:
        raise UsageError(f"it does not tell in which folder {shown(script)} was started")
    return folder, script


def _before(path: str, ending: str) -> str | None:
    """What of a path stands before its ending; None when it does not end so."""
    if path == ending:
        return ""
    return path.removesuffix(f"/{ending}") if path.endswith(f"/{ending}") else None
