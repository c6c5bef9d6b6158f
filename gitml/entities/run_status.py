"""`RunStatus`, at the place where MLflow has it."""

from __future__ import annotations

from gitml.tracking.entities import RunStatus

__all__ = ["RunStatus"]
