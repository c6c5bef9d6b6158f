"""A version in a container of this machine's engine: started, proven, ended."""

from __future__ import annotations

import contextlib
import time

from gitml import containers
from gitml.containers import Container
from gitml.deploy import probe
from gitml.deploy.errors import DeployError
from gitml.deploy.probe import Address
from gitml.deploy.release import Release
from gitml.models.images.dockerfile import PORT
from gitml.models.serving.limits import Limits

LOOPBACK = "127.0.0.1"
GRACE = Limits().farewell + 5  # seconds that a container has to answer what it has begun
_START_SECONDS = 300.0
_TICK = 0.2
_TAIL = 40  # lines of what a container said


def start(one: Container, image: str, host: str, port: int) -> None:
    """Start a container that serves at an address, at a free port for 0. Raises DeployError."""
    shown_host = f"[{host}]" if ":" in host else host
    options = ["--publish", f"{shown_host}:{port or ''}:{PORT}"]
    options += ["--label", f"gitml.deployment={one.name}"]
    options += ["--restart", "unless-stopped", "--read-only", "--tmpfs", "/tmp"]
    options += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    try:
        one.create(options, image, ())
        containers.ask(one.engine, "start", one.name)
    except containers.EngineError as error:
        raise DeployError(str(error)) from None


def prove(one: Container, address: Address, release: Release) -> None:
    """Wait until a container is well, serves the version, and predicts; else DeployError."""
    end = time.monotonic() + _START_SECONDS
    while not (live := probe.look(address)).is_well:
        state = one.state()
        if state is None or not state.is_running or time.monotonic() > end:
            why = live.why if state and state.is_running else "its container has ended"
            raise DeployError(f"{release.version} is not well: {why}", _log(one))
        time.sleep(_TICK)
    if why := probe.wrong(address, release.digest, release.request):
        raise DeployError(why, _log(one))


def try_out(one: Container, image: str, release: Release) -> None:
    """Have an image prove itself at a port that only this machine can reach, and leave nothing."""
    one.remove()  # of a deployment that was killed
    try:
        start(one, image, LOOPBACK, 0)
        told = containers.ask(one.engine, "port", one.name, str(PORT))
        port = int(told.splitlines()[0].rpartition(":")[2])
        prove(one, Address(LOOPBACK, port), release)
    finally:
        one.remove()


def end(one: Container) -> None:
    """End a container, which answers what it has begun, and take it away."""
    with contextlib.suppress(containers.EngineError):
        containers.ask(one.engine, "stop", "--time", str(GRACE), one.name)
    one.remove()


def _log(one: Container) -> tuple[str, ...]:
    with contextlib.suppress(containers.EngineError):
        said = containers.ask(one.engine, "logs", "--tail", str(_TAIL), one.name)
        return tuple(said.splitlines()[-_TAIL:])
    return ()
