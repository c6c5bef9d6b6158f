"""Autologging of trainings by boosting: what XGBoost's and LightGBM's have in common.

Both have a function `train`, which the estimators in scikit-learn's manner call, too. Metrics of
every round, params, feature importance and data are logged there, the model where the user's own
call ends: the booster by `train`, the estimator by `fit`.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from gitml.models.flavors.sklearn_autolog import judging, patches, training
from gitml.models.flavors.sklearn_autolog.evaluation import Judged, Logged, Notes
from gitml.models.log import log_fitted
from gitml.tracking.autolog import AutologOptions, Uninstall, log_params, run_for

ROWS = 5  # of the training data, for the signature and the input example
_PLOTTED = 50  # features

Values = Mapping[str, float]
Arguments = Mapping[str, Any]
_fitting: ContextVar[str | None] = ContextVar("gitml_boosting_run", default=None)


@dataclass(slots=True)
class Rounds:
    """The metrics of every round of a training, by the round's number; each is told on."""

    tell: Callable[[int, Values], None]
    values: dict[int, Values] = field(default_factory=dict)

    def add(self, number: int, values: Values) -> None:
        """One round's metrics, under the names that runs have: ndcg_at_3 for ndcg@3."""
        self.values[number] = {key.replace("@", "_at_"): it for key, it in values.items()}
        self.tell(number, self.values[number])


@dataclass(frozen=True, slots=True)
class Stopped:
    """How early stopping went: the numbers to log, and the number of the best round."""

    stopped_iteration: int
    best_iteration: int
    best_round: int


class Library(Protocol):
    """What the two differ in. `UNLOGGED` are the arguments of `train` that are no params."""

    NAME: str
    UNLOGGED: frozenset[str]

    def modules(self) -> tuple[Any, ...]:
        """The modules that offer `train`, the user's first."""

    def classes(self) -> tuple[type, type]:
        """The class of data, and the one that estimators inherit from."""

    def data(self, arguments: Arguments) -> Iterable[tuple[Any, str | None, str]]:
        """The data of a training, each with its name and context, the training data first."""

    def table(self, data: Any) -> tuple[Any, Any]:
        """The features and targets in the library's own data; None for what it has not kept."""

    def callback(self, rounds: Rounds) -> Any:
        """What to add to a training's callbacks."""

    def stopped(self, model: Any, rounds: Rounds) -> Stopped | None:
        """How early stopping went; None without."""

    def importance(self, model: Any, options: AutologOptions) -> Mapping[str, Mapping[str, Any]]:
        """The importance of every feature, by kind of importance."""

    def best(self, model: Any) -> Any:
        """The booster of the best round."""

    def saving(self, options: AutologOptions) -> Mapping[str, Any]:
        """The options to save a model with."""


def install(library: Library, options: AutologOptions) -> Uninstall:
    """Change a library so that its trainings are logged; returns what undoes it."""
    hooks = _Hooks(library, options)
    data, estimator = library.classes()
    undo = contextlib.ExitStack()
    for number, module in enumerate(library.modules()):
        train = hooks.train if number == 0 else hooks.train_estimator
        undo.callback(patches.patch_functions(module, ["train"], train))
    undo.callback(patches.patch_classes(data, library.NAME, {"__init__": hooks.made}))
    around = {**judging.around(), "fit": hooks.fit}
    undo.callback(patches.patch_classes(estimator, library.NAME, around))
    undo.callback(judging.listen())
    undo.callback(hooks.stop)
    return undo.close


