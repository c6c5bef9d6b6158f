"""How a deployment stands: what should run, what does, and what follows from that. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gitml.deploy.deployments import Deployment
from gitml.deploy.probe import Live
from gitml.registry.catalog import Registered

SYNCED, OUT_OF_SYNC, UNKNOWN = "Synced", "OutOfSync", "Unknown"
HEALTHY, DEGRADED, MISSING = "Healthy", "Degraded", "Missing"


@dataclass(frozen=True, slots=True)
class State:
    """A deployment with its `wanted` version, if any, and what is `live`.

    `problem` says why it is not known what should run, or what does.
    """

    deployment: Deployment
    wanted: Registered | None
    live: Live
    problem: str = ""

    @property
    def sync(self) -> str:
        """Whether what runs is what should."""
        if self.problem or (self.live.is_there and not self.live.is_ours):
            return UNKNOWN
        if self.wanted is None:
            return OUT_OF_SYNC if self.live.is_ours and self.deployment.prune else SYNCED
        return SYNCED if serves(self.live, self.wanted) else OUT_OF_SYNC

    @property
    def health(self) -> str:
        """Whether what runs is well."""
        if not self.live.is_there:
            return MISSING
        return HEALTHY if self.live.is_well else DEGRADED

    @property
    def needs_work(self) -> bool:
        """Whether there is something to do."""
        return not self.problem and (
            self.sync == OUT_OF_SYNC or (self.wanted is not None and not self.live.is_well)
        )

    @property
    def is_fine(self) -> bool:
        """Whether what should run does, and is well."""
        nothing = self.wanted is None and not self.live.is_there
        return self.sync == SYNCED and (nothing or self.live.is_well)

    @property
    def note(self) -> str:
        """What a person should know besides."""
        if self.problem:
            return self.problem
        if self.deployment.frozen and self.needs_work:
            return "frozen: nothing is changed"
        if self.wanted is None and self.live.is_ours and not self.deployment.prune:
            return "no version is in the stage; what runs stays (prune: false)"
        return self.live.why if self.live.is_there else ""


def serves(live: Live, wanted: Registered) -> bool:
    """Whether a version is what runs: its name, version and bytes."""
    return (live.model, live.version, live.digest) == (
        wanted.name,
        str(wanted.version),
        wanted.note.digest,
    )
