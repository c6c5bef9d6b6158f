"""PyTorch, as in MLflow's `mlflow.pytorch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitml.models import public
from gitml.models.mlmodel import ModelInfo
from gitml.models.options import LogOptions, SaveOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["load_model", "log_model", "save_model"]

NAME = "pytorch"


class Save(SaveOptions, total=False):
    """What only PyTorch's models are saved with.

    `serialization_format` is pickle (a TorchScript module is written as such), pt2 or safetensors,
    which are weights alone. `export_example` are the tensors with which pt2 is traced.
    """

    serialization_format: str
    export_example: Any


class Log(Save, LogOptions, total=False):
    """The same, for logging."""


def save_model(pytorch_model: Any, path: str | Path, **options: Unpack[Save]) -> None:
    """Save a torch.nn.Module to a new folder."""
    public.save(NAME, pytorch_model, path, options)


def log_model(
    pytorch_model: Any,
    artifact_path: str | None = None,
    *,
    name: str | None = None,
    **options: Unpack[Log],
) -> ModelInfo:
    """Log a torch.nn.Module to a run, by default the active one, at the path `name`."""
    return public.log(NAME, pytorch_model, name or artifact_path, options)


def load_model(
    model_uri: str | Path,
    dst_path: str | Path | None = None,
    *,
    device: Any = None,
    model: Any = None,
    allow_code: bool = False,
) -> Any:
    """The module of a model, from a run, the registry or a folder, in its mode for predictions.

    `device` is where it goes, by default the CPU. `model` is the module to fill where the model is
    weights alone.
    """
    options = {"device": device, "model": model}
    return public.load(NAME, model_uri, dst_path, options, allow_code=allow_code)
