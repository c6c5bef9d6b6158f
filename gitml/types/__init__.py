"""Types of columns, tensors and parameters, as in MLflow's `mlflow.types`."""

from __future__ import annotations

from gitml.models.schema import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from gitml.models.types import DataType

__all__ = ["ColSpec", "DataType", "ParamSchema", "ParamSpec", "Schema", "TensorSpec"]
