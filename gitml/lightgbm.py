"""LightGBM, as in MLflow's `mlflow.lightgbm`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitml.models import public
from gitml.models.mlmodel import ModelInfo
from gitml.models.options import LogOptions, SaveOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["load_model", "log_model", "save_model"]

NAME = "lightgbm"


class Save(SaveOptions, total=False):
    """What only LightGBM's estimators are saved with, as those of scikit-learn."""

    serialization_format: str | None
    skops_trusted_types: list[str] | None


class Log(Save, LogOptions, total=False):
    """The same, for logging."""


def save_model(lgb_model: Any, path: str | Path, **options: Unpack[Save]) -> None:
    """Save a Booster or an estimator to a new folder."""
    public.save(NAME, lgb_model, path, options)


def log_model(
    lgb_model: Any,
    artifact_path: str | None = None,
    *,
    name: str | None = None,
    **options: Unpack[Log],
) -> ModelInfo:
    """Log a Booster or an estimator to a run, by default the active one, at the path `name`."""
    return public.log(NAME, lgb_model, name or artifact_path, options)


def load_model(
    model_uri: str | Path, dst_path: str | Path | None = None, *, allow_code: bool = False
) -> Any:
    """The Booster or estimator of a model, from a run, the registry or a folder."""
    return public.load(NAME, model_uri, dst_path, allow_code=allow_code)
