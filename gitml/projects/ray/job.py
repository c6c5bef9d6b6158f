"""A running entry point on a Ray cluster: a job, followed from here until its end.

What it records goes into a spool of its own, and is collected from there while it runs, and at its
end. It goes on when this process is killed: what it records then waits in the spool.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import tempfile
import time
from pathlib import Path

from gitml.projects.collector import Collector
from gitml.projects.contained import Errand, variables
from gitml.projects.output import Kept, Sink
from gitml.projects.program import Outcome, outcome_of
from gitml.projects.ray import cargo, gathering
from gitml.projects.ray.client import Client, ClusterError, NoJobError, State
from gitml.projects.ray.cluster import Cluster, with_variables
from gitml.projects.ray.tail import Tail
from gitml.tracking.record import FAILED, KILLED

_PAUSE = 0.5  # seconds between two looks at the job
_SLOW = 10.0  # seconds without a start, after which it is said what the job waits for
_SILENCE = 600.0  # seconds without an answer of the cluster, after which the job is given up
_ENDING = 30.0  # the same, when the job was told to end
_ENTRY = "exec python -m gitml.projects.ray.aboard"  # a shell reads this, and nothing else
_KILLED = -int(getattr(signal, "SIGKILL", signal.SIGTERM))


class RayJob:
    """An entry point as a job of a cluster; `kept` is what it said so far."""

    def __init__(
        self, cluster: Cluster, errand: Errand, sinks: tuple[Sink, Sink], limit: int
    ) -> None:
        self.kept = Kept(limit)
        self._cluster, self._place, self._sinks = cluster, errand.place, sinks
        self._id = f"gitml-{errand.run_id}-{secrets.token_hex(2)}"
        self._spool = cluster.spool(errand.place, errand.run_id)
        self._stopped: str | None = None
        self._is_hurried = False
        self._client = Client(cluster.settings)
        with contextlib.ExitStack() as undo:
            if self._spool.url is None:
                self._spool.home.mkdir(parents=True, exist_ok=True)
                undo.callback(shutil.rmtree, self._spool.home, ignore_errors=True)
            self._submit(errand)
            undo.pop_all()
        self._collector = Collector(errand.place, self._spool)
        self._tail = Tail(self._client, self._id, sinks[0], self.kept)

    def _submit(self, errand: Errand) -> None:
        """Send all along, and have it run."""
        settings = self._cluster.settings
        with tempfile.TemporaryDirectory() as drafts:
            folder = Path(drafts)
            packed = cargo.project(errand.folder, self._cluster.mounts, folder / "project.zip")
            own, command = cargo.gitml(folder), cargo.errand(errand.argv, folder)
            told = variables(errand, str(self._spool.url or self._spool.home))
            environment = {
                **with_variables(self._cluster.runtime_env, told),
                "working_dir": str(packed),
                "py_modules": [str(own), str(command)],
            }
            named = {"gitml.run_id": errand.run_id}
            self._client.submit(self._id, _ENTRY, environment, settings.entrypoint, named)

    def wait(self, name: str, timeout: float | None = None) -> Outcome:
        """Wait for the job to end; then all that it recorded is collected.

        After `timeout` seconds, those before its start too, it is stopped. An exception, such as
        Ctrl-C, leaves it running.
        """
        state = self._waited(timeout)
        self._tail.finish()
        self._collector.finish()
        gathering.gather(self._place, self._spool, patient=not self._is_hurried)
        return self._outcome(name, state)

    def _waited(self, timeout: float | None) -> State | ClusterError:
        """How the job ended, or why that is not known."""
        began = heard = time.monotonic()
        is_told = False
        while True:
            try:
                state = self._client.state(self._id)
                heard = time.monotonic()
                if state.is_over:
                    return state
                if state.status == "PENDING" and heard - began > _SLOW and not is_told:
                    is_told = True
                    self._tell(f"the job waits: {state.message}")
            except NoJobError as error:
                return error
            except ClusterError as error:
                if time.monotonic() - heard > (_SILENCE if self._stopped is None else _ENDING):
                    return error
            if self._is_hurried:
                return ClusterError("its end was not waited for")
            if timeout is not None and self._stopped is None and time.monotonic() - began > timeout:
                self.stop(f"it took longer than {timeout:g} s")
            time.sleep(_PAUSE)

    def _tell(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._sinks[1](f"gitml: {line}\n".encode())

    def stop(self, why: str, *, interrupt: bool = False, grace: float | None = None) -> None:
        """Have the job end, gently first, by force after Ray's 3 seconds; its end is for `wait`.

        With no `grace` at all, that is not waited for.
        """
        self._stopped = self._stopped or why
        self._is_hurried = self._is_hurried or grace == 0
        with contextlib.suppress(ClusterError):  # `wait` asks again, and tells
            self._client.stop(self._id)

    def _outcome(self, name: str, state: State | ClusterError) -> Outcome:
        """How it ended, as the cluster knows it."""
        if isinstance(state, ClusterError):
            status = FAILED if self._stopped is None else KILLED
            first = f"{self._stopped}, and " if self._stopped else ""
            return Outcome(status, f"{name}: {first}{state}; the job {self._id} may go on", 1)
        if state.status == "SUCCEEDED":
            return outcome_of(name, 0, None)
        if self._stopped is not None:
            code = _KILLED if state.code is None else state.code
            return outcome_of(name, code, self._stopped)
        if state.status == "STOPPED":
            return Outcome(KILLED, f"{name}: its job was stopped", _KILLED)
        if state.code is not None:
            return outcome_of(name, state.code, None)
        return Outcome(KILLED, f"{name}: its job came to no end: {state.message[:400]}", _KILLED)
