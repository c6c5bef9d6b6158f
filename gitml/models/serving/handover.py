"""A server that takes over a shared address, and gives it up later, without losing a request.

Who started it talks to it over a socket, in lines. The server says `ready`, or `failed WHY`; to
`open` it begins to accept at the shared address and says `opened`. When it is told nothing any more
it ends: it accepts no more and says `closed`, and its clients are told that their connections end,
so that none of them sends a request into one that is about to be closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from typing import Any

READY, OPEN, OPENED, CLOSED, FAILED = "ready", "open", "opened", "closed", "failed"
_QUIET = 2.0  # seconds that clients have to use their connections once more, and be told
_CLOSE = (b"connection", b"close")


class Handover:
    """The server's side; `listener` is the shared socket, `line` leads to who started it."""

    def __init__(self, listener: socket.socket, line: socket.socket) -> None:
        self._listener = listener
        self._line = line
        self._is_wanted = threading.Event()
        self._is_over = threading.Event()
        self._is_open = False
        self._end: float | None = None
        threading.Thread(target=self._hear, daemon=True).start()

    def say(self, word: str, text: str = "") -> None:
        """Tell who started it."""
        with contextlib.suppress(OSError):
            self._line.sendall(f"{word} {' '.join(text.split())}".strip().encode() + b"\n")

    def _hear(self) -> None:
        with contextlib.suppress(OSError), self._line.makefile("rb") as lines:
            for line in lines:
                if line.strip() == OPEN.encode():
                    self._is_wanted.set()
        self._is_over.set()

    async def tick(self, server: Any) -> None:
        """Do what was asked for since the last time; `server` is uvicorn's."""
        if self._is_wanted.is_set() and not self._is_open:
            self._is_open = True
            await self._begin(server)
        if self._is_over.is_set():
            self._finish(server)

    async def _begin(self, server: Any) -> None:
        config = server.config

        def connection() -> Any:
            state = {"server_state": server.server_state, "app_state": server.lifespan.state}
            return config.http_protocol_class(config=config, **state)

        loop = asyncio.get_running_loop()
        server.servers.append(
            await loop.create_server(connection, sock=self._listener, backlog=config.backlog)
        )
        self.say(OPENED)

    def _finish(self, server: Any) -> None:
        now = time.monotonic()
        if self._end is None:
            self._end = now + _QUIET
            for one in server.servers:
                one.close()
            self.say(CLOSED)
            server.config.encoded_headers.append(_CLOSE)
            server.server_state.default_headers = [*server.server_state.default_headers, _CLOSE]
        if now >= self._end or not server.server_state.connections:
            server.should_exit = True
