"""A version tried on this machine before it goes elsewhere: it loads, is well, and predicts."""

from __future__ import annotations

import socket
import sys
import time
import uuid
from pathlib import Path

from gitml.deploy.asking import LOG, Asked
from gitml.deploy.errors import DeployError
from gitml.deploy.release import Release, Tell
from gitml.deploy.servers import Server
from gitml.environments import Manager
from gitml.files import make_folder

_LOOPBACK = "127.0.0.1"
_TICK = 0.05  # seconds


def try_out(release: Release, manager: Manager, folder: Path, tell: Tell) -> None:
    """Have a version prove itself in its environment; its log is in `folder`. Raises DeployError.

    Windows has no such trial, since a server there can't be given its sockets.
    """
    if sys.platform == "win32":
        tell("it is not tried here, as that needs Linux or macOS")
        return
    python = str(release.interpreter(manager, tell))
    make_folder(folder)
    tell(f"trying {release.name} {release.version}")
    with socket.socket() as nobody_knows:
        nobody_knows.bind((_LOOPBACK, 0))
        port = nobody_knows.getsockname()[1]
        asked = Asked(uuid.uuid4().hex, _LOOPBACK, port, python, release.served, release.request)
        server = Server(asked, release.served, nobody_knows, folder / LOG)
        try:
            while not (server.is_open or server.why):
                server.step()
                time.sleep(_TICK)
        finally:
            server.kill()
    if server.why:
        raise DeployError(server.why, server.tail)