class _Hooks:
    def __init__(self, library: Library, options: AutologOptions):
        self.library = library
        self.options = options
        self.logged = Logged(library.NAME, options)
        self.quietly = self.logged.quietly
        self.first_rows = Notes()  # the library's data -> the first rows of what it was made of
        self.tables = Notes()  # the same -> all of it, while an estimator is fitted

    def stop(self) -> None:
        """Log nothing any more, where a hook could not be taken out."""
        self.logged.on = False

    # -- data ------------------------------------------------------------------------------

    def made(self, bound: Any, data: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the library's data as asked, and keep what it does not: rows as they came in."""
        source = args[0] if args else kwargs.get("data")
        if self.logged.on:
            with self.quietly():
                self.first_rows.put(data, first_rows(source))
                if _fitting.get() is not None:
                    self.tables.put(data, source)
        return bound(*args, **kwargs)

    def _log_data(self, arguments: Arguments) -> None:
        from gitml.tracking import fluent
        from gitml.tracking.datasets import dataset_of

        for data, name, context in self.library.data(arguments):
            with self.quietly():
                features, targets = self.library.table(data)
                source = self.tables.get(data)
                features = features if source is None else source
                if features is not None:
                    made = dataset_of(features, name, targets=targets)
                    fluent.log_input(made, context=context)

    # -- trainings -------------------------------------------------------------------------

    def train(self, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Train as asked; a training that is no part of another is logged, and its model."""
        if patches.is_inside() or not self.logged.on:
            return original(*args, **kwargs)
        with patches.inside(), run_for(self.library.NAME, self.options) as run_id:
            if run_id is None:
                return original(*args, **kwargs)
            given = _bound(original, args, kwargs)
            model = self._train(original, given, run_id)
            if self.options.log_models:
                with self.quietly():
                    data = next(iter(self.library.data(given.arguments)))[0]
                    self._log_model(self.library.best(model), self.first_rows.get(data))
            return model

    def train_estimator(self, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Train as an estimator asks, which logs the model itself."""
        run_id = _fitting.get()
        if run_id is None or not self.logged.on:
            return original(*args, **kwargs)
        return self._train(original, _bound(original, args, kwargs), run_id)

    def _train(self, original: Any, given: inspect.BoundArguments, run_id: str) -> Any:
        rounds = Rounds(lambda number, values: self._log_metrics(values, number, run_id))
        with self.quietly():
            log_params(params_of(given, self.library.UNLOGGED), run_id)
        if self.options.log_datasets:
            with self.quietly():
                self._log_data(given.arguments)
        with self.quietly():
            theirs = given.arguments.get("callbacks") or ()
            given.arguments["callbacks"] = [self.library.callback(rounds), *theirs]
        with _fits(None):
            model = original(*given.args, **given.kwargs)
        with self.quietly():
            self._log_stopped(model, rounds, run_id)
        with self.quietly():
            self._log_importance(model, run_id)
        return model

    def _log_metrics(self, values: Values, step: int | None, run_id: str) -> None:
        from gitml.tracking import fluent

        with self.quietly():
            fluent.log_metrics(values, step=step, run_id=run_id)

    def _log_stopped(self, model: Any, rounds: Rounds, run_id: str) -> None:
        """Log the best round's metrics once more, one step after the last, as MLflow does."""
        stopped = self.library.stopped(model, rounds)
        if stopped is None:
            return
        numbers = {
            "stopped_iteration": stopped.stopped_iteration,
            "best_iteration": stopped.best_iteration,
        }
        self._log_metrics(numbers, None, run_id)
        best = rounds.values.get(stopped.best_round, {})
        self._log_metrics(best, max(rounds.values) + 1, run_id)

    def _log_importance(self, model: Any, run_id: str) -> None:
        from gitml.tracking import fluent

        for kind, importance in self.library.importance(model, self.options).items():
            with self.quietly():
                name = f"feature_importance_{kind}"
                fluent.log_dict(dict(importance), f"{name}.json", run_id=run_id)
                figure = figure_of(importance, kind)
                if figure is not None:
                    fluent.log_figure(figure, f"{name}.png", run_id=run_id)

    def _log_model(self, model: Any, rows: Any) -> None:
        own = self.library.saving(self.options)
        log_fitted(self.library.NAME, model, "model", rows, self.options, own)

    # -- estimators ------------------------------------------------------------------------

    def fit(self, bound: Any, estimator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Fit as asked; a fit that is no part of another is logged, and the estimator."""
        if patches.is_inside() or not self.logged.on:
            return bound(*args, **kwargs)
        with patches.inside(), run_for(self.library.NAME, self.options) as run_id:
            if run_id is None:
                return bound(*args, **kwargs)
            rows = None
            with self.quietly():
                rows = first_rows(training.data_of(bound, args, kwargs).inputs)
            with _fits(run_id):
                result = bound(*args, **kwargs)
            judging.fitted(estimator, Judged(run_id, self.logged))
            if self.options.log_models:
                with self.quietly():
                    self._log_model(estimator, rows)
            return result


def _bound(original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
    """The arguments by their names; TypeError, as from the function, for those it does not have."""
    return inspect.signature(original).bind(*args, **kwargs)


@contextlib.contextmanager
def _fits(run_id: str | None) -> Iterator[None]:
    """Trainings in the block belong to an estimator's fit that is logged to this run."""
    token = _fitting.set(run_id)
    try:
        yield
    finally:
        _fitting.reset(token)


def first_rows(data: Any) -> Any:
    """A copy of the first rows of a table; None for what is not one, such as a file."""
    if isinstance(data, list):
        import numpy as np

        return np.asarray(data[:ROWS])
    if not hasattr(data, "shape"):
        return None
    rows = data[:ROWS]
    return rows.copy() if hasattr(rows, "copy") else rows


def params_of(given: inspect.BoundArguments, unlogged: frozenset[str]) -> dict[str, Any]:
    """The params of a training, and the arguments of `train` with their defaults.

    Functions among them are logged by their names, since their texts differ each time.
    """
    params = dict(given.arguments.get("params") or {})
    for name, parameter in given.signature.parameters.items():
        if name not in unlogged:
            params[name] = given.arguments.get(name, parameter.default)
    return {key: getattr(it, "__name__", it) if callable(it) else it for key, it in params.items()}


def figure_of(importance: Mapping[str, Any], kind: str) -> Any:
    """A bar chart of the most important features; None without matplotlib, or without any."""
    import numpy as np

    sizes = {name: float(np.abs(value).sum()) for name, value in importance.items()}
    shown = sorted(sizes.items(), key=lambda item: item[1])[-_PLOTTED:]
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    if not shown:
        return None
    figure = Figure(figsize=(6.4, 4.8 + 0.1 * max(0, len(shown) - 10)), layout="tight")
    axes = figure.subplots()
    axes.barh([name for name, _ in shown], [size for _, size in shown], height=0.5)
    axes.set_xlabel("Importance")
    axes.set_title(f"Feature Importance ({kind})")
    return figure
