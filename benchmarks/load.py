"""Load for a server: `load.py ADDRESS PORT BODY CLIENTS SECONDS`, in a process of its own.

Every client is a connection that is kept; it sends the same request again as soon as the answer to
the last one is there. Standard output gets JSON: how long each answer took, and for how long
requests were sent.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from pathlib import Path


class Client:
    """One connection and the answer that is arriving on it."""

    def __init__(self, address: tuple[str, int], request: bytes) -> None:
        self.socket = socket.create_connection(address, timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._start = 0.0
        self._answer = b""

    def send(self) -> None:
        """Ask."""
        self._answer, self._start = b"", time.perf_counter()
        self.socket.sendall(self._request)

    def receive(self) -> float | None:
        """Read what is there; how long the answer took once it is complete."""
        data = self.socket.recv(1 << 20)
        if not data:
            raise SystemExit("the server closed a connection")
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return None
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the server answered {self._answer[:300]!r}")
        return time.perf_counter() - self._start


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise SystemExit("an answer without a length")


def measure(address: tuple[str, int], request: bytes, clients: int, seconds: float) -> list[float]:
    """How long each answer took."""
    selector = selectors.DefaultSelector()
    for _ in range(clients):
        client = Client(address, request)
        selector.register(client.socket, selectors.EVENT_READ, client)
        client.send()
    samples, deadline, waiting = [], time.perf_counter() + seconds, clients
    while waiting:
        for key, _ in selector.select():
            took = key.data.receive()
            if took is None:
                continue
            samples.append(took)
            if time.perf_counter() < deadline:
                key.data.send()
            else:
                waiting -= 1
    return samples


def main() -> None:
    """Run as a program."""
    host, port, path, clients, seconds = sys.argv[1:]
    body = Path(path).read_bytes()
    head = (
        f"POST /invocations HTTP/1.1\r\nHost: localhost:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    address, request = (host, int(port)), head.encode() + body
    measure(address, request, int(clients), min(0.5, float(seconds)))  # warms everything
    start = time.perf_counter()
    samples = measure(address, request, int(clients), float(seconds))
    print(json.dumps({"samples": samples, "seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main()
