"""What autologging recorded in the repository of a test."""

from __future__ import annotations

import gitml
from gitml.tracking.entities import Run


def runs() -> list[Run]:
    """The recorded runs, oldest first."""
    found = gitml.search_runs(output_format="list", order_by=["start_time"])
    assert isinstance(found, list)
    return found


def the_run() -> Run:
    """The only run."""
    (run,) = runs()
    return run
