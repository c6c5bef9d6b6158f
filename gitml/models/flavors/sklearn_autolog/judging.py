"""Listening to how fitted models are judged: predictions, scores and metrics of sklearn.metrics.

One set of hooks serves all frameworks that have estimators like scikit-learn's: a metric is logged
once, to the run of the fit, whichever of them are logged automatically.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gitml.models.flavors.sklearn_autolog import evaluation, patches
from gitml.models.flavors.sklearn_autolog.evaluation import Judged, Notes
from gitml.tracking.autolog import on_import

_PREDICTING = ("predict", "predict_proba", "predict_log_proba", "decision_function")

Args = tuple[Any, ...]
Kwargs = dict[str, Any]

_models = Notes()  # fitted estimator -> Judged
_predictions = Notes()  # what it predicted -> (Judged, name of the data)


def fitted(model: Any, judged: Judged) -> None:
    """Log from now on how `model` is judged."""
    _models.put(model, judged)


# -- who listens ---------------------------------------------------------------------------


@dataclass(slots=True)
class _Listeners:
    count: int = 0
    hooks: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)


_listeners = _Listeners()


def listen() -> patches.Undo:
    """Hook scikit-learn, now or when it is imported, until the last who listens undoes it."""
    _listeners.count += 1
    if _listeners.count == 1:
        hooks = _listeners.hooks = contextlib.ExitStack()
        on_import("sklearn.base", lambda: _hook_estimators(hooks))
        on_import("sklearn.metrics", lambda: _hook_metrics(hooks))
    return _stop


def _stop() -> None:
    _listeners.count -= 1
    if not _listeners.count:
        _listeners.hooks.close()


def _waited_for(hooks: contextlib.ExitStack) -> bool:
    return _listeners.count > 0 and _listeners.hooks is hooks


def _hook_estimators(hooks: contextlib.ExitStack) -> None:
    if _waited_for(hooks):
        base = sys.modules["sklearn.base"].BaseEstimator
        hooks.callback(patches.patch_classes(base, "sklearn", around()))


def _hook_metrics(hooks: contextlib.ExitStack) -> None:
    if _waited_for(hooks):
        metrics = sys.modules["sklearn.metrics"]
        names = evaluation.metric_functions(metrics)
        hooks.callback(patches.patch_functions(metrics, names, _metric))


def around() -> dict[str, patches.Around]:
    """What is done around the methods of an estimator that judge it."""
    return {**dict.fromkeys(_PREDICTING, _predict), "score": _score}


# -- what they hear ------------------------------------------------------------------------


def _judged(model: Any) -> Judged | None:
    judged: Judged | None = None if patches.is_inside() else _models.get(model)
    return judged if judged is not None and judged.training.on else None


def _predict(bound: Callable[..., Any], model: Any, args: Args, kwargs: Kwargs) -> Any:
    """Predict as asked; the result is known as this model's, should a metric be given it."""
    judged = _judged(model)
    if judged is None:
        return bound(*args, **kwargs)
    with patches.inside():
        result = bound(*args, **kwargs)
    with judged.training.quietly():
        _predictions.put(result, (judged, _dataset(judged, args, kwargs)))
    return result


def _score(bound: Callable[..., Any], model: Any, args: Args, kwargs: Kwargs) -> Any:
    """Score as asked; the score of a model whose fit was logged is logged."""
    judged = _judged(model)
    if judged is None:
        return bound(*args, **kwargs)
    with patches.inside():
        value = bound(*args, **kwargs)
    with judged.training.quietly():
        name = f"{type(model).__name__}_score"
        _log_metric(judged, name, _dataset(judged, args, kwargs), value)
    return value


def _metric(original: Callable[..., Any], args: Args, kwargs: Kwargs) -> Any:
    """Compute a metric as asked; one of a known prediction is logged."""
    if patches.is_inside():
        return original(*args, **kwargs)
    with patches.inside():
        value = original(*args, **kwargs)
    known = (_predictions.get(item) for item in (*args, *kwargs.values()))
    judged, dataset = next((note for note in known if note is not None), (None, ""))
    if judged is not None and judged.training.on:
        with judged.training.quietly():
            _log_metric(judged, original.__name__, dataset, value)
    return value


def _log_metric(judged: Judged, metric: str, dataset: str, value: Any) -> None:
    from gitml.tracking import fluent

    if evaluation.is_loggable(value):
        name = judged.metric_name(metric, dataset)
        fluent.log_metric(name, value, run_id=judged.run_id)


def _dataset(judged: Judged, args: Args, kwargs: Mapping[str, Any]) -> str:
    """The name of the data that a model was asked about: the first argument's."""
    data = args[0] if args else next(iter(kwargs.values()), None)
    return judged.dataset_name(data, evaluation.variable_of(data, sys._getframe()))
