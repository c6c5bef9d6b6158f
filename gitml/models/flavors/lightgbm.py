"""The LightGBM flavor: boosters in LightGBM's text format, scikit-learn estimators pickled.

The text format holds no code: such a model is loaded from anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitml.models.flavor import Predict, Saved, need
from gitml.models.serialized import CLOUDPICKLE, FILES, SKOPS, check_format, dump, read

NAME = "lightgbm"
LOADER = "mlflow.lightgbm"
EXTRA = "lightgbm"
OPTIONS = ("serialization_format", "skops_trusted_types")

_TEXT = "model.lgb"


def save(model: Any, folder: Path, options: Mapping[str, Any]) -> Saved:
    """Write a Booster as text, or an estimator in the `serialization_format`."""
    lightgbm = need("lightgbm", EXTRA)
    form = check_format(options.get("serialization_format") or CLOUDPICKLE)
    trusted = options.get("skops_trusted_types")
    kind, is_booster = type(model), isinstance(model, lightgbm.Booster)
    name = _TEXT if is_booster else FILES[form]
    if is_booster:
        model.save_model(str(folder / name))
    else:
        dump(model, folder / name, form)
    modules = ("lightgbm",) if is_booster else ("lightgbm", "sklearn", form)
    conf = {
        "data": name,
        "lgb_version": lightgbm.__version__,
        "model_class": f"{kind.__module__}.{kind.__qualname__}",
        "serialization_format": form,
        "skops_trusted_types": list(trusted) if trusted else None,
    }
    return Saved(conf, {"data": name}, modules, None if is_booster or form == SKOPS else name)


def load(folder: Path, conf: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The Booster or estimator."""
    lightgbm = need("lightgbm", EXTRA)
    path = folder / str(conf["data"])
    if str(conf.get("model_class") or "").endswith(".Booster"):
        return lightgbm.Booster(model_file=str(path))
    return read(path, str(conf.get("serialization_format") or CLOUDPICKLE))


def predictor(model: Any, conf: Mapping[str, Any]) -> Predict:
    """Its predict."""
    return lambda data, params: model.predict(data)
