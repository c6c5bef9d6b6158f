"""What the public modules of the flavors share: options are checked, and the flavor is found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from gitml.models import flavor as flavors
from gitml.models import load as loading
from gitml.models import log as logging
from gitml.models import options as allowed
from gitml.models import saving
from gitml.models.mlmodel import ModelInfo
from gitml.models.options import SaveOptions


def save(name: str, model: Any, path: str | Path, options: Mapping[str, Any]) -> None:
    """Save a model of the flavor `name`; UsageError for an option that it does not have."""
    flavor = flavors.flavor(name)
    common, own = allowed.split("save_model", options, flavor.OPTIONS)
    saving.save(flavor, model, path, cast(SaveOptions, common), own)


def log(name: str, model: Any, path: str | None, options: Mapping[str, Any]) -> ModelInfo:
    """Log a model of the flavor `name`."""
    flavor = flavors.flavor(name)
    common, own = allowed.split("log_model", options, flavor.OPTIONS)
    return logging.log_model(flavor, model, path, common, own)


def load(
    name: str,
    uri: str | Path,
    dst_path: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    allow_code: bool = False,
) -> Any:
    """The object of the flavor `name` that a model holds."""
    return loading.native(name, uri, options or {}, allow_code=allow_code, dst_path=dst_path)
