"""Keras 3, as in MLflow's `mlflow.keras`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitml.errors import UsageError
from gitml.models import autolog as _integrations  # noqa: F401 - makes them known
from gitml.models import public
from gitml.models.mlmodel import ModelInfo
from gitml.models.options import LogOptions, SaveOptions
from gitml.tracking.autolog import AutologOptions, turn_off, turn_on

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["MlflowCallback", "autolog", "load_model", "log_model", "save_model"]

NAME = "keras"


class Save(SaveOptions, total=False):
    """What only Keras' models are saved with.

    `save_model_kwargs` are those of `model.save`. `save_exported_model` is MLflow's, and refused.
    """

    save_model_kwargs: Mapping[str, Any] | None
    save_exported_model: bool


class Log(Save, LogOptions, total=False):
    """The same, for logging."""


def save_model(model: Any, path: str | Path, **options: Unpack[Save]) -> None:
    """Save a keras.Model to a new folder."""
    public.save(NAME, model, path, options)


def log_model(
    model: Any,
    artifact_path: str | None = None,
    *,
    name: str | None = None,
    **options: Unpack[Log],
) -> ModelInfo:
    """Log a keras.Model to a run, by default the active one, at the path `name`."""
    return public.log(NAME, model, name or artifact_path, options)


def load_model(
    model_uri: str | Path,
    dst_path: str | Path | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    load_model_kwargs: Mapping[str, Any] | None = None,
    *,
    allow_code: bool = False,
) -> Any:
    """The keras.Model of a model, from a run, the registry or a folder.

    `custom_objects` are classes and functions by the names that the model has for them.
    """
    options = {"custom_objects": custom_objects, "load_model_kwargs": load_model_kwargs}
    return public.load(NAME, model_uri, dst_path, options, allow_code=allow_code)


def autolog(
    log_every_epoch: bool = True,
    log_every_n_steps: int | None = None,
    log_models: bool = True,
    log_model_signatures: bool = True,
    log_datasets: bool = True,
    log_input_examples: bool = False,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    registered_model_name: str | None = None,
    save_model_kwargs: Mapping[str, Any] | None = None,
    extra_tags: Mapping[str, str] | None = None,
) -> None:
    """Log params, metrics of epochs (or of every n steps), data and the model of every `fit`."""
    if disable:
        turn_off(NAME)
        return
    more = {
        "log_every_n_steps": _every(log_every_epoch, log_every_n_steps),
        "registered_model_name": registered_model_name,
        "save_model_kwargs": save_model_kwargs,
    }
    options = AutologOptions(
        log_input_examples, log_model_signatures, log_models, log_datasets, exclusive, silent,
        dict(extra_tags or {}), more,
    )  # fmt: skip
    turn_on(NAME, options, own=True)


def MlflowCallback(  # noqa: N802 - MLflow's name, of a class there
    log_every_epoch: bool = True,
    log_every_n_steps: int | None = None,
    model_id: str | None = None,
) -> Any:
    """A callback for `fit` that logs to the active run, for those who do without `autolog`."""
    from gitml.models.flavors.keras_autolog import callback

    return callback(None, AutologOptions(), _every(log_every_epoch, log_every_n_steps))


def _every(log_every_epoch: bool, log_every_n_steps: int | None) -> int | None:
    if log_every_epoch and log_every_n_steps is not None:
        raise UsageError("log_every_n_steps needs log_every_epoch=False")
    if not log_every_epoch and log_every_n_steps is None:
        raise UsageError("log_every_epoch=False needs log_every_n_steps")
    return log_every_n_steps
