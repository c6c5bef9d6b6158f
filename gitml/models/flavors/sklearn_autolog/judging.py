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
from gitml.models.flavors.sklearn_autolog.verdicts import (
    Prediction,
    log_data_of_live_run,
    log_metric,
)
from gitml.tracking.autolog import on_import

_PREDICTING = ("predict", "predict_proba", "predict_log_proba", "decision_function")

Args = tuple[Any, ...]
Kwargs = dict[str, Any]

_models = Notes()  # fitted estimator -> Judged
_predictions = Notes()  # what it predicted -> Prediction


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
        known = _prediction(judged, args, kwargs)
        _predictions.put(result, known)
        log_data_of_live_run(known)
    return result


def _score(bound: Callable[..., Any], model: Any, args: Args, kwargs: Kwargs) -> Any:
    """Score as asked; the score of a model whose fit was logged is logged."""
    judged = _judged(model)
    if judged is None:
        return bound(*args, **kwargs)
    with patches.inside():
        value = bound(*args, **kwargs)
    with judged.training.quietly():
        kind, asked = type(model).__name__, _prediction(judged, args, kwargs)
        text = evaluation.call_text(bound, f"{kind}.", args, kwargs, sys._getframe())
        _log_metric(asked, f"{kind}_score", value, text)
    return value


def _metric(original: Callable[..., Any], args: Args, kwargs: Kwargs) -> Any:
    """Compute a metric as asked; one of a known prediction is logged."""
    if patches.is_inside():
        return original(*args, **kwargs)
    with patches.inside():
        value = original(*args, **kwargs)
    notes = (_predictions.get(item) for item in (*args, *kwargs.values()))
    known: Prediction | None = next((note for note in notes if note is not None), None)
    if known is not None and known.judged.training.on:
        with known.judged.training.quietly():
            text = evaluation.call_text(original, "", args, kwargs, sys._getframe())
            _log_metric(known, original.__name__, value, text)
    return value


def _log_metric(known: Prediction, metric: str, value: Any, text: str) -> None:
    if evaluation.is_loggable(value):
        log_metric(known, metric, value, text)


def _prediction(judged: Judged, args: Args, kwargs: Mapping[str, Any]) -> Prediction:
    """What a model was asked: the data are the first argument."""
    data = args[0] if args else next(iter(kwargs.values()), None)
    variable = evaluation.variable_of(data, sys._getframe()) or evaluation.UNKNOWN
    return Prediction(judged, judged.dataset_name(data, variable), data)
