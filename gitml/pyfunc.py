"""Models that are Python functions, as in MLflow's `mlflow.pyfunc`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitml.models import public
from gitml.models.mlmodel import ModelInfo
from gitml.models.options import LogOptions, SaveOptions
from gitml.models.pyfunc import PyFuncModel, load_model
from gitml.models.python_model import PythonModel, PythonModelContext

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "PyFuncModel",
    "PythonModel",
    "PythonModelContext",
    "load_model",
    "log_model",
    "save_model",
]

NAME = "python_function"


def save_model(
    path: str | Path,
    *,
    python_model: Any,
    artifacts: dict[str, str] | None = None,
    model_config: dict[str, Any] | None = None,
    **options: Unpack[SaveOptions],
) -> None:
    """Save a PythonModel, or a function `f(model_input)`, to a new folder.

    `artifacts` are files that it uses: a name and a path or runs:/ URI for each.
    """
    own = {"artifacts": artifacts, "model_config": model_config}
    public.save(NAME, python_model, path, {**own, **options})


def log_model(
    artifact_path: str | None = None,
    *,
    python_model: Any,
    name: str | None = None,
    artifacts: dict[str, str] | None = None,
    model_config: dict[str, Any] | None = None,
    **options: Unpack[LogOptions],
) -> ModelInfo:
    """Log a PythonModel, or a function, to a run at the path `name` of its artifacts."""
    own = {"artifacts": artifacts, "model_config": model_config}
    return public.log(NAME, python_model, name or artifact_path, {**own, **options})
