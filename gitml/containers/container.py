"""A container: made, filled, started, told to end, and taken away. Its name is the caller's."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from gitml.containers.engine import EngineError, ask

_PRIVATE = ("", "private")  # how engines call a container that has process ids of its own


@dataclass(frozen=True, slots=True)
class State:
    """What the engine knows of a container: whether it runs, how it ended, why it did not start.

    `code` is that of its program, 128 and a signal's number when that ended it.
    """

    is_running: bool
    code: int
    error: str
    has_started: bool
    out_of_memory: bool


@dataclass(frozen=True, slots=True)
class Container:
    """A container of the engine, by its name or id."""

    engine: str
    name: str

    def create(self, options: Sequence[str], image: str, argv: Sequence[str]) -> None:
        """Make it, with options of `docker create`, to run `argv`. Raises EngineError."""
        ask(self.engine, "create", "--name", self.name, *options, image, *argv)

    def put(self, archive: IO[bytes]) -> None:
        """Unpack an archive of tar into it, from its root on. Raises EngineError."""
        ask(self.engine, "cp", "-", f"{self.name}:/", input=archive, timeout=None)

    def started(self) -> list[str]:
        """The command that starts it, passes on what it says, and ends with its exit code."""
        return [self.engine, "start", "--attach", self.name]

    def send(self, number: int) -> None:
        """Send a signal to all that runs in it, which may be gone already.

        Of the engine it would reach the first process only, which ignores what it does not handle.
        """
        name = signal.Signals(number).name.removeprefix("SIG")
        with contextlib.suppress(EngineError):
            if self._has_own_processes():
                ask(self.engine, "exec", self.name, "/bin/sh", "-c", f"kill -{name} -1")
            else:
                ask(self.engine, "kill", "--signal", name, self.name)

    def _has_own_processes(self) -> bool:
        mode = ask(self.engine, "inspect", "--format", "{{.HostConfig.PidMode}}", self.name)
        return mode in _PRIVATE

    def kill(self) -> None:
        """End it by force, if it runs."""
        with contextlib.suppress(EngineError):
            ask(self.engine, "kill", self.name)

    def state(self) -> State | None:
        """How it is; None when there is no such container. Raises EngineError for no answer."""
        try:
            told = json.loads(ask(self.engine, "inspect", "--format", "{{json .State}}", self.name))
        except EngineError:
            ask(self.engine, "version")  # which says so when it does not answer
            return None
        return State(
            is_running=bool(told.get("Running")),
            code=int(told.get("ExitCode") or 0),
            error=str(told.get("Error") or ""),
            has_started=told.get("Status") not in ("created", "initialized", "configured"),
            out_of_memory=bool(told.get("OOMKilled")),
        )

    def remove(self) -> None:
        """Take it away, whether it runs or not."""
        with contextlib.suppress(EngineError):
            ask(self.engine, "rm", "--force", "--volumes", self.name)
