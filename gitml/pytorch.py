"""PyTorch, as in MLflow's `mlflow.pytorch`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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

NAME = "pytorch"


class Save(SaveOptions, total=False):
    """What only PyTorch's models are saved with.

    `serialization_format` is pickle, pt2 (a program exported with the `input_example`, which
    `export_model` means, too) or safetensors, which alone is loaded from anywhere without a
    permission. With `model_kwargs` such a model is made again by its class, called with them.
    `pickle_module` is by default cloudpickle; `extra_files` travel with the model.
    """

    serialization_format: str | None
    export_model: bool
    model_kwargs: Mapping[str, Any] | None
    pickle_module: Any
    extra_files: Iterable[str | Path] | None


class Log(Save, LogOptions, total=False):
    """The same, for logging."""


def save_model(pytorch_model: Any, path: str | Path, **options: Unpack[Save]) -> None:
    """Save a torch.nn.Module, or a scripted one, to a new folder."""
    public.save(NAME, pytorch_model, path, _plain(options))


def log_model(
    pytorch_model: Any,
    artifact_path: str | None = None,
    *,
    name: str | None = None,
    **options: Unpack[Log],
) -> ModelInfo:
    """Log a module to a run, by default the active one, at the path `name`."""
    return public.log(NAME, pytorch_model, name or artifact_path, _plain(options))


def load_model(
    model_uri: str | Path,
    dst_path: str | Path | None = None,
    *,
    allow_code: bool = False,
    device: str | None = None,
    model: Any = None,
    **kwargs: Any,
) -> Any:
    """The module of a model, from a run, the registry or a folder, set to evaluate.

    `model` is a new module that takes the tensors of a safetensors model; `kwargs` are those of
    `torch.load`.
    """
    options = {"device": device, "model": model, "torch": kwargs}
    return public.load(NAME, model_uri, dst_path, options, allow_code=allow_code)


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with an input example that is a tensor as an array."""
    given: Any = options.get("input_example")
    if hasattr(given, "detach"):
        return {**options, "input_example": given.detach().cpu().numpy()}
    return dict(options)


def autolog(
    log_every_n_epoch: int = 1,
    log_every_n_step: int | None = None,
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    registered_model_name: str | None = None,
    extra_tags: Mapping[str, str] | None = None,
    log_model_signatures: bool = True,
) -> None:
    """Log params, metrics and the model of every `Trainer.fit` of PyTorch Lightning.

    Metrics are logged every `log_every_n_epoch` epochs, and those of steps every
    `log_every_n_step` steps.
    """
    if disable:
        turn_off(NAME)
        return
    more = {
        "log_every_n_epoch": log_every_n_epoch,
        "log_every_n_step": log_every_n_step,
        "registered_model_name": registered_model_name,
    }
    options = AutologOptions(
        False, log_model_signatures, log_models, log_datasets, exclusive, silent,
        dict(extra_tags or {}), more,
    )  # fmt: skip
    turn_on(NAME, options, own=True)
