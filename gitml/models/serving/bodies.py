"""Bodies of requests, read piece by piece within bounds of size, time and memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from gitml.models.serving.limits import Limits
from gitml.models.serving.refused import RefusedError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

_CLOSE = {"Connection": "close"}  # what is left of the body is not read
_BUSY = {"Connection": "close", "Retry-After": "1"}
_DRAIN_SECONDS = 2.0


class GoneError(Exception):
    """The client went away before its request was complete."""


class _Pieces:
    """What has arrived of a body, and how large it is."""

    def __init__(self) -> None:
        self.size = 0
        self._parts: list[bytes] = []

    def add(self, part: bytes) -> None:
        self.size += len(part)
        self._parts.append(part)

    def joined(self) -> bytes:
        """All of it in one piece; the others are let go."""
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)


class Bodies:
    """The bodies that are in memory at the moment."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0

    @asynccontextmanager
    async def body(
        self, receive: Receive, length: int | None, *, waits: bool = False
    ) -> AsyncIterator[bytes]:
        """The body of a request, counted as held until the block ends.

        `length` is declared; who `waits` for an answer before that (100-continue) has sent none.

        Raises RefusedError: 413 for one that is too large, 408 for one that is too slow, 503 when
        the bodies of all requests together are too large.
        """
        import anyio

        pieces = _Pieces()
        try:
            fits = length is None or length <= self._limits.body
            with anyio.move_on_after(self._limits.body_seconds) as scope:
                fits = fits and await self._read(receive, pieces)
            if not fits:
                if not waits or pieces.size:
                    await self._drain(receive)
                raise self._too_large()
            if scope.cancelled_caught:
                seconds = f"{self._limits.body_seconds:g} s"
                raise RefusedError(f"the body did not arrive within {seconds}", 408, headers=_CLOSE)
            yield pieces.joined()
        finally:
            self._held -= pieces.size

    async def _read(self, receive: Receive, pieces: _Pieces) -> bool:
        """Add the pieces to what is held; False once they are too many."""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise GoneError
            piece = message.get("body", b"")
            pieces.add(piece)
            self._held += len(piece)
            if pieces.size > self._limits.body:
                return False
            if self._held > self._limits.held:
                raise RefusedError("the server is busy; send it again later", 503, headers=_BUSY)
            if not message.get("more_body"):
                return True

    def _too_large(self) -> RefusedError:
        return RefusedError(
            f"the body has more than {self._limits.body} bytes; send fewer rows at a time",
            413,
            headers=_CLOSE,
        )

    async def _drain(self, receive: Receive) -> None:
        """Take some more of the body, so that a client that is still writing gets the answer."""
        import anyio

        left = 4 * self._limits.body
        with anyio.move_on_after(min(_DRAIN_SECONDS, self._limits.body_seconds)):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
