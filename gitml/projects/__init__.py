"""Projects: a folder with an MLproject file, whose entry points run as runs.

The names that MLflow has in `mlflow.projects` are loaded at their first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gitml.projects.bisecting import Bisection, bisect
    from gitml.projects.execution import EntryPointError, SubmittedRun
    from gitml.projects.reproducing import Reproduction, reproduce
    from gitml.projects.running import run
    from gitml.projects.sweeps.engine import SweepError
    from gitml.projects.sweeps.sweeping import Sweep, resume_sweep, sweep

_HOMES = {
    "Bisection": "gitml.projects.bisecting",
    "bisect": "gitml.projects.bisecting",
    "EntryPointError": "gitml.projects.execution",
    "Reproduction": "gitml.projects.reproducing",
    "SubmittedRun": "gitml.projects.execution",
    "Sweep": "gitml.projects.sweeps.sweeping",
    "SweepError": "gitml.projects.sweeps.engine",
    "reproduce": "gitml.projects.reproducing",
    "resume_sweep": "gitml.projects.sweeps.sweeping",
    "run": "gitml.projects.running",
    "sweep": "gitml.projects.sweeps.sweeping",
}

__all__ = [
    "Bisection",
    "EntryPointError",
    "Reproduction",
    "SubmittedRun",
    "Sweep",
    "SweepError",
    "bisect",
    "reproduce",
    "resume_sweep",
    "run",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gitml.projects' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
