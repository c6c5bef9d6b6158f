"""Reading artifacts: MLflow's `mlflow.artifacts`."""

from __future__ import annotations

from gitml.tracking.fluent.fetches import (
    download_artifacts,
    list_artifacts,
    load_dict,
    load_image,
    load_text,
)

__all__ = ["download_artifacts", "list_artifacts", "load_dict", "load_image", "load_text"]
