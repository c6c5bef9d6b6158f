"""The client, at the place where MLflow has it."""

from __future__ import annotations

from gitml.registry.client import MlflowClient

__all__ = ["MlflowClient"]
