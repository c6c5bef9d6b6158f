"""The target `kubernetes`: a Deployment whose pods replace each other one by one, and a Service.

The cluster itself sees to it that a version which can't predict never serves: a pod gets requests
once it has predicted for the model's own example, and an old one is ended only after that. So it
holds when gitml is killed meanwhile, too.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitml.clusters import Cluster, ClusterError, connect
from gitml.deploy.errors import DeployError
from gitml.deploy.probe import Live
from gitml.deploy.release import Release, Tell
from gitml.deploy.targets import manifests, rollout
from gitml.deploy.targets.manifests import Shape
from gitml.errors import UsageError, shown

Publish = Callable[[Release, Tell], str]

_TICK = 1.0  # seconds between looks at the cluster
_STUCK = 120.0  # seconds that something may be wrong which may be mended
_AWAY = 120.0  # seconds that the cluster may not answer
_SLACK = 30.0  # seconds until gitml gives up after the cluster should have
_TAIL = 40  # lines of what a pod said

Pods = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """A deployment in a cluster of the user's.

    `check` raises UsageError where he has not allowed it. `publish` pushes the image of a version
    and returns its name. Without a `namespace` it is the context's.
    """

    shape: Shape
    publish: Publish
    check: Callable[[], None]
    context: str | None = None
    namespace: str | None = None

    def live(self) -> Live:
        """What runs: the version of the pods that get requests."""
        cluster, namespace = self._connected()
        found = cluster.get("Deployment", namespace, self.shape.name)
        if found is None:
            return Live(why="there is no Deployment")
        if not manifests.is_owned(found, self.shape):
            return Live(is_there=True, why=f"the Deployment {self.shape.name} is not gitml's")
        pods, _ = cluster.pods(namespace, self.shape.selector)
        return _live([it for it in pods if rollout.is_ready(it)], found)

    def deploy(self, release: Release, tell: Tell) -> str:
        """Serve a version instead of another one, which goes on on a DeployError."""
        cluster, namespace = self._connected()
        for kind in ("Deployment", "Service"):
            self._check_own(kind, cluster.get(kind, namespace, self.shape.name))
        image = self.publish(release, tell)
        before = self._serving(cluster, namespace, release)
        wanted = manifests.deployment(self.shape, namespace, image, release)
        cluster.apply(namespace, wanted)
        cluster.apply(namespace, manifests.service(self.shape, namespace))
        tell(f"rolling out {release.name} {release.version}")
        try:
            self._follow(cluster, namespace, release)
        except DeployError:
            if before is None:
                self.remove()
            else:
                cluster.apply(namespace, manifests.restored(wanted, before))
            raise
        return ""

    def remove(self) -> None:
        """Serve nothing any more; what is in flight is answered."""
        cluster, namespace = self._connected()
        for kind in ("Service", "Deployment"):
            found = cluster.get(kind, namespace, self.shape.name)
            self._check_own(kind, found)
            if found is not None:
                cluster.delete(kind, namespace, self.shape.name)

    # -- the cluster -----------------------------------------------------------------------

    def _connected(self) -> tuple[Cluster, str]:
        self.check()
        cluster = connect(self.context)
        return cluster, self.namespace or cluster.namespace

    def _check_own(self, kind: str, found: Mapping[str, Any] | None) -> None:
        """Refuse to touch what somebody else has made."""
        if found is not None and not manifests.is_owned(found, self.shape):
            raise UsageError(
                f"the {kind} {shown(self.shape.name)} of the cluster is not of this deployment;"
                " delete it, or take another namespace"
            )

    def _serving(
        self, cluster: Cluster, namespace: str, release: Release
    ) -> Mapping[str, Any] | None:
        """The ReplicaSet whose pods serve another version, also while one is tried already."""
        found = [
            it
            for it in cluster.listed("ReplicaSet", namespace, self.shape.selector)
            if (it.get("status") or {}).get("readyReplicas")
            and manifests.told_by(it["spec"]["template"])["digest"] != release.digest
        ]
        return max(found, key=lambda it: int(it["status"]["readyReplicas"]), default=None)

    # -- a rollout -------------------------------------------------------------------------

    def _follow(self, cluster: Cluster, namespace: str, release: Release) -> None:
        """Wait until only a version serves; DeployError when it can't."""
        began = heard = time.monotonic()
        while True:
            now = time.monotonic()
            try:
                if self._has_come(cluster, namespace, release, is_late=now - began > _STUCK):
                    return
                heard = now
            except ClusterError as error:
                if not error.passes or now - heard > _AWAY:
                    raise
            if now - began > self.shape.start_timeout + _SLACK:
                raise DeployError(f"{release.version} does not serve in time")
            time.sleep(_TICK)

    def _has_come(
        self, cluster: Cluster, namespace: str, release: Release, *, is_late: bool
    ) -> bool:
        found = cluster.get("Deployment", namespace, self.shape.name)
        if found is None:
            raise DeployError("the Deployment was deleted meanwhile")
        if rollout.is_done(found):
            return True
        pods, _ = cluster.pods(namespace, self.shape.selector)
        new = [it for it in pods if manifests.told_by(it)["digest"] == release.digest]
        for pod in new:
            if why := self._trouble(cluster, namespace, pod, is_late=is_late):
                raise DeployError(f"{release.version}: {why}", _said(cluster, namespace, pod))
        if why := rollout.given_up(found):
            log = _said(cluster, namespace, new[0]) if new else ()
            raise DeployError(f"{release.version} does not serve in time: {why}", log)
        return False

    def _trouble(
        self, cluster: Cluster, namespace: str, pod: Mapping[str, Any], *, is_late: bool
    ) -> str:
        if why := rollout.trouble(pod, is_late=is_late):
            return why
        name = str(pod["metadata"]["name"])
        if not rollout.is_ready(pod) and rollout.refused(cluster.events(namespace, name)):
            return "it does not predict for the model's own example"
        return ""


def _live(ready: Pods, found: Mapping[str, Any]) -> Live:
    """What the pods that get requests serve; where there are none, what they should."""
    told = [manifests.told_by(it) for it in ready]
    if not told:
        names = manifests.told_by(found["spec"]["template"])
        return Live(True, True, False, **names, why="none of its pods is ready")
    if any(it != told[0] for it in told):
        versions = " and ".join(sorted({str(it["version"]) for it in told}))
        return Live(True, True, True, why=f"{versions} serve side by side")
    wanted = int((found.get("spec") or {}).get("replicas", 1))
    why = "" if len(ready) >= wanted else f"{len(ready)} of {wanted} pods are ready"
    return Live(True, True, True, **told[0], why=why)


def _said(cluster: Cluster, namespace: str, pod: Mapping[str, Any]) -> tuple[str, ...]:
    """The end of what a pod said; of the time before, where it was started again."""
    name, container = str(pod["metadata"]["name"]), manifests.container_of(pod)
    with contextlib.suppress(ClusterError):
        previous = rollout.restarts(pod) > 0
        return tuple(cluster.tail(namespace, name, container, _TAIL, previous=previous))
    return ()
