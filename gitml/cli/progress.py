"""Progress bars: on a terminal only, and only for what takes more than a second."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.progress import TimeRemainingColumn as TimeRemaining

from gitml.cli import output

PATIENCE = 1.0

Stages = Callable[[str, int, int], None]  # a stage in words, how much is done, of how much


@contextlib.contextmanager
def progress_stages() -> Iterator[Stages | None]:
    """A function to report stages to; None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemaining())
    bars = Progress(*columns, console=output.console(err=True), transient=True)
    try:
        yield _Bars(bars).report
    finally:
        if bars.live.is_started:
            bars.stop()


@contextlib.contextmanager
def progress_bytes(stage: str) -> Iterator[Callable[[int, int], None] | None]:
    """A function to report one stage to; None where nobody watches."""
    with progress_stages() as report:
        if report is None:
            yield None
        else:
            yield lambda done, total: report(stage, done, total)


class _Bars:
    """A bar for each stage, drawn once the work takes longer than a person likes to wait."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._began = time.monotonic()
        self._drawn = False

    def report(self, stage: str, done: int, total: int) -> None:
        if not self._drawn and time.monotonic() - self._began > PATIENCE:
            self._drawn = True
            self._bars.start()
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=None)
        self._bars.update(self._tasks[stage], completed=done, total=total or None)
