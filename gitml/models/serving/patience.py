"""Connections of uvicorn whose clients must say what they want within a time and a size.

uvicorn waits for the head of a request for ever, and with httptools takes one of any length.
"""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from typing import Any

from gitml.models.serving.guard import MAX_HEAD
from gitml.models.serving.refused import RefusedError


@dataclass(frozen=True, slots=True)
class Patience:
    """Makes the protocol of a connection; `seconds` is how long the head of a request may take."""

    seconds: float

    def __call__(self, **given: Any) -> asyncio.Protocol:
        """The protocol; uvicorn's arguments."""
        connection: asyncio.Protocol = _patient()(**given)
        connection.seconds = self.seconds  # type: ignore[attr-defined]
        return connection


def _uvicorns() -> Any:
    """uvicorn's protocol, on httptools where that is installed."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ModuleNotFoundError:
        from uvicorn.protocols.http.h11_impl import H11Protocol

        return H11Protocol
    return HttpToolsProtocol


@functools.cache
def _patient() -> Any:
    return type("PatientProtocol", (_Patient, _uvicorns()), {})


class _Patient:
    """What is added to uvicorn's protocol.

    `_wait` ends the connection when the head of the next request is not there by then, or the rest
    of a body whose request has its answer. `_in_head` and `_in_body` are where httptools is.
    """

    seconds = 10.0
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    cycle: Any
    headers: list[tuple[bytes, bytes]]
    url: bytes
    _wait: asyncio.TimerHandle | None = None
    _head = 0
    _in_head = True
    _in_body = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)  # type: ignore[misc]

    def data_received(self, data: bytes) -> None:
        waited = self._waits()
        super().data_received(data)  # type: ignore[misc]
        if not (waited and self._waits()):
            self._end()
        elif not self.transport.is_closing():
            self._head += 0 if self._in_body else len(data)
            if self._head > MAX_HEAD:
                self.send_400_response("")
            elif self._wait is None:
                self._begin()

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()  # type: ignore[misc]

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a line of the head; those after the body would be lines of the head, too."""
        if self._in_head:
            super().on_header(name, value)  # type: ignore[misc]

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body = False, True
        host = _authority(self.url)
        if host is not None and host not in [it for name, it in self.headers if name == b"host"]:
            self.headers.append((b"host", host))  # then there are two, which is refused
        super().on_headers_complete()  # type: ignore[misc]

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()  # type: ignore[misc]

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        body = RefusedError("this is no request of HTTP/1.1, or its head is too long").body()
        head = (
            "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _waits(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _begin(self) -> None:
        self._wait = self.loop.call_later(self.seconds, self._lose_patience)

    def _end(self) -> None:
        self._head = 0
        if self._wait is not None:
            self._wait.cancel()
            self._wait = None

    def _lose_patience(self) -> None:
        self._wait = None
        if self._waits() and not self.transport.is_closing():
            self.transport.close()


def _authority(url: bytes) -> bytes | None:
    """The host that a whole URL names, which some clients send instead of a path."""
    if url.startswith((b"/", b"*")):
        return None
    return url.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]
