"""The client, at the place where MLflow has it."""

from __future__ import annotations

from gitml.tracking.client import MlflowClient

__all__ = ["MlflowClient"]
