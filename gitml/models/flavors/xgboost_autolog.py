"""Autologging of XGBoost: `xgboost.train`, and estimators such as XGBClassifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gitml.errors import UsageError
from gitml.models.flavors import boosting_autolog
from gitml.models.flavors.boosting_autolog import Arguments, Rounds, Stopped
from gitml.tracking.autolog import AutologOptions, Uninstall

_MAX_CELLS = 25_000_000  # of a table: XGBoost keeps its data sparse, a dataset's digest does not


def install(options: AutologOptions) -> Uninstall:
    """Change XGBoost as `options` say; returns what undoes it."""
    return boosting_autolog.install(_XGBoost(), options)


class _XGBoost:
    NAME = "xgboost"
    UNLOGGED = frozenset("params dtrain evals obj evals_result xgb_model callbacks".split())

    def modules(self) -> tuple[Any, ...]:
        """`xgboost`, and where its estimators look `train` up."""
        import xgboost

        return xgboost, xgboost.sklearn

    def classes(self) -> tuple[type, type]:
        """DMatrix and XGBModel."""
        import xgboost

        return xgboost.DMatrix, xgboost.XGBModel

    def data(self, arguments: Arguments) -> Iterator[tuple[Any, str | None, str]]:
        """`dtrain` and the `evals`."""
        yield arguments["dtrain"], None, "train"
        for data, name in arguments.get("evals") or ():
            yield data, name, "eval"

    def table(self, data: Any) -> tuple[Any, Any]:
        """What a DMatrix holds, a DataFrame where it knows the names of its columns."""
        if data.num_row() * data.num_col() > _MAX_CELLS:
            raise UsageError(
                f"a DMatrix of {data.num_row()} x {data.num_col()} is not logged as an input;"
                " log what it is made of with log_input"
            )
        values, names = data.get_data().toarray(), data.feature_names
        if names:
            import pandas as pd

            return pd.DataFrame(values, columns=names), None
        return values, data.get_label() if data.get_label().size else None

    def callback(self, rounds: Rounds) -> Any:
        """A TrainingCallback."""
        from xgboost.callback import TrainingCallback

        class Watch(TrainingCallback):
            first = 0

            def before_training(self, model: Any) -> Any:
                """Count on from the model that the training goes on with."""
                self.first = model.num_boosted_rounds()
                return model

            def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
                """Never stop."""
                values = {
                    f"{data}-{name}": history[-1]
                    for data, metrics in evals_log.items()
                    for name, history in metrics.items()
                }
                rounds.add(self.first + epoch, values)
                return False

        return Watch()

    def stopped(self, model: Any, rounds: Rounds) -> Stopped | None:
        """Rounds are counted from 0; only early stopping says which is the best."""
        best = getattr(model, "best_iteration", None) if rounds.values else None
        return None if best is None else Stopped(max(rounds.values), best, best)

    def importance(self, model: Any, options: AutologOptions) -> Mapping[str, Mapping[str, Any]]:
        """The `importance_types` that are asked for, by default the weight."""
        kinds = options.more.get("importance_types") or ("weight",)
        return {kind: model.get_score(importance_type=kind) for kind in kinds}

    def best(self, model: Any) -> Any:
        """The rounds up to the best one, since a Booster predicts with all that it has."""
        from xgboost.core import XGBoostError

        best = getattr(model, "best_iteration", None)
        if best is None or best + 1 >= model.num_boosted_rounds():
            return model
        try:
            return model[: best + 1]
        except XGBoostError:  # a linear model can't be cut
            return model

    def saving(self, options: AutologOptions) -> Mapping[str, Any]:
        """The `model_format`."""
        return {"model_format": options.more.get("model_format")}
