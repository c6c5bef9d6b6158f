"""The hooks in scikit-learn's calls, and what each of them logs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from gitml.models.flavors.sklearn_autolog import judging, patches, search, training
from gitml.models.flavors.sklearn_autolog.evaluation import Judged, Logged
from gitml.models.flavors.sklearn_autolog.training import Data
from gitml.tracking.autolog import (
    AutologOptions,
    Uninstall,
    log_params,
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
    undo = contextlib.ExitStack()
    if hooks.judges:
        undo.callback(judging.listen())
    fits: dict[str, patches.Around] = dict.fromkeys(_FITTING, hooks.fit)
    undo.callback(patches.patch_classes(sklearn.base.BaseEstimator, NAME, fits))
    undo.callback(patches.silence_workers())
    undo.callback(hooks.stop)
    return undo.close


class _Hooks:
    def __init__(self, options: AutologOptions, log_fitted: LogFitted | None):
        self.options = options
        self.log_fitted = log_fitted
        self.logged = Logged(NAME, options)
        self.quietly = self.logged.quietly
        self.judges = options.more.get("log_post_training_metrics", True)

    def stop(self) -> None:
        """Log nothing any more, where a hook could not be taken out."""
        self.logged.on = False

    def fit(self, bound: Callable[..., Any], estimator: Any, args: Args, kwargs: Kwargs) -> Any:
        """Fit as asked; the outermost fit is logged."""
        if patches.is_inside() or not self.logged.on:
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
        judged = Judged(run_id, self.logged)
        self._listen_to(estimator, judged)
        if hasattr(estimator, "cv_results_") and training.is_search(estimator):
            with self.quietly():
                most = self.options.more.get("max_tuning_runs", 5)
                search.log_search(estimator, run_id, most, self.options.extra_tags, used)
            self._listen_to(getattr(estimator, "best_estimator_", None), judged)
        self._log_models(estimator, data)

    def _listen_to(self, model: Any, judged: Judged) -> None:
        if self.judges:
            judging.fitted(model, judged)

    def _log_models(self, estimator: Any, data: Data) -> None:
        if self.log_fitted is None or not self.options.log_models:
            return
        models = {"model": estimator, "best_estimator": getattr(estimator, "best_estimator_", None)}
        for path, model in models.items():
            if model is not None:
                with self.quietly():
                    self.log_fitted(model, path, data.inputs, self.options)


def _log_data(data: Data) -> Dataset | None:
    """Log what was fitted on as an input of the active run; the dataset that it is."""
    from gitml.tracking import fluent
    from gitml.tracking.datasets import dataset_of

    if data.inputs is None:
        return None
    used = dataset_of(data.inputs, targets=data.targets)
    fluent.log_input(used, context=training.CONTEXT)
    return used
