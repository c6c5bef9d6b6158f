"""Datasets as inputs of runs, as in MLflow's `mlflow.data`; log one with `gitml.log_input`."""

from __future__ import annotations

from typing import Any

from gitml.tracking import dataset_source
from gitml.tracking.dataset_source import DatasetSource
from gitml.tracking.datasets import (
    Dataset,
    NumpyDataset,
    PandasDataset,
    from_file,
    from_numpy,
    from_pandas,
    from_url,
)

__all__ = [
    "Dataset",
    "DatasetSource",
    "NumpyDataset",
    "PandasDataset",
    "from_file",
    "from_numpy",
    "from_pandas",
    "from_url",
    "get_source",
]


def get_source(dataset: Any) -> DatasetSource:
    """The source of a dataset: of one made here, or of an input of a run (`run.inputs`)."""
    found = getattr(dataset, "dataset", dataset)
    if isinstance(found.source, str):
        import json

        return DatasetSource(found.source_type, json.loads(found.source))
    return dataset_source.parse(found.source)
