"""What one fit comes to: params, tags, data and metrics on the training data."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PREFIX = "training_"
CONTEXT = "train"

Attempt = Callable[[], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Data:
    """What a fit was given."""

    inputs: Any = None
    targets: Any = None
    weights: Any = None


def data_of(bound: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Data:
    """The arguments of a fit: the first two parameters, whatever their names, and weights."""
    signature = inspect.signature(bound)
    given = signature.bind(*args, **kwargs).arguments
    names = [*signature.parameters, "", ""]
    return Data(given.get(names[0]), given.get(names[1]), given.get("sample_weight"))


def is_search(estimator: Any) -> bool:
    """Whether it is a search over parameters, such as GridSearchCV."""
    return any(base.__name__ == "BaseSearchCV" for base in type(estimator).__mro__)


def params_of(estimator: Any) -> dict[str, Any]:
    """The params of an estimator and of those inside it; a search's own ones only."""
    params: dict[str, Any] = estimator.get_params(deep=not is_search(estimator))
    return params


def tags_of(estimator: Any) -> dict[str, str]:
    """The names of an estimator's class."""
    kind = type(estimator)
    return {
        "estimator_name": kind.__name__,
        "estimator_class": f"{kind.__module__}.{kind.__name__}",
    }


def training_metrics(
    estimator: Any, data: Data, pos_label: Any, attempt: Attempt
) -> dict[str, float]:
    """MLflow's metrics of a fitted classifier or regressor on its training data.

    Each that can't be computed is left out, through `attempt`.
    """
    import sklearn.base

    metrics: dict[str, float] = {}
    if data.targets is None:
        return metrics
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with attempt():
            if sklearn.base.is_classifier(estimator):
                for name, compute in _classifier_metrics(estimator, data, pos_label):
                    with attempt():
                        metrics[PREFIX + name] = float(compute())
            elif sklearn.base.is_regressor(estimator):
                for name, compute in _regressor_metrics(estimator, data):
                    with attempt():
                        metrics[PREFIX + name] = float(compute())
        with attempt():
            if hasattr(estimator, "score"):
                metrics[PREFIX + "score"] = float(_score(estimator, data))
    return metrics


Metric = tuple[str, Callable[[], Any]]


def _classifier_metrics(estimator: Any, data: Data, pos_label: Any) -> Iterator[Metric]:
    from sklearn import metrics

    predicted = estimator.predict(data.inputs)
    common: dict[str, Any] = {"sample_weight": data.weights}
    one: dict[str, Any] = {**common, "average": "weighted"}
    if pos_label is not None:
        one = {**common, "average": "binary", "pos_label": pos_label}
    for function in (metrics.precision_score, metrics.recall_score, metrics.f1_score):
        yield function.__name__, _call(function, data.targets, predicted, one)
    yield "accuracy_score", _call(metrics.accuracy_score, data.targets, predicted, common)
    if not hasattr(estimator, "predict_proba"):
        return
    chances = estimator.predict_proba(data.inputs)
    yield "log_loss", _call(metrics.log_loss, data.targets, chances, common)
    binary = getattr(chances, "ndim", 0) == 2 and chances.shape[1] == 2
    score = chances[:, 1] if binary else chances
    area = {**common, "average": "weighted", "multi_class": "ovo"}
    yield "roc_auc", _call(metrics.roc_auc_score, data.targets, score, area)


def _regressor_metrics(estimator: Any, data: Data) -> Iterator[Metric]:
    from sklearn import metrics

    predicted = estimator.predict(data.inputs)
    common = {"sample_weight": data.weights, "multioutput": "uniform_average"}
    for function in (metrics.mean_squared_error, metrics.mean_absolute_error, metrics.r2_score):
        yield function.__name__, _call(function, data.targets, predicted, common)
    squared = _call(metrics.mean_squared_error, data.targets, predicted, common)
    yield "root_mean_squared_error", lambda: squared() ** 0.5


def _call(
    function: Any, true: Any, predicted: Any, options: Mapping[str, Any]
) -> Callable[[], Any]:
    return lambda: function(true, predicted, **options)


def _score(estimator: Any, data: Data) -> Any:
    if "sample_weight" in inspect.signature(estimator.score).parameters:
        return estimator.score(data.inputs, data.targets, sample_weight=data.weights)
    return estimator.score(data.inputs, data.targets)
