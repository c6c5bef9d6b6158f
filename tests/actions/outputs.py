"""What a step tells by its files, and by commands in what it writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.actions.errors import InvalidError, UnsupportedError

_COMMAND = re.compile(r"::([a-zA-Z-]+)(?: ([^:]*))?::(.*)")
_KNOWN = ("error", "warning", "notice", "debug", "group", "endgroup", "add-mask", "echo")
_GONE = ("set-output", "save-state", "set-env", "add-path")


def pairs(file: Path) -> dict[str, str]:
    """What stands in a file such as GITHUB_OUTPUT: `name=value`, or `name<<END` and lines."""
    found: dict[str, str] = {}
    lines = iter(file.read_text("utf-8").split("\n"))
    for line in lines:
        if not line:
            continue
        name, sign, value = _split(line)
        found[name] = value if sign == "=" else "\n".join(_until(value, lines))
    return found


def _split(line: str) -> tuple[str, str, str]:
    found = re.match(r"([^=]*?)(=|<<)(.*)", line)
    if found is None or not found[1]:
        raise InvalidError(f"invalid format {line!r}")
    return found[1], found[2], found[3]


def _until(end: str, lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line == end:
            return
        yield line
    raise InvalidError(f"the delimiter {end!r} does not come")


def annotated(text: str) -> list[tuple[str, str]]:
    """The errors, warnings and notices in what a step wrote, unless it has stopped commands."""
    found: list[tuple[str, str]] = []
    stopped: str | None = None
    for line in text.splitlines():
        command = _COMMAND.match(line.strip())
        if stopped is not None:
            stopped = None if line.strip() == f"::{stopped}::" else stopped
        elif command is None:
            continue
        elif command[1] == "stop-commands":
            stopped = command[3]
        elif command[1] in _GONE:
            raise UnsupportedError(f"the command {command[1]}, which GitHub has taken away")
        elif command[1] in _KNOWN[:3]:
            found.append((command[1], command[3]))
        elif command[1] not in _KNOWN:
            raise UnsupportedError(f"the command {command[1]}")
    return found
