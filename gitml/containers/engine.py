"""The engine: which one answers, and asking it for something."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from typing import IO

from gitml import process
from gitml.environments.complaints import complaint
from gitml.errors import GitmlError, UsageError, shown

_ENGINES = ("docker", "podman")
_PATIENCE = 30.0  # seconds that an engine may take to say that it is there
_SLOW = 300.0  # and to do something that moves no data
_USAGE = re.compile(rb"^\s*(?:Usage:|See '|Run ').*", re.MULTILINE | re.DOTALL)
_HERE = ("unix://", "npipe://", "fd://")


class EngineError(GitmlError):
    """The container engine refused, or does not answer; the message has its own words."""


def find_engine(instead: str = "") -> str:
    """The engine that answers, docker or podman. Raises `UsageError` when there is none.

    `instead` is what the user may do without one.
    """
    heard = [f"{name} {_refusal(name)}" for name in _ENGINES if shutil.which(name)]
    for name in _ENGINES:
        if f"{name} " in heard:
            return name
    why = "; ".join(heard) or "neither docker nor podman is installed"
    more = f", or {instead}" if instead else ""
    raise UsageError(f"no container engine answers: {why}; start one{more}")


def _refusal(engine: str) -> str:
    """What an engine says instead of its version; nothing when it answers."""
    try:
        done = process.run([engine, "version"], timeout=_PATIENCE)
    except OSError as error:
        return f"says {shown(str(error))}"
    return f"says {shown(complaint(done.stderr))}" if done.returncode else ""


def ask(
    engine: str, *args: str, input: IO[bytes] | None = None, timeout: float | None = _SLOW
) -> str:
    """What the engine prints for a command. Raises `EngineError`."""
    try:
        done = process.run([engine, *args], input=input, timeout=timeout)
    except OSError as error:
        raise EngineError(f"{engine} {args[0]}: {shown(str(error))}") from None
    if done.returncode:
        said = _USAGE.sub(b"", done.stderr)
        raise EngineError(f"{engine} {args[0]}: {complaint(said)}")
    return done.stdout.decode("utf-8", "replace").strip()


def check_is_here(engine: str) -> None:
    """Refuse an engine on another machine: it has none of the folders of this one."""
    for name in ("DOCKER_HOST", "CONTAINER_HOST"):
        place = os.environ.get(name, "")
        if place and not place.startswith(_HERE):
            raise UsageError(
                f"{engine} is on another machine ({name} is {shown(place)}), where a run can't be"
                " recorded from; use an engine of this machine"
            )


@functools.lru_cache(maxsize=4)
def user_of(engine: str) -> str | None:
    """The user of a container whose files are this user's outside, as `uid:gid`.

    That is root where the engine itself runs without rights; None where users have no numbers.
    """
    if sys.platform == "win32":
        return None
    if engine == "podman":
        rootless = ask(engine, "info", "--format", "{{.Host.Security.Rootless}}") == "true"
    else:
        said = ask(engine, "info", "--format", "{{json .SecurityOptions}}")
        options = json.loads(said or "null") or []
        rootless = any("rootless" in option for option in options)
    return "0:0" if rootless else f"{os.getuid()}:{os.getgid()}"


def listed(engine: str, label: str) -> Sequence[str]:
    """The ids of the containers with a label, those too that have ended."""
    args = ("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}")
    return ask(engine, *args, timeout=_PATIENCE).split()
