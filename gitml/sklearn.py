"""scikit-learn, as in MLflow's `mlflow.sklearn`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitml.models import autolog as _integrations  # noqa: F401 - makes them known
from gitml.tracking.autolog import AutologOptions, turn_off, turn_on

__all__ = ["autolog"]


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
