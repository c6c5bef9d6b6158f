"""Work in threads, so that the server goes on listening while a model predicts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from gitml.models.serving.limits import Limits
from gitml.models.serving.refused import RefusedError

T = TypeVar("T")


class Pool:
    """A few threads and a queue of bounded length before them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.threads, "predict")
        self._work: set[Future[object]] = set()

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work`. Raises RefusedError: 503 when the queue is full, 504 when late.

        A thread can't be stopped: work that is late goes on, and counts as long as it does.
        """
        limits = self._limits
        if len(self._work) >= limits.waiting + limits.threads:
            raise RefusedError(
                "too many requests wait already; send it again later",
                503,
                headers={"Retry-After": "1"},
            )
        future = self._threads.submit(work)
        self._work.add(future)  # type: ignore[arg-type]
        future.add_done_callback(self._work.discard)
        waiter = asyncio.wrap_future(future)
        done, _ = await asyncio.wait((waiter,), timeout=limits.seconds)
        if not done:
            waiter.cancel()
            raise RefusedError(f"the prediction took more than {limits.seconds:g} s", 504)
        return waiter.result()

    def close(self) -> None:
        """Drop what has not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)
