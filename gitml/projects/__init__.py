"""Projects: a folder with an MLproject file, whose entry points run as runs.

The names that MLflow has in `mlflow.projects` are loaded at their first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gitml.projects.execution import EntryPointError, SubmittedRun
    from gitml.projects.running import run

_HOMES = {
    "EntryPointError": "gitml.projects.execution",
    "SubmittedRun": "gitml.projects.execution",
    "run": "gitml.projects.running",
}

__all__ = ["EntryPointError", "SubmittedRun", "run"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gitml.projects' has no attribute {name!r}")
