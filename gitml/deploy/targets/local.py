"""The target `local`: a server on this machine, replaced without a request that is lost."""

from __future__ import annotations

import os
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from gitml import locks, process
from gitml.deploy import asking, probe
from gitml.deploy.asking import FAILED, LIVE, LOCK, Asked, Told
from gitml.deploy.errors import DeployError
from gitml.deploy.probe import Address, Live
from gitml.deploy.release import Release, Tell
from gitml.deploy.servers import LOADING_SECONDS
from gitml.environments import Manager
from gitml.errors import UsageError
from gitml.files import make_folder
from gitml.forge.access import without_tokens

_TICK = 0.05  # seconds
_KEEPER_SECONDS = 30.0  # until the keeper has started, or ended
_SERVER_SECONDS = LOADING_SECONDS + 120.0  # until a server is live, or known to fail


@dataclass(frozen=True, slots=True)
class Local:
    """A deployment on this machine; its keeper is in `folder`, `manager` is local, uv or conda."""

    folder: Path
    host: str
    port: int
    manager: Manager

    @property
    def address(self) -> Address:
        """Where it is asked."""
        return probe.address_at(self.host, self.port)

    def live(self) -> Live:
        """What runs."""
        return probe.look(self.address)

    def deploy(self, release: Release, tell: Tell) -> str:
        """Serve a version instead of another one, which goes on on a DeployError."""
        if sys.platform == "win32":
            raise UsageError("the target local is not there for Windows; use docker or command")
        python = str(release.interpreter(self.manager, tell))
        address = (self.host, self.port)
        wanted = Asked(uuid.uuid4().hex, *address, python, release.served, release.request)
        tell(f"starting {release.name} {release.version}")
        told = self._ask(wanted)
        if told.state != LIVE:
            raise DeployError(told.why, told.log)
        return ""

    def remove(self) -> None:
        """Serve nothing any more; what is in flight is answered."""
        if locks.is_held(self.folder / LOCK):
            asking.ask(self.folder, Asked(uuid.uuid4().hex))
            self._await_end()

    def _ask(self, wanted: Asked) -> Told:
        """Ask the keeper, which is started if there is none, and wait for what it tells."""
        make_folder(self.folder)
        self.folder.chmod(0o700)
        if locks.is_held(self.folder / LOCK) and not self._is_here():
            self.remove()
        is_new = not locks.is_held(self.folder / LOCK)
        if is_new:
            asking.forget(self.folder)
        asking.ask(self.folder, wanted)
        if is_new:
            argv = (sys.executable, "-I", "-m", "gitml.deploy.keeper", str(self.folder))
            mine = without_tokens(os.environ)  # models are code
            process.detach(argv, cwd=self.folder, env=mine, log=self.folder / "keeper.log")
        return self._answer(wanted.id)

    def _is_here(self) -> bool:
        """Whether the keeper that runs holds this address, not one that was set before."""
        last = asking.asked(self.folder)
        return last is not None and (last.host, last.port) == (self.host, self.port)

    def _answer(self, id: str) -> Told:
        begun = time.monotonic()
        while (waited := time.monotonic() - begun) < _SERVER_SECONDS:
            told = asking.told(self.folder)
            if told is not None and told.id == id and told.state in (LIVE, FAILED):
                return told
            if waited > _KEEPER_SECONDS and not locks.is_held(self.folder / LOCK):
                return Told(id, FAILED, why="the process that keeps the address has ended")
            time.sleep(_TICK)
        return Told(id, FAILED, why="it was not ready in time")

    def _await_end(self) -> None:
        end = time.monotonic() + _SERVER_SECONDS
        while locks.is_held(self.folder / LOCK) and time.monotonic() < end:
            time.sleep(_TICK)
