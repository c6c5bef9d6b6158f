"""Autologging of Keras: what a model's fit was given, and what came of it.

Params of fit and of the optimizer, metrics of epochs, early stopping, the model and its summary.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from gitml.tracking.autolog import AutologOptions, Uninstall, log_params, quietly, run_for

NAME = "keras"
_UNLOGGED = ("callbacks", "validation_data", "verbose", "x", "y")
_STOPPING = ("monitor", "min_delta", "patience", "baseline", "restore_best_weights")
_SUMMARY = "model_summary.txt"
_SOME = 5  # rows from which a signature is inferred


def install(options: AutologOptions) -> Uninstall:
    """Change `keras.Model.fit` so that it is logged; returns what undoes it."""
    import keras

    model_class: Any = keras.Model
    original, had = model_class.fit, "fit" in model_class.__dict__

    @functools.wraps(original)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        with run_for(NAME, options) as run_id:
            if run_id is None:
                return original(self, *args, **kwargs)
            return _Fit(self, run_id, options).around(original, args, kwargs)

    def uninstall() -> None:
        if model_class.__dict__.get("fit") is not fit:
            return
        if had:
            model_class.fit = original
        else:
            del model_class.fit

    model_class.fit = fit
    return uninstall


class _Fit:
    """One fit of a model, logged to a run."""

    def __init__(self, model: Any, run_id: str, options: AutologOptions):
        self.model = model
        self.run_id = run_id
        self.options = options

    def quietly(self) -> contextlib.AbstractContextManager[None]:
        return quietly(NAME, self.options)

    def around(
        self, fit: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Fit as asked, with a callback beside the user's."""
        given: dict[str, Any] = {}
        with self.quietly():
            given = _given(fit, self.model, args, kwargs)
            log_params(_params_of(fit, given), self.run_id)
        with self.quietly():
            self._log_data(given)
        watched = given.get("callbacks") or []
        watched = [*watched] if isinstance(watched, (list, tuple)) else [watched]
        with self.quietly():
            stopping = _stopping_in(watched)
            params = {name: getattr(stopping, name) for name in _STOPPING} if stopping else {}
            log_params(params, self.run_id)
        ours = callback(self.run_id, self.options, self.options.more.get("log_every_n_steps"))
        if given and not any(hasattr(it, "callbacks") for it in watched):  # no CallbackList
            args, kwargs = (), {**given, "callbacks": [*watched, ours]}
        history = fit(self.model, *args, **kwargs)
        with self.quietly():
            self._log_stopping(watched, history)
        if self.options.log_models:
            with self.quietly():
                self._log_model(given.get("x"))
        return history

    def _log_data(self, given: Mapping[str, Any]) -> None:
        from gitml.tracking import fluent
        from gitml.tracking.datasets import dataset_of

        if not self.options.log_datasets:
            return
        pairs = {"train": (given.get("x"), given.get("y")), "eval": given.get("validation_data")}
        for context, pair in pairs.items():
            if isinstance(pair, tuple) and len(pair) >= 2 and hasattr(pair[0], "shape"):
                fluent.log_input(dataset_of(pair[0], targets=pair[1]), context=context)

    def _log_stopping(self, callbacks: list[Any], history: Any) -> None:
        from gitml.tracking import fluent

        stopping = _stopping_in(callbacks)
        if stopping is None or not stopping.stopped_epoch:
            return
        stopped = stopping.stopped_epoch
        fluent.log_metrics({"stopped_epoch": stopped}, run_id=self.run_id)
        if stopping.restore_best_weights and stopping.best_weights is not None:
            restored = stopping.best_epoch
            fluent.log_metrics({"restored_epoch": restored}, run_id=self.run_id)
            at = history.epoch.index(restored)
            best = {name: float(values[at]) for name, values in history.history.items()}
            fluent.log_metrics(best, step=stopped + 1, run_id=self.run_id)

    def _log_model(self, inputs: Any) -> None:
        from gitml.models import flavor as flavors
        from gitml.models.log import log_model
        from gitml.models.signature import infer_signature

        flavor = flavors.flavor(NAME)
        common: dict[str, Any] = {"signature": False, "run_id": self.run_id}
        if type(inputs).__name__ in ("ndarray", "DataFrame"):
            some, stop = inputs[:_SOME], self.model.stop_training
            if self.options.log_model_signatures:
                answer = flavor.predictor(self.model, {})(some, None)
                common["signature"] = infer_signature(some, answer)
                self.model.stop_training = stop  # which predict resets
            if self.options.log_input_examples:
                common["input_example"] = some
        kwargs = self.options.more.get("save_model_kwargs")
        common["registered_model_name"] = self.options.more.get("registered_model_name")
        log_model(flavor, self.model, "model", common, {"save_model_kwargs": kwargs})


def _given(
    fit: Callable[..., Any], model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a fit by name, the model aside."""
    found = inspect.signature(fit).bind(model, *args, **kwargs).arguments
    return dict(list(found.items())[1:])


def _stopping_in(callbacks: list[Any]) -> Any:
    import keras

    kind = keras.callbacks.EarlyStopping
    return next((it for it in callbacks if isinstance(it, kind)), None)


def _params_of(fit: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The plain arguments of a fit, those too that were left at their defaults."""
    known = list(inspect.signature(fit).parameters.values())[1:]
    params = {it.name: given.get(it.name, it.default) for it in known if it.name not in _UNLOGGED}
    if params.get("batch_size") is None:
        params["batch_size"] = getattr(given.get("x"), "batch_size", None)
    plain = (bool, int, float, str, dict, type(None))
    return {name: value for name, value in params.items() if isinstance(value, plain)}


def callback(run_id: str | None, options: AutologOptions, every: int | None = None) -> Any:
    """A callback of Keras that logs to a run, by default the active one.

    Metrics are those of epochs, or of every `every` steps when that is given.
    """
    import keras

    from gitml.tracking import fluent

    def log(metrics: Mapping[str, Any] | None, step: int) -> None:
        with quietly(NAME, options):
            values = {name: float(value) for name, value in (metrics or {}).items()}
            fluent.log_metrics(values, step=step, run_id=run_id)

    class Callback(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            with quietly(NAME, options):
                _log_start(self.model, run_id)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if every is None:
                log(logs, epoch)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if every is not None:
                step = int(self.model.optimizer.iterations.numpy())
                if step % every == 0:
                    log(logs, step)

    return Callback()


def _log_start(model: Any, run_id: str | None) -> None:
    """The optimizer's params, and what the model is made of."""
    from gitml.tracking import fluent

    config = model.optimizer.get_config()
    if run_id is None:
        fluent.log_params({f"optimizer_{name}": value for name, value in config.items()})
    else:
        log_params({f"optimizer_{name}": value for name, value in config.items()}, run_id)
    lines: list[str] = []
    model.summary(print_fn=lambda line, *args, **kwargs: lines.append(str(line)))
    fluent.log_text("\n".join(lines), _SUMMARY, run_id=run_id)
