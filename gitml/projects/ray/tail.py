"""What a job says, passed on as it comes; where the line is cut, it is taken up again."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from gitml.errors import GitmlError
from gitml.projects.output import Kept, Sink
from gitml.projects.ray.client import Client

_PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)  # seconds: the cluster tells all from the beginning again
_LAST_WORDS = 5.0  # seconds for the thread to come to its end


class Tail:
    """The log of a job, passed on and kept, in a thread; without what Ray says before its start."""

    def __init__(self, client: Client, id: str, sink: Sink, kept: Kept) -> None:
        self._client, self._id, self._kept = client, id, kept
        self._sink: Sink | None = sink
        self._before: str | None = ""  # what came before the program's own words
        self._passed = 0  # characters of the log
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self._follow())
        self._thread = threading.Thread(target=self._run, name="gitml-ray-log", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _follow(self) -> None:
        failures = 0
        while True:
            seen = self._passed
            with contextlib.suppress(GitmlError):
                await self._once()
            failures = 0 if self._passed > seen else failures + 1
            await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])

    async def _once(self) -> None:
        """Follow the log from its beginning until the line is cut."""
        read = 0
        async with contextlib.aclosing(self._client.follow(self._id)) as texts:
            async for text in texts:
                read += len(text)
                if (new := read - self._passed) > 0:
                    self._pass_on(text[-new:])

    def _pass_on(self, text: str) -> None:
        self._passed += len(text)
        if self._before is not None:
            self._before += text
            begun = self._before.partition(f"Running entrypoint for job {self._id}: ")[2]
            if "\n" not in begun:
                return
            self._before, text = None, begun.partition("\n")[2]
        self._say(text.encode("utf-8", "replace"))

    def _say(self, data: bytes) -> None:
        """Nobody listens any more: the job goes on, and what it says is kept."""
        self._kept.add(data)
        if self._sink is not None and data:
            try:
                self._sink(data)
            except (OSError, ValueError):
                self._sink = None

    def finish(self) -> None:
        """Pass on the rest of what a job has said that is over."""
        with contextlib.suppress(RuntimeError):  # it has come to its end by itself
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(_LAST_WORDS)
        with contextlib.suppress(GitmlError):  # its node may be gone, and the log with it
            self._pass_on(self._client.log(self._id)[self._passed :])
        self._say((self._before or "").encode("utf-8", "replace"))
