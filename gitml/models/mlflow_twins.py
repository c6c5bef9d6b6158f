"""Stand-ins for what a model that MLflow pickled names of MLflow, where MLflow is not installed.

MLflow wraps a model's predict so that its input is checked against type hints. The wrapper travels
with the model; what it calls is named, and found here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitml.errors import GitmlError
from gitml.models.python_model import FunctionModel, PythonModel, PythonModelContext


class _Fields:
    """A record of MLflow's, with the fields that its pickle gives it."""

    _names = ("input", "output")

    def __new__(cls, *values: Any, **more: Any) -> Any:  # as a pickle makes a named tuple
        made = super().__new__(cls)
        made.__dict__.update(dict(zip(cls._names, values, strict=False)), **more)
        return made


class _FuncInfo(_Fields):
    _names = ("input_type_hint", "input_param_name")


def _as_given(args: Any, kwargs: Any, *_: Any) -> tuple[Any, Any]:
    """The arguments of a call, unchecked."""
    return args, kwargs


TWINS: Mapping[tuple[str, str], Any] = {
    ("mlflow.exceptions", "MlflowException"): GitmlError,
    ("mlflow.models.signature", "_TypeHints"): _Fields,
    ("mlflow.pyfunc.model", "PythonModel"): PythonModel,
    ("mlflow.pyfunc.model", "PythonModelContext"): PythonModelContext,
    ("mlflow.pyfunc.model", "_FunctionPythonModel"): FunctionModel,
    ("mlflow.pyfunc.utils.data_validation", "FuncInfo"): _FuncInfo,
    ("mlflow.pyfunc.utils.data_validation", "_validate_model_input"): _as_given,
}
