"""Work in threads, so that the server goes on listening while a model predicts."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from gitml.errors import GitmlError
from gitml.models.serving.limits import Limits
from gitml.models.serving.refused import RefusedError

T = TypeVar("T")

_Work = tuple[Future[Any], Callable[[], Any]]


class HangsError(GitmlError):
    """A model that never comes to an end has kept the server from its work."""


class Pool:
    """A few threads and a queue of bounded length before them.

    A thread can't be stopped: one whose model hangs is lost. The threads are no reason for the
    process to stay, as those of `concurrent.futures` are.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._work: set[Future[Any]] = set()
        self._begun: dict[Future[Any], float] = {}
        self._threads: list[threading.Thread] = []

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`. Raises RefusedError: 503 when the queue is full, 504 when late.

        Work that is late goes on, and counts as long as it does.
        """
        limits = self._limits
        if self.is_stuck():
            raise RefusedError("the model hangs; the server will be started again soon", 503)
        if len(self._work) >= limits.waiting + limits.threads:
            raise RefusedError(
                "too many requests wait already; send it again later",
                503,
                headers={"Retry-After": "1"},
            )
        waiter = asyncio.wrap_future(self._submit(work))
        done, _ = await asyncio.wait((waiter,), timeout=limits.seconds)
        if not done:
            waiter.cancel()
            raise RefusedError(f"the prediction took more than {limits.seconds:g} s", 504)
        return waiter.result()

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        if not self._threads:
            make = threading.Thread
            names = [f"predict-{number}" for number in range(self._limits.threads)]
            self._threads = [make(target=self._serve, name=name, daemon=True) for name in names]
            for thread in self._threads:
                thread.start()
        future: Future[T] = Future()
        self._work.add(future)
        future.add_done_callback(self._work.discard)
        self._queue.put((future, work))
        return future

    def _serve(self) -> None:
        """What a thread does."""
        while (asked := self._queue.get()) is not None:
            future, work = asked
            if future.set_running_or_notify_cancel():
                self._begun[future] = time.monotonic()
                try:
                    result = work()
                except BaseException as error:  # whatever it is, somebody waits for it
                    self._begun.pop(future)
                    future.set_exception(error)
                else:
                    self._begun.pop(future)
                    future.set_result(result)
            del asked, future, work

    def is_stuck(self, seconds: float | None = None) -> bool:
        """Whether all threads have predicted for longer than `seconds`, or than they may."""
        late = time.monotonic() - (self._limits.seconds if seconds is None else seconds)
        return sum(begun < late for begun in self._begun.copy().values()) >= self._limits.threads

    def is_busy(self) -> bool:
        """Whether a thread predicts."""
        return bool(self._begun)

    def close(self) -> None:
        """Drop what has not begun."""
        for future in self._work.copy():
            future.cancel()
        for _ in self._threads:
            self._queue.put(None)
