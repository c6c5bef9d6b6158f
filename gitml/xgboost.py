"""XGBoost, as in MLflow's `mlflow.xgboost`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitml.models import autolog as _integrations  # noqa: F401 - makes them known
from gitml.models import public
from gitml.models.mlmodel import ModelInfo
from gitml.models.options import LogOptions, SaveOptions
from gitml.tracking.autolog import AutologOptions, turn_off, turn_on

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["autolog", "load_model", "log_model", "save_model"]

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


def autolog(
    importance_types: Sequence[str] | None = None,
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    registered_model_name: str | None = None,
    model_format: str = "ubj",
    extra_tags: Mapping[str, str] | None = None,
) -> None:
    """Log params, metrics of every round, feature importance, data and models of XGBoost.

    Both `xgboost.train` and the `fit` of estimators are logged, with the metrics that
    `sklearn.metrics` computes on a fitted estimator's predictions.
    `importance_types` are XGBoost's, by default the weight; `model_format` is ubj or json.
    """
    if disable:
        turn_off("xgboost")
        return
    more = {
        "importance_types": importance_types,
        "registered_model_name": registered_model_name,
        "model_format": model_format,
    }
    options = AutologOptions(
        log_input_examples, log_model_signatures, log_models, log_datasets, exclusive, silent,
        dict(extra_tags or {}), more,
    )  # fmt: skip
    turn_on("xgboost", options, own=True)
