"""Datasets from DataFrames, at the place where MLflow has them."""

from __future__ import annotations

from gitml.tracking.datasets import PandasDataset, from_pandas

__all__ = ["PandasDataset", "from_pandas"]
