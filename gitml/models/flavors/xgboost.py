"""The XGBoost flavor: boosters and scikit-learn estimators, in XGBoost's own format.

The format holds no code: such a model is loaded from anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitml.errors import FormatError, UsageError, shown
from gitml.models.flavor import Predict, Saved, need

NAME = "xgboost"
LOADER = "mlflow.xgboost"
EXTRA = "xgboost"
OPTIONS = ("model_format",)

_FORMATS = ("ubj", "json")


def save(model: Any, folder: Path, options: Mapping[str, Any]) -> Saved:
    """Write a Booster or an estimator such as XGBClassifier in the `model_format`: ubj or json."""
    xgboost = need("xgboost", EXTRA)
    form = options.get("model_format") or "ubj"
    if form not in _FORMATS:
        raise UsageError(f"model_format {shown(form)} is not one; use {', '.join(_FORMATS)}")
    kind = type(model)
    if getattr(xgboost, kind.__name__, None) is not kind:
        raise UsageError(
            f"xgb_model is a {shown(kind.__qualname__)}, not a class of XGBoost: its format would"
            " lose what yours adds; log it with gitml.sklearn or gitml.pyfunc"
        )
    name = f"model.{form}"
    model.save_model(folder / name)
    conf = {
        "data": name,
        "model_class": f"{kind.__module__}.{kind.__qualname__}",
        "model_format": form,
        "xgb_version": xgboost.__version__,
    }
    needed = ("xgboost",) if kind is xgboost.Booster else ("xgboost", "sklearn")
    return Saved(conf, {"data": name}, needed)


def load(folder: Path, conf: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The Booster or estimator; of the class that MLmodel names only the name counts."""
    xgboost = need("xgboost", EXTRA)
    name = str(conf.get("model_class") or "xgboost.core.Booster").rpartition(".")[2]
    kind = getattr(xgboost, name, None)
    if not isinstance(kind, type) or not issubclass(kind, (xgboost.Booster, xgboost.XGBModel)):
        raise FormatError(f"MLmodel: xgboost has no model class {shown(name)}")
    model = kind()
    model.load_model(folder / str(conf["data"]))
    return model


def predictor(model: Any, conf: Mapping[str, Any]) -> Predict:
    """Its predict; a Booster's data become a DMatrix first. Params that it has are passed on."""
    import inspect

    xgboost = need("xgboost", EXTRA)
    known = frozenset(inspect.signature(model.predict).parameters)
    wrap = xgboost.DMatrix if isinstance(model, xgboost.Booster) else None

    def predict(data: Any, params: Mapping[str, Any] | None) -> Any:
        more = {name: value for name, value in (params or {}).items() if name in known}
        return model.predict(wrap(data) if wrap else data, **more)

    return predict
