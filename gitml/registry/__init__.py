"""The model registry: versions are tags, decisions are files that are reviewed.

A version is an annotated tag `NAME@v1.2.3` on the commit of the run that made the model; what was
decided about a model, such as its stages and aliases, is in `registry/NAME.yaml`. The functions
here are loaded at their first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gitml.registry.entities import ModelVersion, RegisteredModel
    from gitml.registry.fluent import (
        promote,
        register_model,
        rollback,
        search_model_versions,
        search_registered_models,
    )

_HOMES = {
    "ModelVersion": "gitml.registry.entities",
    "RegisteredModel": "gitml.registry.entities",
    "promote": "gitml.registry.fluent",
    "register_model": "gitml.registry.fluent",
    "rollback": "gitml.registry.fluent",
    "search_model_versions": "gitml.registry.fluent",
    "search_registered_models": "gitml.registry.fluent",
}

__all__ = [
    "ModelVersion",
    "RegisteredModel",
    "promote",
    "register_model",
    "rollback",
    "search_model_versions",
    "search_registered_models",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gitml.registry' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
