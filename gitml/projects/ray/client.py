"""The gate to Ray: jobs of a cluster, through Ray's own client of its job server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from gitml.errors import GitmlError, UsageError
from gitml.projects.ray.settings import Settings
from gitml.urls import without_user_info

T = TypeVar("T")

_PATIENCE = 30.0  # seconds that the cluster may take to answer; Ray's client waits for ever
_UPLOAD = 900.0  # and to take what is sent along
_ADDRESS = "RAY_API_SERVER_ADDRESS"
_OVER = frozenset(("STOPPED", "SUCCEEDED", "FAILED"))
_environment = threading.Lock()


class ClusterError(GitmlError):
    """A Ray cluster does not answer, or refuses what it is asked for."""


class NoJobError(ClusterError):
    """The cluster does not know a job, or no more."""


@dataclass(frozen=True, slots=True)
class State:
    """How a job is: Ray's word, what Ray says of it, and the exit code of its entry point.

    The code is negative, the number of a signal, when that ended it.
    """

    status: str
    message: str = ""
    code: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end."""
        return self.status in _OVER


class Client:
    """The job server of a cluster. Every method raises `ClusterError`."""

    def __init__(self, settings: Settings) -> None:
        self._shown = settings.shown
        self._ray = self._asked(_PATIENCE, lambda: _client(settings))

    def submit(
        self,
        id: str,
        entrypoint: str,
        runtime_env: Mapping[str, Any],
        resources: Mapping[str, Any],
        metadata: Mapping[str, str],
    ) -> None:
        """Send what the job needs along, and have it run; `entrypoint` is read by a shell.

        UsageError when Ray can't make sense of what it is told.
        """
        self._asked(
            _UPLOAD,
            lambda: self._ray.submit_job(
                entrypoint=entrypoint,
                submission_id=id,
                runtime_env=dict(runtime_env),
                metadata=dict(metadata),
                **resources,
            ),
        )

    def state(self, id: str) -> State:
        """How a job is now; `NoJobError` when there is none of that name."""
        found = self._asked(_PATIENCE, lambda: self._ray.get_job_info(id))
        said = " ".join((found.message or "").split())
        return State(str(found.status.value), said, getattr(found, "driver_exit_code", None))

    def log(self, id: str) -> str:
        """All that a job has said."""
        return str(self._asked(_PATIENCE, lambda: self._ray.get_job_logs(id)))

    async def follow(self, id: str) -> AsyncGenerator[str, None]:
        """What a job says from its beginning, as it comes, until its end or that of the line."""
        with self._told():
            async for text in self._ray.tail_job_logs(id):
                yield text

    def stop(self, id: str) -> None:
        """Have a job ended, gently first; it may take some seconds until it is."""
        self._asked(_PATIENCE, lambda: self._ray.stop_job(id))

    def forget(self, id: str) -> None:
        """Take a job that is over out of the cluster's list."""
        with contextlib.suppress(ClusterError):
            self._asked(_PATIENCE, lambda: self._ray.delete_job(id))

    def _asked(self, seconds: float, call: Callable[[], T]) -> T:
        """What a call answers, if it does within so many seconds."""
        answers: list[tuple[T | None, BaseException | None]] = []

        def work() -> None:
            try:
                answers.append((call(), None))
            except BaseException as error:
                answers.append((None, error))

        thread = threading.Thread(target=work, name="gitml-ray", daemon=True)
        thread.start()
        thread.join(seconds)
        if not answers:
            raise ClusterError(f"the Ray cluster at {self._shown} does not answer")
        found, error = answers[0]
        with self._told():
            if error is not None:
                raise error
        return found  # type: ignore[return-value]

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Have what Ray's client raises told in one line."""
        try:
            yield
        except (GitmlError, asyncio.CancelledError, GeneratorExit):
            raise
        except (TypeError, ValueError) as error:
            if isinstance(error, OSError):  # a few of requests' are both
                raise self._lost(error) from None
            raise UsageError(f"Ray does not take the job: {_line(error)}") from None
        except Exception as error:
            raise self._lost(error) from None

    def _lost(self, error: Exception) -> ClusterError:
        said = without_user_info(_line(error))
        if "status code 404" in said and "does not exist" in said:
            return NoJobError(f"the Ray cluster at {self._shown} does not know the job")
        if "status code 413" in said:
            return ClusterError(f"the Ray cluster at {self._shown} takes no package of that size")
        if isinstance(error, OSError):
            said = "there is no answer"
        return ClusterError(f"the Ray cluster at {self._shown} can't be used: {said}")


def _line(error: Exception) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= 400 else said[:400] + "…"


def _client(settings: Settings) -> Any:
    """Ray's client of a cluster, which answers."""
    try:
        from ray.job_submission import JobSubmissionClient
    except ImportError:
        raise UsageError("the backend ray needs Ray: pip install 'gitml[ray]'") from None
    for name in ("dashboard_sdk", "job.sdk"):  # they tell of every step
        logging.getLogger(f"ray.dashboard.modules.{name}").setLevel(logging.WARNING)
    logging.getLogger("ray._private.runtime_env.packaging").setLevel(logging.WARNING)
    with _environment:  # what is set there comes before what Ray is told
        before = os.environ.get(_ADDRESS)
        os.environ[_ADDRESS] = settings.address
        try:
            return JobSubmissionClient(
                settings.address, headers=dict(settings.headers), verify=settings.verify
            )
        finally:
            if before is None:
                del os.environ[_ADDRESS]
            else:
                os.environ[_ADDRESS] = before
