"""Tracking: runs and experiments. MLflow's names are here too, loaded at their first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gitml.registry.client import MlflowClient
    from gitml.tracking.fluent.place import (
        get_registry_uri,
        get_tracking_uri,
        is_tracking_uri_set,
        set_registry_uri,
        set_tracking_uri,
    )

_HOMES = {
    "MlflowClient": "gitml.registry.client",  # it stands on tracking
    **dict.fromkeys(
        """get_registry_uri get_tracking_uri is_tracking_uri_set set_registry_uri
        set_tracking_uri""".split(),
        "gitml.tracking.fluent.place",
    ),
}

__all__ = [
    "MlflowClient",
    "get_registry_uri",
    "get_tracking_uri",
    "is_tracking_uri_set",
    "set_registry_uri",
    "set_tracking_uri",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in ("client", "fluent"):
        return importlib.import_module(f"gitml.tracking.{name}")
    raise AttributeError(f"module 'gitml.tracking' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
