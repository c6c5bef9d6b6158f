"""scikit-learn, as in MLflow's `mlflow.sklearn`."""

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

NAME = "sklearn"


class Save(SaveOptions, total=False):
    """What only scikit-learn's models are saved with.

    `serialization_format` is cloudpickle, pickle or skops. Of skops, a model whose types skops
    trusts is loaded from anywhere without a permission; it does not trust trees and forests.
    `pyfunc_predict_fn` is the method that predicts, such as predict_proba.
    """

    serialization_format: str | None
    pyfunc_predict_fn: str
    skops_trusted_types: Sequence[str] | None


class Log(Save, LogOptions, total=False):
    """The same, for logging."""


def save_model(sk_model: Any, path: str | Path, **options: Unpack[Save]) -> None:
    """Save an estimator to a new folder."""
    public.save(NAME, sk_model, path, options)


def log_model(
    sk_model: Any,
    artifact_path: str | None = None,
    *,
    name: str | None = None,
    **options: Unpack[Log],
) -> ModelInfo:
    """Log an estimator to a run, by default the active one, at the path `name`."""
    return public.log(NAME, sk_model, name or artifact_path, options)


def load_model(
    model_uri: str | Path, dst_path: str | Path | None = None, *, allow_code: bool = False
) -> Any:
    """The estimator of a model, from a run, the registry or a folder."""
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
    max_tuning_runs: int | None = 5,
    log_post_training_metrics: bool = True,
    serialization_format: str | None = None,
    registered_model_name: str | None = None,
    pos_label: Any = None,
    extra_tags: Mapping[str, str] | None = None,
) -> None:
    """Log params, metrics, data and models of every outermost `fit` of scikit-learn.

    Also logged: metrics that `sklearn.metrics` computes on a fitted model's predictions, its
    `score`, and the best `max_tuning_runs` candidates of a search as child runs (None: all).
    Call it before importing functions from `sklearn.metrics`.
    """
    if disable:
        turn_off("sklearn")
        return
    more = {
        "max_tuning_runs": max_tuning_runs,
        "log_post_training_metrics": log_post_training_metrics,
        "serialization_format": serialization_format,
        "registered_model_name": registered_model_name,
        "pos_label": pos_label,
    }
    options = AutologOptions(
        log_input_examples, log_model_signatures, log_models, log_datasets, exclusive, silent,
        dict(extra_tags or {}), more,
    )  # fmt: skip
    turn_on("sklearn", options, own=True)
