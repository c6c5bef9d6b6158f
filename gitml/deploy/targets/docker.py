"""The target `docker`: a container of the version's image, at the engine of this machine."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gitml import containers
from gitml.containers import Container
from gitml.deploy import probe
from gitml.deploy.errors import DeployError
from gitml.deploy.probe import Address, Live
from gitml.deploy.release import Release, Tell
from gitml.models import images
from gitml.models.images import Identity, Recipe
from gitml.models.images.dockerfile import PORT
from gitml.models.serving.limits import Limits

_START_SECONDS = 300.0
_TICK = 0.2
_TAIL = 40  # lines of what a container said
_LOOPBACK = "127.0.0.1"
_GRACE = Limits().farewell + 5  # seconds that a container has to answer what it has begun
_ANY = {"0.0.0.0": _LOOPBACK, "::": "::1"}


@dataclass(frozen=True, slots=True)
class Docker:
    """A deployment at an engine; `name` is its container's, `network` the one of builds."""

    name: str
    host: str
    port: int
    network: str | None = None

    @property
    def address(self) -> Address:
        """Where it is asked."""
        return Address(_ANY.get(self.host, self.host), self.port)

    def live(self) -> Live:
        """What runs."""
        return probe.look(self.address)

    def deploy(self, release: Release, tell: Tell) -> None:
        """Serve a version instead of another one, which goes on on a DeployError.

        The image proves itself in a container of its own; then the old container ends, and a new
        one takes its port. Between the two, for as long as the model takes to load, nothing
        answers.
        """
        engine = images.find_engine()
        image = self._image(engine, release, tell)
        tell(f"trying {release.name} {release.version}")
        with self._tried(engine, f"{self.name}-next") as tried:
            self._start(tried, image, _LOOPBACK, 0)
            self._prove(tried, Address(_LOOPBACK, self._port_of(tried)), release)
        self._replace(engine, image, release)

    def remove(self) -> None:
        """Serve nothing any more; what is in flight is answered."""
        engine = images.find_engine()
        self._end(Container(engine, self.name))

    # -- images ----------------------------------------------------------------------------

    def _image(self, engine: str, release: Release, tell: Tell) -> str:
        """The image of a version, built unless the engine has it."""
        short = release.digest.rpartition(":")[2][:12]
        name = f"gitml/{release.name.lower()}:{release.version}-{short}"
        if containers.identify(engine, name) is None:
            version = f"{release.name}@{release.version}"
            identity = Identity(
                release.name, release.version, release.commit, release.run_id, release.digest
            )
            recipe = Recipe(identity, arguments=("--registered-as", version))
            images.build_docker(
                release.folder,
                name,
                recipe,
                network=self.network,
                allow_code=True,
                progress=tell,
            )
        return name

    # -- containers ------------------------------------------------------------------------

    def _start(self, one: Container, image: str, host: str, port: int) -> None:
        shown_host = f"[{host}]" if ":" in host else host
        published = f"{shown_host}:{port or ''}:{PORT}"
        options = ["--publish", published, "--label", f"gitml.deployment={self.name}"]
        options += ["--restart", "unless-stopped", "--read-only", "--tmpfs", "/tmp"]
        options += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        try:
            one.create(options, image, ())
            containers.ask(one.engine, "start", one.name)
        except containers.EngineError as error:
            raise DeployError(str(error)) from None

    def _port_of(self, one: Container) -> int:
        told = containers.ask(one.engine, "port", one.name, str(PORT))
        return int(told.splitlines()[0].rpartition(":")[2])

    def _prove(self, one: Container, address: Address, release: Release) -> None:
        """Wait until a container is well, serves the version, and predicts; else DeployError."""
        end = time.monotonic() + _START_SECONDS
        while not (live := probe.look(address)).is_well:
            state = one.state()
            if state is None or not state.is_running or time.monotonic() > end:
                why = live.why if state and state.is_running else "its container has ended"
                raise DeployError(f"{release.version} is not well: {why}", self._log(one))
            time.sleep(_TICK)
        if live.digest != release.digest:
            what = f"the image serves {live.digest}, and {release.digest} was asked for"
            raise DeployError(what, self._log(one))
        if release.request and (why := probe.refuses(address, release.request.encode())):
            what = f"it does not predict for the model's own example: {why}"
            raise DeployError(what, self._log(one))

    def _replace(self, engine: str, image: str, release: Release) -> None:
        """Give the port to a new container; on failure the old one has it again."""
        one, old = Container(engine, self.name), Container(engine, f"{self.name}-old")
        old.remove()
        was_there = one.state() is not None
        if was_there:
            containers.ask(engine, "stop", "--time", str(_GRACE), one.name)
            containers.ask(engine, "rename", one.name, old.name)
        try:
            self._start(one, image, self.host, self.port)
            self._prove(one, self.address, replace(release, request=""))
        except DeployError:
            one.remove()
            if was_there:
                containers.ask(engine, "rename", old.name, one.name)
                containers.ask(engine, "start", one.name)
            raise
        old.remove()

    @contextlib.contextmanager
    def _tried(self, engine: str, name: str) -> Iterator[Container]:
        one = Container(engine, name)
        one.remove()  # of a deployment that was killed
        try:
            yield one
        finally:
            one.remove()

    def _end(self, one: Container) -> None:
        with contextlib.suppress(containers.EngineError):
            containers.ask(one.engine, "stop", "--time", str(_GRACE), one.name)
        one.remove()

    def _log(self, one: Container) -> tuple[str, ...]:
        with contextlib.suppress(containers.EngineError):
            said = containers.ask(one.engine, "logs", "--tail", str(_TAIL), one.name)
            return tuple(said.splitlines()[-_TAIL:])
        return ()
