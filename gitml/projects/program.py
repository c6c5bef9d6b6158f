"""A running entry point: a process group, what it says, and how it comes to its end."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gitml import config, process
from gitml.errors import UsageError, shown
from gitml.projects.output import Kept, Relay, Sink
from gitml.tracking.record import FAILED, FINISHED, KILLED

_GRACE = 5.0  # seconds to end by oneself after a signal
_GRACE_WITHIN = 2.0  # the same inside of another entry point, whose own end is waited for
_LEFT_OVER = 2.0  # the same for what outlives the entry point
_LAST_WORDS = 2.0  # seconds for the streams to come to their end
_NOT_FOUND, _SHELL = 127, 128  # exit codes of a shell; above the second, a signal's number
_ENDS = frozenset(
    int(getattr(signal, name)) for name in ("SIGHUP", "SIGINT", "SIGKILL", "SIGTERM")
    if hasattr(signal, name)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an entry point ended: the run's status, why in words, and the exit code.

    The code is negative, the number of a signal, when that ended it.
    """

    status: str
    reason: str | None
    code: int

    @property
    def tags(self) -> dict[str, str]:
        """What the run's tags say of it."""
        number = -self.code if self.code < 0 else 0
        return {"gitml.signal": _signal(number)} if number else {"gitml.exit_code": str(self.code)}


class Going(Protocol):
    """An entry point that was started, wherever it runs; `kept` is what it said so far."""

    kept: Kept

    def wait(self, name: str, timeout: float | None = None) -> Outcome:
        """Wait for the entry point `name` to end; after `timeout` seconds it is stopped.

        An exception, such as Ctrl-C, leaves it running.
        """

    def stop(self, why: str, *, interrupt: bool = False, grace: float | None = None) -> None:
        """End it with all that it started: gently first, by force after `grace` seconds."""

    def clear(self) -> None:
        """Take away what is not needed any more, now that its run is recorded."""


class Program:
    """An entry point that was started; `kept` is what it said so far.

    Its variables are this process's unless it is given others.
    """

    def __init__(
        self,
        argv: Sequence[str],
        folder: Path,
        variables: Mapping[str, str] | None,
        sinks: tuple[Sink, Sink],
        limit: int,
    ) -> None:
        try:
            self._leader = process.start_group(argv, cwd=folder, env=variables)
        except FileNotFoundError:
            raise UsageError(f"there is no {shown(argv[0])}, which runs the command") from None
        except OSError as error:
            raise _refused(argv, error) from None
        self._let_go = process.guard(self._leader)
        self.kept = Kept(limit)
        self._stopped: str | None = None
        streams = (self._leader.stdout, self._leader.stderr)
        pairs = zip(streams, sinks, strict=True)
        self._relays = [Relay(stream, sink, self.kept) for stream, sink in pairs if stream]

    def wait(self, name: str, timeout: float | None = None) -> Outcome:
        """Wait for the entry point `name` to end, and end what it leaves behind.

        After `timeout` seconds it is stopped. An exception, such as Ctrl-C, leaves it running.
        """
        if not process.ends_within(self._leader, timeout):
            self.stop(f"it took longer than {timeout:g} s")
        process.end_group(self._leader, (signal.SIGTERM,), _LEFT_OVER)
        self._let_go()
        for relay in self._relays:
            relay.finish(_LAST_WORDS)
        return outcome_of(name, self._leader.returncode, self._stopped)

    def stop(self, why: str, *, interrupt: bool = False, grace: float | None = None) -> None:
        """End it with all that it started: gently first, then by force.

        With `interrupt` the first signal is that of Ctrl-C, which Python's scripts may tidy up at.
        """
        if self._leader.poll() is None:
            self._stopped = self._stopped or why
            within = config.variables().parent_run_id is not None
            grace = (_GRACE_WITHIN if within else _GRACE) if grace is None else grace
            first = (signal.SIGINT,) if interrupt and sys.platform != "win32" else ()
            self._end((*first, signal.SIGTERM), grace)

    def clear(self) -> None:
        """Nothing of it is left when it has ended."""

    def _end(self, numbers: Sequence[int], grace: float) -> None:
        """End all of it: by these signals within `grace` seconds, then by force."""
        process.end_group(self._leader, numbers, grace)


def _refused(argv: Sequence[str], error: OSError) -> UsageError:
    """Why the system started nothing."""
    if error.errno == errno.E2BIG:
        size = sum(map(len, map(os.fsencode, argv)))
        return UsageError(
            f"the values of the parameters are {size} bytes long together, more than a program"
            " takes: write some to a file and pass that"
        )
    return UsageError(f"can't start {shown(argv[0])}: {error.strerror}")


def outcome_of(name: str, code: int, stopped: str | None) -> Outcome:
    """How an entry point ended, from its exit code; `stopped` is why it was stopped, if it was."""
    number = -code if code < 0 else code - _SHELL
    by_signal = bool(number > 0 and _signal(number))
    if stopped is not None:
        return Outcome(KILLED, f"{name}: {stopped}", code)
    if code == 0:
        return Outcome(FINISHED, None, code)
    status = KILLED if by_signal and number in _ENDS else FAILED
    if code < 0:
        return Outcome(status, f"{name} was ended by {_signal(number)}", code)
    also = f" ({_signal(number)})" if by_signal else ""
    also = " (a program was not found)" if code == _NOT_FOUND else also
    return Outcome(status, f"{name} ended with exit code {code}{also}", code)


def _signal(number: int) -> str:
    """The name of a signal, empty when there is none of that number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""
