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

    `_wait` ends the connection when the head of the next request is not there by then.
    """

    seconds = 10.0
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    cycle: Any
    _wait: asyncio.TimerHandle | None = None
    _head = 0

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
            self._head += len(data)
            if self._head > MAX_HEAD:
                self.send_400_response("")
            elif self._wait is None:
                self._begin()

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
