"""The process that holds a deployment's address, behind which servers come and go.

A new server proves itself at an address of its own. Then it begins to accept at the shared one, and
only then the old one is let go, so that at each moment there is one that answers; that it is live
is told once the old one is given no new connection. A server that dies is started again;
connections wait for it meanwhile, since the address stays open.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import time
from pathlib import Path

from gitml import locks
from gitml.deploy import asking
from gitml.deploy.asking import FAILED, LIVE, LOCK, LOG, TRYING, Asked, Told
from gitml.deploy.servers import Server

_TICK = 0.05  # seconds
_LONGEST = 60.0  # seconds between two starts of a server that does not stay
_YOUNG = 60.0  # seconds; one that lived longer is started again at once


class Keeper:
    """Keeps one server at the address that is `listener`'s; `folder` is where it is told what."""

    def __init__(self, folder: Path, listener: socket.socket) -> None:
        self._folder = folder
        self._listener = listener
        self._port: int = listener.getsockname()[1]
        self._known = ""
        self._live: Server | None = None
        self._tried: Server | None = None
        self._leaving: list[Server] = []
        self._unsaid = ""
        self._since = 0.0
        self._failures = 0
        self._due: float | None = None
        self.is_over = False

    def run(self) -> None:
        """Until told to end; then no server is left."""
        try:
            while not self.is_over:
                self.step()
                time.sleep(_TICK)
        finally:
            self._end()

    def step(self) -> None:
        """Look at everything once."""
        asked = asking.asked(self._folder)
        if asked is not None and asked.id != self._known:
            self._known = asked.id
            self._obey(asked)
        if self._tried is not None:
            self._watch(self._tried)
        if self._live is not None and self._live.has_ended:
            self._lose(self._live)
        if self._unsaid and not any(one.accepts() for one in self._leaving):
            self._tell(self._unsaid, LIVE)
            self._unsaid = ""
        self._leaving = [one for one in self._leaving if not one.is_gone()]

    def _obey(self, asked: Asked) -> None:
        if self._tried is not None:
            self._tried.kill()
            self._tried = None
        if asked.served is None:
            self.is_over = True
            return
        self._tell(asked.id, TRYING)
        self._try(asked)

    def _try(self, asked: Asked) -> None:
        assert asked.served is not None
        try:
            log = self._folder / LOG
            self._tried = Server(asked, asked.served, self._listener, log)
        except OSError as error:
            self._fail()
            self._tell(asked.id, FAILED, f"it can't be started: {error.strerror or error}")

    def _watch(self, tried: Server) -> None:
        tried.step()
        if tried.why:
            self._tried = None
            tried.kill()
            if self._live is not None and self._live.asked is tried.asked:
                self._fail()
            else:
                self._tell(tried.asked.id, FAILED, tried.why, tried.tail)
        elif tried.is_open:
            self._tried, old, self._live = None, self._live, tried
            self._since, self._due = time.monotonic(), None
            if old is not None:
                old.let_go()
                self._leaving.append(old)
            self._unsaid = tried.asked.id

    def _lose(self, live: Server) -> None:
        """Start a server again that has ended by itself."""
        if self._tried is not None:
            return
        if self._due is None:
            if time.monotonic() - self._since > _YOUNG:
                self._failures = 0
            self._fail()
        elif time.monotonic() >= self._due:
            self._try(live.asked)

    def _fail(self) -> None:
        """Note that a server did not stay, or did not come up again."""
        self._failures += 1
        pause = 0.0 if self._failures == 1 else min(2.0 ** (self._failures - 2), _LONGEST)
        self._due = time.monotonic() + pause

    def _tell(self, id: str, state: str, why: str = "", log: tuple[str, ...] = ()) -> None:
        with contextlib.suppress(OSError):
            asking.tell(self._folder, Told(id, state, self._port, why, log))

    def _end(self) -> None:
        if self._tried is not None:
            self._tried.kill()
        if self._live is not None:
            self._live.let_go()
            self._leaving.append(self._live)
        self._listener.close()
        while self._leaving:
            self._leaving = [one for one in self._leaving if not one.is_gone()]
            time.sleep(_TICK)


def main(folder: Path) -> int:
    """Hold the address that was asked for; the exit code."""
    lock = locks.acquire(folder / LOCK)
    asked = asking.asked(folder)
    if lock is None or asked is None:
        return 1
    try:
        listener = _bound(asked.host, asked.port)
    except OSError as error:
        why = f"can't serve on {asked.host}, port {asked.port}: {error.strerror or error}"
        asking.tell(folder, Told(asked.id, FAILED, asked.port, why))
        return 1
    keeper = Keeper(folder, listener)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(keeper, "is_over", True))
    keeper.run()
    return 0


def _bound(host: str, port: int) -> socket.socket:
    """A socket at the address, to which nobody can connect before a server listens."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, number, _, address = found[0]
    listener = socket.socket(family, kind, number)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    return listener


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
