"""Autologging of LightGBM: `lightgbm.train`, and estimators such as LGBMClassifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gitml.models.flavors import boosting_autolog
from gitml.models.flavors.boosting_autolog import Arguments, Rounds, Stopped
from gitml.tracking.autolog import AutologOptions, Uninstall

_KINDS = ("split", "gain")


def install(options: AutologOptions) -> Uninstall:
    """Change LightGBM as `options` say; returns what undoes it."""
    return boosting_autolog.install(_LightGBM(), options)


class _LightGBM:
    NAME = "lightgbm"
    UNLOGGED = frozenset(
        "params train_set valid_sets valid_names feval init_model callbacks".split()
    )

    def modules(self) -> tuple[Any, ...]:
        """`lightgbm`, and where its estimators look `train` up."""
        import lightgbm

        return lightgbm, lightgbm.sklearn

    def classes(self) -> tuple[type, type]:
        """Dataset and LGBMModel."""
        import lightgbm

        return lightgbm.Dataset, lightgbm.LGBMModel

    def data(self, arguments: Arguments) -> Iterator[tuple[Any, str | None, str]]:
        """`train_set` and the `valid_sets`."""
        yield arguments["train_set"], None, "train"
        sets, names = arguments.get("valid_sets") or (), arguments.get("valid_names") or ()
        sets = sets if isinstance(sets, (list, tuple)) else [sets]
        names = names if isinstance(names, (list, tuple)) else [names]
        for number, data in enumerate(sets):
            yield data, names[number] if number < len(names) else None, "eval"

    def table(self, data: Any) -> tuple[Any, Any]:
        """What a Dataset was made of, until it is built for the first time."""
        return data.data, data.label

    def callback(self, rounds: Rounds) -> Any:
        """A function, called before the one that stops a training early."""

        def watch(env: Any) -> None:
            values = {
                f"{data}-{name}": value for data, name, value, *_ in env.evaluation_result_list
            }
            rounds.add(env.iteration, values)

        return watch

    def stopped(self, model: Any, rounds: Rounds) -> Stopped | None:
        """Rounds are counted from 1; only early stopping says which is the best."""
        best = model.best_iteration
        return Stopped(max(rounds.values) + 1, best, best - 1) if best > 0 else None

    def importance(self, model: Any, options: AutologOptions) -> Mapping[str, Mapping[str, Any]]:
        """How often, and to what gain, each feature splits."""
        names = model.feature_name()
        return {
            kind: dict(zip(names, model.feature_importance(kind).tolist(), strict=True))
            for kind in _KINDS
        }

    def best(self, model: Any) -> Any:
        """It: a Booster predicts with, and is saved up to, its best round."""
        return model

    def saving(self, options: AutologOptions) -> Mapping[str, Any]:
        """Nothing of its own."""
        return {}
