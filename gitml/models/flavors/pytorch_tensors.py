"""A PyTorch module as its tensors in safetensors, and, if it is told, how to make it again."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitml.errors import FormatError, UsageError, shown
from gitml.models.flavor import need

_EXTRA = "pytorch"


def write_tensors(model: Any, path: Path, kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Write a module's tensors; what MLmodel says of its class when its `kwargs` are given."""
    need("safetensors.torch", _EXTRA).save_model(model, str(path))
    if kwargs is None:
        return {}
    kind = type(model)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__ == "__main__" or "<" in name:
        raise UsageError(
            f"model_kwargs: the class {shown(name)} can't be imported where the model is loaded;"
            " move it to the top of a module, or leave them out and load with model="
        )
    return {"model_class": name, "model_kwargs": dict(kwargs)}


def read_tensors(path: Path, conf: Mapping[str, Any], model: Any = None) -> Any:
    """The tensors, in `model`, or else in a new module of the class that MLmodel names."""
    safetensors = need("safetensors.torch", _EXTRA)
    module = _made(conf) if model is None else model
    try:
        safetensors.load_model(module, str(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise FormatError(
            f"the tensors do not fit a {type(module).__name__}: {shown(reason)}"
        ) from None
    return module


def _made(conf: Mapping[str, Any]) -> Any:
    import torch

    if conf.get("model_class") is None:
        raise UsageError(
            "the model is its tensors only; load it with model=, a new module that takes them"
        )
    module, _, name = str(conf["model_class"]).rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise UsageError(f"the model's class is in {shown(module)}: {error}") from None
    if not isinstance(kind, type) or not issubclass(kind, torch.nn.Module):
        raise FormatError(f"MLmodel: {shown(conf['model_class'])} is no torch.nn.Module")
    return kind(**(conf.get("model_kwargs") or {}))
