"""Models written by the user: `PythonModel`, its context, and functions as models.

These classes travel inside a model's pickle, so that it can be loaded without gitml: by MLflow,
or in an environment of its own. Nothing here may name anything but the standard library.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

FROM_CODE = (
    "models that are Python files, which are run to make them, are not there; pass an instance of"
    " the model's class as python_model instead"
)


class PythonModelContext:
    """What a PythonModel may use: `artifacts`, name to path, and `model_config`."""

    def __init__(
        self, artifacts: Mapping[str, str], model_config: Mapping[str, Any] | None = None
    ) -> None:
        self.artifacts = artifacts
        self.model_config = model_config or {}


class PythonModel:
    """Base of models of your own: write `predict(self, context, model_input, params=None)`.

    `context` may be left out of it. `load_context(self, context)` is called once after loading.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load what `predict` needs, such as files of `context.artifacts`."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """The predictions for `model_input`."""
        raise NotImplementedError(f"{type(self).__name__} has no predict")

    @property
    def predict_type_hints(self) -> Any:
        """What MLflow asks of a model: the hints of its input and output, here none."""
        return _NoHints()


class FunctionModel(PythonModel):
    """A plain function as a model."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func  # MLflow's name for it

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """The function's result."""
        if "params" in inspect.signature(self.func).parameters:
            return self.func(model_input, params=params)
        return self.func(model_input)


class _NoHints:
    input = None
    output = None
