"""Ports for servers that start later, which nothing else on the machine takes meanwhile."""

from __future__ import annotations

import itertools
import os
import random
import socket

# Below those that a system gives to connections that go out: one of these, found free, may be
# somebody's by the time the server starts. Each process of the tests begins elsewhere.
_LOWEST, _COUNT = 10_000, 20_000
_numbers = itertools.count(random.Random(os.getpid()).randrange(_COUNT))


def free_port() -> int:
    """A port that nobody uses, and that no other test of this process is given."""
    while True:
        port = _LOWEST + next(_numbers) % _COUNT
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
