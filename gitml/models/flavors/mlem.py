"""The MLEM flavor: a model of MLEM as it is, which MLEM itself loads and runs.

Loading can run code: MLEM unpickles, and imports what its metadata name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitml import files
from gitml.errors import FormatError, UsageError, shown
from gitml.models.flavor import Predict, Saved, need
from gitml.models.mlem import metadata, pins, settings

NAME = "mlem"
LOADER = "gitml.mlem"  # MLflow knows no models of MLEM
EXTRA = "mlem"
OPTIONS: tuple[str, ...] = ()

_FOLDER = "mlem"


def save(model: Any, folder: Path, options: Mapping[str, Any]) -> Saved:
    """Copy a model that MLEM saved: `model` is the path of its `.mlem` file, or its metadata."""
    found = model if isinstance(model, metadata.Metadata) else metadata.read(Path(model))
    for source, name in found.files():
        target = folder / _FOLDER / name
        target.parent.mkdir(parents=True, exist_ok=True)
        files.copy(source, target)
        target.chmod(0o644)
    data = f"{_FOLDER}/{found.path.name}"
    conf = {"data": data, "mlem_version": pins.VERSION, "model_type": found.kind}
    pyfunc = {"data": data, "predict_fn": found.method} if found.method else None
    return Saved(conf, pyfunc)


def load(folder: Path, conf: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """MLEM's object of the model, its value loaded. What it names is checked first."""
    found = metadata.read(folder / str(conf["data"]))
    for variable, value in settings.VARIABLES.items():
        os.environ.setdefault(variable, value)
    try:
        api = need("mlem.api", EXTRA)
    except UsageError as error:
        raise UsageError(f"{error}, or use --env-manager uv") from None
    return api.load_meta(str(found.path), load_value=True)


def predictor(model: Any, conf: Mapping[str, Any]) -> Predict:
    """Its predict, or the only method that it has."""
    name = str(conf.get("predict_fn") or "predict")
    if name not in model.call_orders:
        raise FormatError(f"the model has no method {shown(name)}, its predict_fn")
    method = model if name == "__call__" else getattr(model, name)
    return lambda data, params: method(data)
