"""Projects: a folder with an MLproject file, whose entry points run as runs.

The names that MLflow has in `mlflow.projects` are loaded at their first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gitml.projects.execution import EntryPointError, SubmittedRun
    from gitml.projects.running import run
    from gitml.projects.sweeps.engine import SweepError
    from gitml.projects.sweeps.sweeping import Sweep, resume_sweep, sweep

_HOMES = {
    "EntryPointError": "gitml.projects.execution",
    "SubmittedRun": "gitml.projects.execution",
    "Sweep": "gitml.projects.sweeps.sweeping",
    "SweepError": "gitml.projects.sweeps.engine",
    "resume_sweep": "gitml.projects.sweeps.sweeping",
    "run": "gitml.projects.running",
    "sweep": "gitml.projects.sweeps.sweeping",
}

__all__ = [
    "EntryPointError",
    "SubmittedRun",
    "Sweep",
    "SweepError",
    "resume_sweep",
    "run",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gitml.projects' has no attribute {name!r}")
