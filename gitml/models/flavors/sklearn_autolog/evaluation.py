"""How a fitted model was judged: metrics of sklearn.metrics on its predictions, and its score.

They are logged to the run of the fit as `<metric>[-<call>]_<variable>`, where the variable is the
one that held the data of `model.predict(...)` or `model.score(...)`. What was called for each is
told by the artifact metric_info.json, all of it as in MLflow.
"""

from __future__ import annotations

import contextlib
import inspect
import numbers
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from gitml.tracking.autolog import AutologOptions, quietly

INFO = "metric_info.json"
UNKNOWN = "unknown_dataset"
_MAX_TEXT = 32  # characters of a text argument that a call is told with
_OURS = ("gitml.", "sklearn.", "xgboost.", "lightgbm.")


class Notes:
    """Values noted beside objects that live: found by identity, gone with the object."""

    def __init__(self) -> None:
        self._notes: dict[int, tuple[weakref.ref[Any], Any]] = {}

    def put(self, item: Any, value: Any) -> None:
        """Note `value` beside `item`; nothing is noted beside a list or a number."""
        key, notes = id(item), self._notes
        try:
            notes[key] = (weakref.ref(item, lambda _: notes.pop(key, None)), value)
        except TypeError:
            pass

    def get(self, item: Any) -> Any:
        """What is noted beside `item`, or None."""
        reference, value = self._notes.get(id(item), (None, None))
        return value if reference is not None and reference() is item else None


@dataclass(slots=True)
class Logged:
    """The automatic logging of a framework, which is `on` until its hooks are taken out."""

    name: str
    options: AutologOptions
    on: bool = True

    def quietly(self) -> contextlib.AbstractContextManager[None]:
        """Keep every failure in the block from the training."""
        return quietly(self.name, self.options)


@dataclass(slots=True)
class Judged:
    """What was logged about the model of one run: the names of data and metrics so far."""

    run_id: str
    training: Logged
    datasets: dict[str, list[int]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    inputs: Notes = field(default_factory=Notes)  # the data that are inputs of the run already
    info: dict[str, str] = field(default_factory=dict)  # metric -> the call that it came of

    def dataset_name(self, data: Any, variable: str) -> str:
        """The name of data: its variable's, numbered from the second that is called the same."""
        same = self.datasets.setdefault(variable, [])
        if id(data) not in same:
            same.append(id(data))
        return _numbered(variable, same.index(id(data)) + 1)

    def metric_name(self, metric: str, dataset: str) -> str:
        """The name of a metric of data, numbered from the second call of the metric on."""
        call = self.calls[metric] = self.calls.get(metric, 0) + 1
        return f"{_numbered(metric, call)}_{dataset}"


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def call_text(
    function: Callable[..., Any], of: str, args: Iterable[Any], kwargs: Mapping[str, Any],
    frame: FrameType | None,
) -> str:  # fmt: skip
    """A call as metric_info.json has it: plain values as they are, others by their variables.

    `function` has no `self` any more; `of` is what stands before its name, such as `Ridge.`.
    """
    given = [*zip(inspect.signature(function).parameters, args, strict=False), *kwargs.items()]
    told = (f"{name}={_argument(value, frame)}" for name, value in given)
    return f"{of}{function.__name__}({', '.join(told)})"


def _argument(value: Any, frame: FrameType | None) -> str:
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        return repr(value[:_MAX_TEXT] + "...")
    if value is None or isinstance(value, (str, bytes, numbers.Number)):
        return repr(value)
    return variable_of(value, frame) or f"<{type(value).__name__}>"


def variable_of(value: Any, frame: FrameType | None) -> str | None:
    """What the user's code calls `value`: the variable in the outermost frame that was given it."""
    found = None
    while frame is not None:
        if not frame.f_globals.get("__name__", "").startswith(_OURS):
            name = _variable(value, frame)
            if name is None:
                break
            found = name
            if name not in _parameters(frame):
                break
        frame = frame.f_back
    return found


def _variable(value: Any, frame: FrameType) -> str | None:
    names = (name for name, held in list(frame.f_locals.items()) if held is value)
    return next((name for name in names if not name.startswith("_")), None)


def _parameters(frame: FrameType) -> Iterable[str]:
    code = frame.f_code
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def metric_functions(module: Any) -> list[str]:
    """The names of the metrics that sklearn.metrics offers."""
    helpers = ("check_scoring", "get_scorer", "get_scorer_names", "make_scorer")
    return [
        name
        for name in module.__all__
        if name not in helpers and not isinstance(getattr(module, name), type)
    ]


def is_loggable(value: Any) -> bool:
    """Whether what a metric returned is one number."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
