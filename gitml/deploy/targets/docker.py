"""The target `docker`: a container of the version's image, at the engine of this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gitml import containers
from gitml.containers import Container
from gitml.deploy import contained, image, probe
from gitml.deploy.contained import GRACE
from gitml.deploy.errors import DeployError
from gitml.deploy.probe import Address, Live
from gitml.deploy.release import Release, Tell
from gitml.models import images


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
        return probe.address_at(self.host, self.port)

    def live(self) -> Live:
        """What runs."""
        return probe.look(self.address)

    def deploy(self, release: Release, tell: Tell) -> str:
        """Serve a version instead of another one, which goes on on a DeployError.

        The image proves itself in a container of its own; then the old container ends, and a new
        one takes its port. Between the two, for as long as the model takes to load, nothing
        answers.
        """
        engine = images.find_engine()
        wish = image.Wish(f"gitml/{release.name.lower()}", self.network)
        name = image.build(engine, release, wish, tell)
        tell(f"trying {release.name} {release.version}")
        contained.try_out(Container(engine, f"{self.name}-next"), name, release)
        self._replace(engine, name, release)
        return ""

    def remove(self) -> None:
        """Serve nothing any more; what is in flight is answered."""
        contained.end(Container(images.find_engine(), self.name))

    def _replace(self, engine: str, name: str, release: Release) -> None:
        """Give the port to a new container; on failure the old one has it again."""
        one, old = Container(engine, self.name), Container(engine, f"{self.name}-old")
        old.remove()
        was_there = one.state() is not None
        if was_there:
            containers.ask(engine, "stop", "--time", str(GRACE), one.name)
            containers.ask(engine, "rename", one.name, old.name)
        try:
            contained.start(one, name, self.host, self.port)
            contained.prove(one, self.address, replace(release, request=""))
        except DeployError:
            one.remove()
            if was_there:
                containers.ask(engine, "rename", old.name, one.name)
                containers.ask(engine, "start", one.name)
            raise
        old.remove()
