"""What a program says: passed on as it comes, and the beginning and the end of it kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import IO

from gitml.tracking.redact import MASK, redact_text

Sink = Callable[[bytes], None]

_HEAD = 3  # the beginning gets one part in so many of the limit
_BLOCK = 1 << 16
_SECRET = 4  # characters that a value must have to be looked for in what a program says


class Kept:
    """The first and the last bytes that a program wrote, at most `limit` of them."""

    def __init__(self, limit: int) -> None:
        self._for_head = limit // _HEAD
        self._for_tail = limit - self._for_head
        self._head, self._tail = bytearray(), bytearray()
        self._dropped = 0
        self._mutex = threading.Lock()

    def add(self, data: bytes) -> None:
        """Keep what was written next."""
        with self._mutex:
            room = self._for_head - len(self._head)
            self._head += data[: max(room, 0)]
            self._tail += data[max(room, 0) :]
            if len(self._tail) > 2 * self._for_tail:  # seldom, for it moves what stays
                self._drop()

    def _drop(self) -> None:
        much = max(len(self._tail) - self._for_tail, 0)
        self._dropped += much
        del self._tail[:much]

    def text(self, secrets: Iterable[str] = ()) -> str:
        """All of it as text, credentials and the values `secrets` taken out.

        Where something is left out, whole lines are, so that no half of a secret stays.
        """
        with self._mutex:
            self._drop()
            head, tail, dropped = bytes(self._head), bytes(self._tail), self._dropped
        if not dropped:
            return _clean(head + tail, secrets)
        first = head[: head.rfind(b"\n") + 1]
        rest = tail.partition(b"\n")[2]
        dropped += len(head) - len(first) + len(tail) - len(rest)
        mark = f"[... {dropped} bytes are left out here ...]\n"
        return _clean(first, secrets) + mark + _clean(rest, secrets)


def _clean(data: bytes, secrets: Iterable[str]) -> str:
    text = redact_text(data.decode("utf-8", "replace"))
    for secret in secrets:
        if len(secret) >= _SECRET:
            text = text.replace(secret, MASK)
    return text


def to_stream(stream: IO[str]) -> Sink:
    """Writes bytes to a text stream, as they are where it has bytes below."""

    def write(data: bytes) -> None:
        stream.flush()
        binary = getattr(stream, "buffer", None)
        if binary is None:
            stream.write(data.decode("utf-8", "replace"))
            stream.flush()
        else:
            binary.write(data)
            binary.flush()

    return write


class Relay:
    """Passes on what one stream of a program brings, and keeps it, in a thread of its own."""

    def __init__(self, stream: IO[bytes], sink: Sink, kept: Kept) -> None:
        self._stream = stream
        self._sink: Sink | None = sink
        self._kept = kept
        self._thread = threading.Thread(target=self._run, name="gitml-output", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                data = self._stream.read(_BLOCK)
            except (OSError, ValueError):
                return
            if not data:
                return
            self._kept.add(data)
            self._pass_on(data)

    def _pass_on(self, data: bytes) -> None:
        """Nobody listens any more: the program goes on, and what it says is kept."""
        if self._sink is not None:
            try:
                self._sink(data)
            except (OSError, ValueError):
                self._sink = None

    def finish(self, seconds: float) -> None:
        """Wait for the end of the stream, which a process that got away may hold open."""
        self._thread.join(seconds)
        if not self._thread.is_alive():
            self._stream.close()
