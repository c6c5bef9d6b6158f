"""The hooks in scikit-learn's calls, and what each of them logs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from gitml.models.flavors.sklearn_autolog import evaluation, patches, search, training
from gitml.models.flavors.sklearn_autolog.evaluation import Judged, Notes
from gitml.models.flavors.sklearn_autolog.judging import (
    Prediction,
    log_data_of_live_run,
    log_metric,
)
from gitml.models.flavors.sklearn_autolog.training import Data
from gitml.tracking.autolog import (
    AutologOptions,
    Uninstall,
    log_params,
    on_import,
    quietly,
    run_for,
)

if TYPE_CHECKING:
    from gitml.tracking.datasets import Dataset

NAME = "sklearn"

# They prepare data, as in MLflow: logged as steps of a pipeline, not by themselves.
_PREPARE = (
    "sklearn.preprocessing", "sklearn.impute", "sklearn.feature_extraction",
    "sklearn.feature_selection", "sklearn.compose._column_transformer",
)  # fmt: skip

_FITTING = ("fit", "fit_transform", "fit_predict")
_PREDICTING = ("predict", "predict_proba", "predict_log_proba", "decision_function")

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


class LogFitted(Protocol):
    """What logs a fitted estimator as a model, under `path`, to the active run."""

    def __call__(self, estimator: Any, path: str, inputs: Any, options: AutologOptions) -> None:
        """Log it; `inputs` is what it was fitted on."""


def install(options: AutologOptions, log_fitted: LogFitted | None = None) -> Uninstall:
    """Change scikit-learn so that its fits and metrics are logged; returns what undoes it."""
    import sklearn.base

    hooks = _Hooks(options, log_fitted)
    methods: dict[str, patches.Around] = dict.fromkeys(_FITTING, hooks.fit)
    undo = contextlib.ExitStack()
    if options.more.get("log_post_training_metrics", True):
        methods |= {**dict.fromkeys(_PREDICTING, hooks.predict), "score": hooks.score}
        on_import("sklearn.metrics", lambda: hooks.patch_metrics(undo))
    undo.callback(patches.patch_classes(sklearn.base.BaseEstimator, NAME, methods))
    undo.callback(patches.silence_workers())
    undo.callback(hooks.stop)
    return undo.close


class _Hooks:
    def __init__(self, options: AutologOptions, log_fitted: LogFitted | None):
        self.options = options
        self.log_fitted = log_fitted
        self.models = Notes()  # fitted estimator -> Judged
        self.predictions = Notes()  # what it predicted -> Prediction
        self._on = True

    def stop(self) -> None:
        """Log nothing any more, where a hook could not be taken out."""
        self._on = False
        self.models, self.predictions = Notes(), Notes()

    def quietly(self) -> contextlib.AbstractContextManager[None]:
        return quietly(NAME, self.options)

    # -- fits ------------------------------------------------------------------------------

    def fit(self, bound: Callable[..., Any], estimator: Any, args: Args, kwargs: Kwargs) -> Any:
        """Fit as asked; the outermost fit is logged."""
        if patches.is_inside() or not self._on:
            return bound(*args, **kwargs)
        with patches.inside():
            if type(estimator).__module__.startswith(_PREPARE):
                return bound(*args, **kwargs)
            with run_for(NAME, self.options) as run_id:
                if run_id is not None:
                    with self.quietly():
                        self._before(estimator, run_id)
                result = bound(*args, **kwargs)
                if run_id is not None:
                    with self.quietly():
                        data = training.data_of(bound, args, kwargs)
                        self._after(estimator, data, run_id)
                return result

    def _before(self, estimator: Any, run_id: str) -> None:
        from gitml.tracking import fluent

        fluent.set_tags(training.tags_of(estimator), run_id=run_id)
        with self.quietly():
            log_params(training.params_of(estimator), run_id)

    def _after(self, estimator: Any, data: Data, run_id: str) -> None:
        from gitml.tracking import fluent

        used = None
        if self.options.log_datasets:
            with self.quietly():
                used = _log_data(data)
        pos_label = self.options.more.get("pos_label")
        metrics = training.training_metrics(estimator, data, pos_label, self.quietly)
        fluent.log_metrics(metrics, run_id=run_id)
        judged = Judged(run_id)
        self.models.put(estimator, judged)
        if hasattr(estimator, "cv_results_") and training.is_search(estimator):
            with self.quietly():
                most = self.options.more.get("max_tuning_runs", 5)
                search.log_search(estimator, run_id, most, self.options.extra_tags, used)
            self.models.put(getattr(estimator, "best_estimator_", None), judged)
        self._log_models(estimator, data)

    def _log_models(self, estimator: Any, data: Data) -> None:
        if self.log_fitted is None or not self.options.log_models:
            return
        models = {"model": estimator, "best_estimator": getattr(estimator, "best_estimator_", None)}
        for path, model in models.items():
            if model is not None:
                with self.quietly():
                    self.log_fitted(model, path, data.inputs, self.options)

    # -- judging ---------------------------------------------------------------------------

    def patch_metrics(self, undo: contextlib.ExitStack) -> None:
        """Patch sklearn.metrics, which was just imported, unless that is undone already."""
        if self._on:
            with self.quietly():
                metrics = sys.modules["sklearn.metrics"]
                names = evaluation.metric_functions(metrics)
                undo.callback(patches.patch_functions(metrics, names, self.metric))

    def predict(self, bound: Callable[..., Any], model: Any, args: Args, kwargs: Kwargs) -> Any:
        """Predict as asked; the result is known as this model's, should a metric be given it."""
        judged = None if patches.is_inside() else self.models.get(model)
        if judged is None:
            return bound(*args, **kwargs)
        with patches.inside():
            result = bound(*args, **kwargs)
        with self.quietly():
            data = _first(args, kwargs)
            known = Prediction(judged, _name(judged, data), data)
            self.predictions.put(result, known)
            if self.options.log_datasets:
                log_data_of_live_run(known)
        return result

    def score(self, bound: Callable[..., Any], model: Any, args: Args, kwargs: Kwargs) -> Any:
        """Score as asked; the score of a model whose fit was logged is logged."""
        judged = None if patches.is_inside() else self.models.get(model)
        if judged is None:
            return bound(*args, **kwargs)
        with patches.inside():
            value = bound(*args, **kwargs)
        with self.quietly():
            kind, data = type(model).__name__, _first(args, kwargs)
            asked = Prediction(judged, _name(judged, data), data)
            text = evaluation.call_text(bound, f"{kind}.", args, kwargs, sys._getframe())
            self._log(asked, f"{kind}_score", value, text)
        return value

    def metric(self, original: Callable[..., Any], args: Args, kwargs: Kwargs) -> Any:
        """Compute a metric as asked; one of a known prediction is logged."""
        if patches.is_inside():
            return original(*args, **kwargs)
        with patches.inside():
            value = original(*args, **kwargs)
        with self.quietly():
            known = (self.predictions.get(item) for item in (*args, *kwargs.values()))
            found = next((note for note in known if note is not None), None)
            if found is not None:
                text = evaluation.call_text(original, "", args, kwargs, sys._getframe())
                self._log(found, original.__name__, value, text)
        return value

    def _log(self, known: Prediction, metric: str, value: Any, text: str) -> None:
        if evaluation.is_loggable(value):
            log_metric(known, metric, value, text, self.options)


def _log_data(data: Data) -> Dataset | None:
    """Log what was fitted on as an input of the active run; the dataset that it is."""
    from gitml.tracking import fluent
    from gitml.tracking.datasets import dataset_of

    if data.inputs is None:
        return None
    used = dataset_of(data.inputs, targets=data.targets)
    fluent.log_input(used, context=training.CONTEXT)
    return used


def _first(args: Args, kwargs: Mapping[str, Any]) -> Any:
    """The data that a model was asked about: the first argument."""
    return args[0] if args else next(iter(kwargs.values()), None)


def _name(judged: Judged, data: Any) -> str:
    variable = evaluation.variable_of(data, sys._getframe())
    return judged.dataset_name(data, variable or evaluation.UNKNOWN)
