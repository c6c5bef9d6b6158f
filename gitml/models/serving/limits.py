"""What one client may use of the server: bytes, rows, time; and how much all of them together."""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a request and of the server.

    `body` bytes and `rows` of one request; `seconds` from its last byte to the answer,
    `body_seconds` for its bytes to arrive, `head_seconds` for the lines before them; `waiting`
    requests at most wait for one of the `threads` that predict; bodies that are held in memory
    have `held` bytes together.
    """

    body: int = 16 * MEGABYTE
    rows: int = 100_000
    seconds: float = 60.0
    body_seconds: float = 10.0
    head_seconds: float = 10.0
    waiting: int = 128
    threads: int = 2

    @property
    def values(self) -> int:
        """How many values a body of JSON or a table may have; as Python objects each takes 32 B."""
        return max(self.body // 16, 1000)

    @property
    def hopeless(self) -> float:
        """How many seconds all threads may predict until the model is taken for one that hangs."""
        return max(2 * self.seconds, 10.0)

    @property
    def farewell(self) -> int:
        """How many seconds requests in flight have when the server is told to stop."""
        return int(self.seconds + self.body_seconds) + 1

    @property
    def held(self) -> int:
        """How many bytes of bodies may be in memory at once."""
        return 4 * self.body
