"""A server behind a shared address, as its keeper sees it: tried first, then open, then let go."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from gitml import process
from gitml.deploy import probe
from gitml.deploy.asking import Asked
from gitml.deploy.probe import Address
from gitml.forge.access import without_tokens
from gitml.models.serving import candidate
from gitml.models.serving.candidate import Served, Sockets
from gitml.models.serving.handover import CLOSED, FAILED, OPEN, OPENED, READY
from gitml.models.serving.limits import Limits

LOADING_SECONDS = 600.0
_OPENING_SECONDS = 10.0
_CLOSING_SECONDS = 10.0
_LEAVING_SECONDS = Limits().farewell + 15.0
_TAIL = 40  # lines of what it said
_MAX_LOG = 5_000_000  # bytes; what is older is in a second file, and then gone
_LOOPBACK = "127.0.0.1"


class Server:
    """One process; `step` moves it on, and `why` says why it can't serve."""

    def __init__(self, asked: Asked, served: Served, shared: socket.socket, log: Path) -> None:
        self.asked, self.served = asked, served
        self.why = ""
        self.is_open = False
        self._is_loaded = False
        self._is_closed = False
        self._proof: _Proof | None = None
        self._deadline = time.monotonic() + LOADING_SECONDS
        self._heard = b""
        self._line, theirs = socket.socketpair()
        self._line.setblocking(False)
        with theirs, socket.create_server((_LOOPBACK, 0)) as private:
            self._private = Address(_LOOPBACK, private.getsockname()[1])
            numbers = Sockets(private.fileno(), shared.fileno(), theirs.fileno())
            argv = candidate.command(asked.python, served, numbers, asked.host)
            pair = (private.fileno(), shared.fileno(), theirs.fileno())
            self._process = process.start_with(argv, pair, _environment(asked.python))
        self._tail: deque[str] = deque(maxlen=_TAIL)
        threading.Thread(target=self._keep_log, args=(log,), daemon=True).start()

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines that it said."""
        return tuple(self._tail)

    @property
    def has_ended(self) -> bool:
        """Whether its process is gone."""
        return self._process.poll() is not None

    def step(self) -> None:
        """See what has become of it since the last time."""
        for word, text in self._words():
            if word == FAILED:
                self.why = self.why or text
            elif word == OPENED:
                self.is_open = True
            elif word == READY:
                self._is_loaded = True
                self._proof = _Proof(
                    lambda: probe.wrong(self._private, self.served.digest, self.asked.request)
                )
        if self.is_open or self.why:
            return
        if self.has_ended:
            self.why = f"it ended with {self._process.returncode} before it served"
        elif time.monotonic() > self._deadline:
            self.why = "it was not open in time" if self._is_loaded else "it did not load in time"
        elif self._proof is not None and (found := self._proof.found) is not None:
            self.why, self._proof = found, None
            if not found:
                self._deadline = time.monotonic() + _OPENING_SECONDS
                self._say(OPEN)

    def let_go(self) -> None:
        """Have it end once its requests are answered."""
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_WR)
        self._deadline = time.monotonic() + _LEAVING_SECONDS

    def accepts(self) -> bool:
        """Whether one that was let go may still be given new connections; for a time only."""
        self._is_closed = self._is_closed or any(word == CLOSED for word, _ in self._words())
        is_late = time.monotonic() > self._deadline - _LEAVING_SECONDS + _CLOSING_SECONDS
        return not (self._is_closed or self.has_ended or is_late)

    def is_gone(self) -> bool:
        """Whether a server that was let go has ended; one that takes too long is killed."""
        if time.monotonic() > self._deadline:
            self.kill()
        if self.has_ended:
            self._line.close()
        return self.has_ended

    def kill(self) -> None:
        """Leave nothing of it."""
        self._line.close()
        process.stop_with_children(self._process.pid)
        self._process.wait()

    def _say(self, word: str) -> None:
        with contextlib.suppress(OSError):
            self._line.sendall(word.encode() + b"\n")

    def _words(self) -> list[tuple[str, str]]:
        with contextlib.suppress(OSError):
            while more := self._line.recv(1 << 16):
                self._heard += more
        *lines, self._heard = self._heard.split(b"\n")
        pairs = [line.decode("utf-8", "replace").partition(" ") for line in lines]
        return [(word, text) for word, _, text in pairs]

    def _keep_log(self, log: Path) -> None:
        """Write what it says, as long as it lives, into a file that does not grow for ever."""
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            while line := lines.readline(1 << 16):
                self._tail.append(line.decode("utf-8", "replace").rstrip())
                with contextlib.suppress(OSError):
                    if log.exists() and log.stat().st_size > _MAX_LOG:
                        log.replace(log.with_suffix(".log.1"))
                    with log.open("ab") as file:
                        file.write(line)


def _environment(python: str) -> dict[str, str]:
    """The variables of a server: this process's, with the programs beside its interpreter.

    Without tokens of forges: what a model runs could decide with them what is deployed.
    """
    kept = without_tokens(os.environ)
    told = {name: value for name, value in kept.items() if not name.startswith("PYTHON")}
    path = os.pathsep.join([str(Path(python).parent), told.get("PATH", os.defpath)])
    return {**told, "PATH": path, "PYTHONUNBUFFERED": "1"}


class _Proof:
    """Something that takes its time, done in the background; `found` is None until then."""

    def __init__(self, work: Callable[[], str]) -> None:
        self.found: str | None = None
        threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def _run(self, work: Callable[[], str]) -> None:
        self.found = work()
