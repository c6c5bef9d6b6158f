"""Following a Job to its end: what its pod says, what it waits for, and how it ended.

What counts is what the cluster says when it is asked for the Job and its pods; that they are
watched only tells when to ask. So nothing is missed where a watch ends, and a cluster that is away
for a while is asked again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from gitml.clusters import Cluster, ClusterError, Log, Pod, pod_of
from gitml.clusters.pods import Ended

T = TypeVar("T")

_PATIENCE = 900.0  # seconds that a cluster may be away
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0)  # seconds until it is asked again
_LOOK = 10  # seconds until the Job is looked at again where its pods don't change
_STUCK = 120.0  # seconds that a pod may be stuck before it starts
_TRIES = 5  # to read the rest of the log of a pod that has ended
_MOMENT = 1.0  # seconds that the cluster takes to know of what has just happened


@dataclass(frozen=True, slots=True)
class Target:
    """A Job to follow: where it is, and the container that counts.

    Its pod may take so many seconds to start (`patience`); None stands for as long as it waits for
    a machine, and a while where something is wrong.
    """

    namespace: str
    name: str
    container: str
    patience: float | None = None

    @property
    def selector(self) -> str:
        """The label of its pods."""
        return f"job-name={self.name}"


@dataclass(frozen=True, slots=True)
class Finish:
    """How a Job came to its end: by its pod, or because of something else, in words.

    `was_taken` tells that somebody or something ended it; `never_began` that no pod of it ran.
    """

    ended: Ended | None = None
    why: str = ""
    was_taken: bool = False
    never_began: bool = False


class _Sight(NamedTuple):
    """A Job and its pods, the oldest first, at one moment."""

    job: Mapping[str, Any] | None
    pods: Sequence[Pod]
    version: str


class Follower:
    """Follows a Job in a thread; `ended` is set when `finish` tells how it ended.

    `tell` hears what the pod says, `remark` what there is to say of it meanwhile.
    """

    def __init__(
        self,
        cluster: Cluster,
        target: Target,
        tell: Callable[[bytes], None],
        remark: Callable[[str], None],
    ) -> None:
        self._cluster, self._target, self._tell, self._say = cluster, target, tell, remark
        self.ended = threading.Event()
        self.finish = Finish(why="it was not followed to its end")
        self._let_go = threading.Event()
        self._read: set[str] = set()  # the pods whose log was read to its end
        self._last: Pod | None = None
        self._said = ""
        self._began, self._stuck = time.monotonic(), 0.0  # since when
        self._thread = threading.Thread(target=self._run, name="gitml-job", daemon=True)
        self._thread.start()

    def let_go(self) -> None:
        """Follow it no more, wherever it is."""
        self._let_go.set()

    def pods(self) -> Sequence[Pod]:
        """The pods that it has, the oldest first. Raises ClusterError."""
        return self._look().pods

    def _run(self) -> None:
        try:
            self.finish = self._follow()
        except ClusterError as error:
            self.finish = Finish(why=f"{error}; its Job may go on")
        finally:
            self.ended.set()

    def _follow(self) -> Finish:
        while True:
            sight = self._patiently(self._look)
            self._last = sight.pods[-1] if sight.pods else self._last
            fresh = [it for it in sight.pods if it.has_started and it.name not in self._read]
            if fresh:
                self._read_log(fresh[0])
            elif finish := self._finish(sight):
                return finish
            else:
                self._wait(sight)

    def _look(self) -> _Sight:
        target = self._target
        job = self._cluster.job(target.namespace, target.name)
        found, version = self._cluster.pods(target.namespace, target.selector)
        pods = [pod_of(one, target.container) for one in found]
        return _Sight(job, sorted(pods, key=lambda pod: (pod.created, pod.name)), version)

    def _patiently(self, ask: Callable[[], T]) -> T:
        """What the cluster answers, in the end; ClusterError when it is away for too long."""
        since, tries = time.monotonic(), 0
        while True:
            try:
                return ask()
            except ClusterError as error:
                if not error.passes or time.monotonic() - since > _PATIENCE:
                    raise
                self._remark(f"{error}; it is asked again")
                self._pause(tries, error)
                tries += 1

    def _pause(self, tries: int, error: ClusterError) -> None:
        """Wait for a while, which grows; raises the error when nobody waits for the end."""
        if self._let_go.wait(_PAUSES[min(tries, len(_PAUSES) - 1)]):
            raise error

    def _remark(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._say(text)

    # -- the log ---------------------------------------------------------------------------

    def _read_log(self, pod: Pod) -> None:
        """Pass on all that a pod says, from its beginning to its end."""
        log, failures = Log(self._tell), 0
        while pod.name not in self._read:
            now = {one.name: one for one in self._patiently(self._look).pods}.get(pod.name)
            self._last = now or self._last
            is_over = now is None or now.ended is not None
            before = log.lines
            try:
                log.read(self._blocks(pod, log.seconds), is_over=is_over)
            except ClusterError as error:
                failures = 1 if log.lines > before else failures + 1
                if self._is_in_vain(error, is_over, failures):
                    self._read.add(pod.name)
                else:
                    self._pause(failures - 1, error)
            else:
                failures = 0
                if is_over:
                    self._read.add(pod.name)
                elif log.lines == before:
                    self._let_go.wait(_MOMENT)

    def _blocks(self, pod: Pod, seconds: int | None) -> Any:
        target = self._target
        return self._cluster.log(target.namespace, pod.name, target.container, seconds)

    def _is_in_vain(self, error: ClusterError, is_over: bool, failures: int) -> bool:
        """Whether a log can't be read any more, which is said; a pod that is gone has none."""
        if is_over and error.status == 404:
            return True
        if error.status in (401, 403) or (is_over and failures >= _TRIES):
            self._remark(f"its log can't be read: {error}")
            return True
        return False

    # -- before and after ------------------------------------------------------------------

    def _wait(self, sight: _Sight) -> None:
        """Say what the Job waits for, and wait until that may be otherwise."""
        if waits := self._waits(sight):
            self._remark(f"the pod waits: {waits}")
        if sight.pods and all(pod.ended for pod in sight.pods):  # the Job is told soon
            self._let_go.wait(_MOMENT)
        else:
            target, seconds = self._target, _LOOK if sight.pods else 2
            self._cluster.wait(target.namespace, target.selector, sight.version, seconds)

    def _waits(self, sight: _Sight) -> str:
        if sight.pods:
            return sight.pods[-1].waits_for
        if sight.job is not None and (sight.job.get("spec") or {}).get("suspend"):
            return "its Job is suspended"
        found = self._cluster.events(self._target.namespace, self._target.name)
        told = [one.get("message") for one in found if one.get("type") == "Warning"]
        return " ".join(str(told[-1]).split()) if told else ""

    def _finish(self, sight: _Sight) -> Finish | None:
        """How it ended; None as long as it goes on."""
        last = self._last
        if sight.job is None:
            return None if any(not pod.ended for pod in sight.pods) else _removed(last)
        for one in (sight.job.get("status") or {}).get("conditions") or ():
            if one.get("status") == "True" and one.get("type") in ("Complete", "Failed"):
                return _over(one, last)
        return self._given_up(sight)

    def _given_up(self, sight: _Sight) -> Finish | None:
        """The end of a Job whose pod does not start, in which case it is deleted."""
        pod, now, limit = sight.pods[-1] if sight.pods else None, time.monotonic(), None
        if pod is not None and (pod.has_started or pod.ended):
            return None
        is_stuck = pod is not None and pod.is_stuck
        self._stuck = (self._stuck or now) if is_stuck else 0.0
        if self._target.patience is not None:
            limit = self._began + self._target.patience
        elif is_stuck:
            limit = self._stuck + _STUCK
        if not (pod is not None and pod.is_hopeless) and (limit is None or now < limit):
            return None
        target, why = self._target, self._waits(sight) or "its pod does not start"
        self._patiently(lambda: self._cluster.delete_job(target.namespace, target.name))
        return Finish(why=why, never_began=True)


def _removed(last: Pod | None) -> Finish:
    """The end of a Job that is not there any more."""
    if last is not None and last.ended is not None and last.ended.code == 0:
        return Finish(last.ended)
    return Finish(last.ended if last else None, "its Job was deleted", was_taken=True)


def _over(condition: Mapping[str, Any], last: Pod | None) -> Finish:
    """The end of a Job by its own account, which is less than what its pod says."""
    ended = last.ended if last is not None else None
    if condition.get("type") == "Complete":
        return Finish(ended if ended is not None and ended.code == 0 else Ended(0))
    why = " ".join(str(condition.get("message") or condition.get("reason") or "").split())
    if condition.get("reason") == "DeadlineExceeded":
        return Finish(ended, f"the cluster ended it: {why}", was_taken=True)
    return Finish(ended, f"its Job failed: {why}", never_began=last is None)
