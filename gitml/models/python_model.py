"""Models written by the user: `PythonModel`, its context, and functions as models.

These classes travel inside a model's pickle, so that it can be loaded without gitml: by MLflow,
or in an environment of its own. Nothing here may name anything but the standard library when it
is called there.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

FROM_CODE = (
    "models that are Python files, which are run to make them, are not there; pass an instance of"
    " the model's class as python_model instead"
)


def given_objects(predict: Callable[..., Any]) -> Callable[..., Any]:
    """`predict`, given the objects of pydantic that its hint names, whoever calls it.

    MLflow leaves that to the model. The hint is kept as it is now: what it names may be unknown
    where the model is loaded. Without such a hint it is `predict` itself.
    """
    from gitml.models.hints import input_name, item_hint, names_pydantic

    item = item_hint(predict)
    if not names_pydantic(item):
        return predict
    name = input_name(predict)
    hint = list[item]  # type: ignore[valid-type]
    place = list(inspect.signature(predict).parameters).index(name)

    @functools.wraps(predict)
    def given(*args: Any, **more: Any) -> Any:
        if name in more:
            more[name] = _objects(more[name], hint)
        elif len(args) > place:
            args = (*args[:place], _objects(args[place], hint), *args[place + 1 :])
        return predict(*args, **more)

    given.__annotations__ = {**given.__annotations__, name: hint}
    return given


def _objects(data: Any, hint: Any) -> Any:
    """A list of what `hint` says, of dictionaries, objects or the rows of a DataFrame."""
    from pydantic import TypeAdapter  # is there, as the hint is

    if hasattr(data, "iloc"):
        whole = data.columns.tolist() == [0]
        data = data.iloc[:, 0].tolist() if whole else data.to_dict("records")
    return TypeAdapter(hint).validate_python(data, strict=True)


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

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        predict = vars(cls).get("predict")  # none yet where a pickle makes the class again
        if inspect.isfunction(predict):
            cls.predict = given_objects(predict)  # type: ignore[method-assign]

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
