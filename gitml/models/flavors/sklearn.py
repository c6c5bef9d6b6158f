"""The scikit-learn flavor: estimators and pipelines, pickled or as skops."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitml.errors import FormatError, shown
from gitml.models.flavor import Predict, Saved, need
from gitml.models.flavors.sklearn_autolog import install as install_autolog
from gitml.models.log import log_fitted
from gitml.models.serialized import CLOUDPICKLE, FILES, PICKLE, SKOPS, check_format, dump, read
from gitml.tracking.autolog import AutologOptions, Uninstall

NAME = "sklearn"
LOADER = "mlflow.sklearn"
EXTRA = "sklearn"
OPTIONS = ("serialization_format", "pyfunc_predict_fn", "skops_trusted_types")


def save(model: Any, folder: Path, options: Mapping[str, Any]) -> Saved:
    """Write a fitted estimator in the `serialization_format`: cloudpickle, pickle or skops."""
    sklearn = need("sklearn", EXTRA)
    form = check_format(options.get("serialization_format") or CLOUDPICKLE)
    name = FILES[form]
    dump(model, folder / name, form)
    trusted = options.get("skops_trusted_types")
    conf = {
        "code": None,
        "pickled_model": name,
        "serialization_format": form,
        "sklearn_version": sklearn.__version__,
        "skops_trusted_types": list(trusted) if trusted else None,
    }
    method = options.get("pyfunc_predict_fn") or "predict"
    pyfunc = {"model_path": name, "predict_fn": method} if hasattr(model, method) else None
    modules = ("sklearn", *(() if form == PICKLE else (form,)))
    return Saved(conf, pyfunc, modules, None if form == SKOPS else name)


def load(folder: Path, conf: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The estimator."""
    need("sklearn", EXTRA)
    name = str(conf.get("pickled_model") or FILES[CLOUDPICKLE])
    return read(folder / name, str(conf.get("serialization_format") or CLOUDPICKLE))


def predictor(model: Any, conf: Mapping[str, Any]) -> Predict:
    """Its `predict`, or what `pyfunc_predict_fn` named."""
    name = str(conf.get("predict_fn") or "predict")
    method = None if name.startswith("_") else getattr(model, name, None)
    if not callable(method):
        raise FormatError(f"the model has no method {shown(name)}, its predict_fn")
    return lambda data, params: method(data)


def install(options: AutologOptions) -> Uninstall:
    """Autologging: change scikit-learn as `options` say; returns what undoes it."""
    return install_autolog(options, _log_fitted)


def _log_fitted(estimator: Any, path: str, inputs: Any, options: AutologOptions) -> None:
    form = options.more.get("serialization_format")
    log_fitted(NAME, estimator, path, inputs, options, {"serialization_format": form})
