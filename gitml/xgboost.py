"""XGBoost, as in MLflow's `mlflow.xgboost`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitml.models import public
from gitml.models.mlmodel import ModelInfo
from gitml.models.options import LogOptions, SaveOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["load_model", "log_model", "save_model"]

NAME = "xgboost"


class Save(SaveOptions, total=False):
    """What only XGBoost's models are saved with: `model_format` is ubj or json."""

    model_format: str


class Log(Save, LogOptions, total=False):
    """The same, for logging."""


def save_model(xgb_model: Any, path: str | Path, **options: Unpack[Save]) -> None:
    """Save a Booster or an estimator to a new folder."""
    public.save(NAME, xgb_model, path, options)


def log_model(
    xgb_model: Any,
    artifact_path: str | None = None,
    *,
    name: str | None = None,
    **options: Unpack[Log],
) -> ModelInfo:
    """Log a Booster or an estimator to a run, by default the active one, at the path `name`."""
    return public.log(NAME, xgb_model, name or artifact_path, options)


def load_model(
    model_uri: str | Path, dst_path: str | Path | None = None, *, allow_code: bool = False
) -> Any:
    """The Booster or estimator of a model, from a run, the registry or a folder."""
    return public.load(NAME, model_uri, dst_path, allow_code=allow_code)
