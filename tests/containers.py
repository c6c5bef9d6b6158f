"""A real container engine for tests: skipped where none answers, and nothing is left at it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gitml.containers import find_engine
from gitml.errors import UsageError

HOST: dict[str, Any] = {"network": "host"}  # so that a build finds the index, wherever that is


def engine_or_skip() -> str:
    """The engine that answers; skips the test without one."""
    try:
        return find_engine()
    except UsageError as error:
        pytest.skip(str(error))


def ask(*args: str) -> str:
    """What the engine prints for a command."""
    done = subprocess.run(
        [find_engine(), *args], capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def described(what: str) -> dict[str, Any]:
    """What the engine knows of an image or a container."""
    (found,) = json.loads(ask("inspect", what))
    assert isinstance(found, dict)
    return found


def of_run(run_id: str) -> list[str]:
    """The ids of a run's containers."""
    return ask("ps", "--all", "--quiet", "--filter", f"label=gitml.run_id={run_id}").split()


def _images() -> set[str]:
    return set(ask("images", "--quiet", "--no-trunc", "--filter", "label=gitml.project").split())


@contextmanager
def tidied() -> Iterator[None]:
    """Take away the images that projects were given in the meantime."""
    before = _images()
    yield
    if new := _images() - before:
        subprocess.run([find_engine(), "image", "rm", "--force", *new], check=False)


@contextmanager
def relayed(place: Path) -> Iterator[Callable[[], None]]:
    """The engine's socket at another path, open to every user; a call cuts it off for good."""
    target = os.environ.get("DOCKER_HOST", "").removeprefix("unix://")
    if not target.startswith("/"):
        pytest.skip("the engine has no socket that DOCKER_HOST names")
    going: list[socket.socket] = []

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as engine:
                engine.connect(target)
                going.extend((self.request, engine))
                there = threading.Thread(target=_pass_on, args=(self.request, engine))
                there.start()
                _pass_on(engine, self.request)
                there.join()

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    def cut() -> None:
        place.unlink()
        for one in going:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    with Server(str(place), Relay) as server:
        place.chmod(0o666)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield cut
        server.shutdown()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
