"""A running entry point in a cluster: its Job is made, followed, ended, and what it recorded here.

What it records goes into a folder of its own in the spool, and is collected from there while it
runs, and at its end. A Job goes on when this process is killed; its run is then brought in by
`gitml collect`, from where the run's tag says.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from typing import Any

from gitml.clusters import Cluster, ClusterError
from gitml.errors import GitmlError
from gitml.projects import contained
from gitml.projects.collector import Collector, collect_rest
from gitml.projects.contained import Errand
from gitml.projects.kubernetes import manifest
from gitml.projects.kubernetes.following import Finish, Follower, Target
from gitml.projects.kubernetes.manifest import Wanted
from gitml.projects.kubernetes.placing import Placement
from gitml.projects.output import Kept, Sink
from gitml.projects.program import Outcome, outcome_of
from gitml.tracking import collecting, environment
from gitml.tracking.record import FAILED, KILLED
from gitml.tracking.spool import spool_of

SPOOL_TAG, JOB_TAG = "gitml.spool", "gitml.kubernetes.job"
_TRIES = 5  # to make a Job
_SLACK = 15.0  # seconds that a cluster may take to tell of an end, beside a pod's own
_UNKNOWN = 128  # the exit code where there is none: above it a shell has those of signals


class JobProgram:
    """An entry point in a pod, from the making of its Job to its end; `kept` is what it said."""

    def __init__(
        self,
        placement: Placement,
        errand: Errand,
        sinks: tuple[Sink, Sink],
        limit: int,
        timeout: float | None,
    ) -> None:
        self.kept = Kept(limit)
        self._sinks, self._place, self._cluster = list(sinks), errand.place, placement.cluster
        self._stopped: str | None = None
        told = placement.settings
        where = f"{told.spool.rstrip('/')}/{errand.run_id}"
        name = f"gitml-{errand.run_id}-{secrets.token_hex(2)}"
        wanted = Wanted(
            name,
            placement.namespace,
            errand.run_id,
            placement.image,
            errand.argv[1:],
            placement.variables,
            {**contained.variables(errand, where), **_user()},
            timeout,
        )
        job = manifest.job(told.template, wanted)
        self._grace = manifest.grace_of(job)
        self.tags = {SPOOL_TAG: where, JOB_TAG: name}
        container = manifest.container_of(job)
        self._target = Target(placement.namespace, name, container, told.patience)
        self._spool = spool_of(where)
        if self._spool.url is None:  # so that who collects finds it, and the pod may write there
            self._spool.home.mkdir(parents=True, exist_ok=True)
        _make(self._cluster, placement.namespace, job)
        self._follower = Follower(self._cluster, self._target, self._hear, self._remark)
        self._collector = Collector(errand.place, self._spool)

    def wait(self, name: str, timeout: float | None = None) -> Outcome:
        """Wait for the end of the Job, and collect all that was recorded there.

        After `timeout` seconds it is stopped. An exception, such as Ctrl-C, leaves it running.
        """
        if not self._follower.ended.wait(timeout):
            self.stop(f"it took longer than {timeout:g} s")
        self._collector.finish()
        collect_rest(self._place, self._spool, str(self._spool))
        return _outcome(name, self._follower.finish, self._stopped)

    def stop(self, why: str, *, interrupt: bool = False, grace: float | None = None) -> None:
        """Delete the Job: its pod is told to end, and killed when it has not done so in time.

        That time is the pod's own, of its template, unless `grace` seconds are given.
        """
        if self._follower.ended.is_set():
            return
        self._stopped = self._stopped or why
        target = self._target
        with contextlib.suppress(ClusterError):
            self._cluster.delete_job(target.namespace, target.name)
        grace = self._grace + _SLACK if grace is None else grace
        if not self._follower.ended.wait(grace):
            with contextlib.suppress(ClusterError):
                for pod in self._follower.pods():
                    self._cluster.delete_pod(target.namespace, pod.name)
            self._follower.ended.wait(_SLACK)
        self._follower.let_go()

    def clear(self) -> None:
        """Take what is recorded for certain out of the spool; the rest stays there."""
        with contextlib.suppress(GitmlError, OSError):
            collecting.collect(self._place, self._spool, over=True, delete=True)
            collecting.forget(self._place, self._spool)
        if self._spool.url is None:
            with contextlib.suppress(OSError):
                for inner in ("live", "jobs", ""):
                    if (self._spool.home / inner).is_dir():
                        (self._spool.home / inner).rmdir()

    def _hear(self, line: bytes) -> None:
        self.kept.add(line)
        self._pass_on(0, line)

    def _remark(self, text: str) -> None:
        self._pass_on(1, f"gitml: {text}\n".encode())

    def _pass_on(self, number: int, data: bytes) -> None:
        """Nobody listens any more: the program goes on, and what it says is kept."""
        try:
            self._sinks[number](data)
        except (OSError, ValueError):
            self._sinks[number] = lambda data: None


def _make(cluster: Cluster, namespace: str, job: dict[str, Any]) -> None:
    """Make a Job; whether or not its making was told of, it is there once. Raises ClusterError.

    The name is of this attempt alone: one that is there already was made by it.
    """
    name = job["metadata"]["name"]
    for tries in range(_TRIES):
        try:
            cluster.create_job(namespace, job)
            return
        except ClusterError as error:
            if error.status == 409 and cluster.job(namespace, name) is not None:
                return
            if not error.passes or tries + 1 == _TRIES:
                raise
            time.sleep(2**tries / 4)
        except BaseException:  # Ctrl-C; it may have been made all the same
            with contextlib.suppress(ClusterError):
                cluster.delete_job(namespace, name)
            raise


def _user() -> dict[str, str]:
    """Who is recorded as the run's user: a pod has none that means anything."""
    return {"USER": environment.user() or "gitml"}


def _outcome(name: str, finish: Finish, stopped: str | None) -> Outcome:
    """How the entry point ended, as the cluster knows it."""
    ended = finish.ended
    code = _UNKNOWN if ended is None or ended.code is None else ended.code
    if stopped is not None:
        return Outcome(KILLED, f"{name}: {stopped}", code)
    if finish.never_began:
        return Outcome(FAILED, f"{name} could not be started: {finish.why}", code)
    if finish.was_taken or ended is None:
        return Outcome(KILLED if finish.was_taken else FAILED, f"{name}: {finish.why}", code)
    if ended.was_taken:
        return Outcome(KILLED, f"{name}: the cluster took its pod: {ended.why}", code)
    if ended.out_of_memory:
        return Outcome(FAILED, f"{name} ran out of memory (exit code {code})", code)
    if ended.code is None or ended.why:
        return Outcome(FAILED, f"{name}: {ended.why or finish.why}", code)
    return outcome_of(name, code, None)
