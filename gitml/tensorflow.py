"""Keras models as MLflow's `mlflow.tensorflow` has them; TensorFlow need not be installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitml import keras
from gitml.models import public
from gitml.models.mlmodel import ModelInfo
from gitml.models.options import LogOptions, SaveOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["autolog", "load_model", "log_model", "save_model"]

NAME = "tensorflow"

autolog = keras.autolog


class Save(SaveOptions, total=False):
    """What only models of this flavor are saved with.

    `custom_objects`, classes and functions by name, are pickled beside the model. Options of
    `model.save` are `keras_model_kwargs`; `extra_files` travel with the model.
    """

    custom_objects: Mapping[str, Any] | None
    keras_model_kwargs: Mapping[str, Any] | None
    extra_files: Iterable[str | Path] | None


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
    keras_model_kwargs: Mapping[str, Any] | None = None,
    *,
    custom_objects: Mapping[str, Any] | None = None,
    allow_code: bool = False,
) -> Any:
    """The keras.Model of a model, from a run, the registry or a folder."""
    options = {"custom_objects": custom_objects, "keras_model_kwargs": keras_model_kwargs}
    return public.load(NAME, model_uri, dst_path, options, allow_code=allow_code)
