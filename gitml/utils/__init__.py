"""The few modules of `mlflow.utils` whose names scripts use."""

from __future__ import annotations

from gitml.utils import mlflow_tags, validation

__all__ = ["mlflow_tags", "validation"]
