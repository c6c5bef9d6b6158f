"""Connections of uvicorn whose clients must say what they want within a time and a size.

uvicorn waits for the head of a request for ever, and with httptools takes one of any length.
"""

from __future__ import annotations

import asyncio
from typing import Any

from gitml.models.serving.refusal import Refusal

MAX_HEAD = 65_536  # bytes


def protocol(seconds: float) -> type[asyncio.Protocol]:
    """uvicorn's protocol, on httptools where that is installed, with patience for a head."""
    base: Any
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as base
    except ModuleNotFoundError:
        from uvicorn.protocols.http.h11_impl import H11Protocol as base

    class Patient(base):  # type: ignore[misc]
        """A connection; `_wait` ends it when the head of the next request is not there by then."""

        _wait: asyncio.TimerHandle | None = None
        _head = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._begin()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            waited = self._waits()
            super().data_received(data)
            if not (waited and self._waits()):
                self._end()
            elif not self.transport.is_closing():
                self._head += len(data)
                if self._head > MAX_HEAD:
                    self.send_400_response("the head of the request is too long")
                elif self._wait is None:
                    self._begin()

        def send_400_response(self, msg: str) -> None:
            body = Refusal("the request is not HTTP/1.1 as it must be").body()
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
            self._wait = self.loop.call_later(seconds, self._lose_patience)

        def _end(self) -> None:
            self._head = 0
            if self._wait is not None:
                self._wait.cancel()
                self._wait = None

        def _lose_patience(self) -> None:
            self._wait = None
            if self._waits() and not self.transport.is_closing():
                self.transport.close()

    return Patient
