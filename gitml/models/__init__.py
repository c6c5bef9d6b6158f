"""Models: the MLmodel format, signatures, flavors and serving.

The names that MLflow has in `mlflow.models` are loaded at their first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gitml.models.signature import ModelSignature, infer_signature

_HOMES = {
    "ModelSignature": "gitml.models.signature",
    "infer_signature": "gitml.models.signature",
}

__all__ = ["ModelSignature", "infer_signature"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gitml.models' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
