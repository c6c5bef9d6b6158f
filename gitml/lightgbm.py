"""LightGBM, as in MLflow's `mlflow.lightgbm`."""

from __future__ import annotations

from collections.abc import Mapping
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


def autolog(
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    registered_model_name: str | None = None,
    extra_tags: Mapping[str, str] | None = None,
) -> None:
    """Log params, metrics of every round, feature importance, data and models of LightGBM.

    Both `lightgbm.train` and the `fit` of estimators are logged, with the metrics that
    `sklearn.metrics` computes on a fitted estimator's predictions.
    """
    if disable:
        turn_off("lightgbm")
        return
    more = {"registered_model_name": registered_model_name}
    options = AutologOptions(
        log_input_examples, log_model_signatures, log_models, log_datasets, exclusive, silent,
        dict(extra_tags or {}), more,
    )  # fmt: skip
    turn_on("lightgbm", options, own=True)
