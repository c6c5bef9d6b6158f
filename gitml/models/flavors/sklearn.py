"""The scikit-learn flavor: estimators and pipelines, pickled or as skops."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitml.errors import FormatError, UsageError, shown
from gitml.models.flavor import Predict, Saved, need
from gitml.models.flavors.sklearn_autolog import install as install_autolog
from gitml.models.log import log_fitted
from gitml.tracking.autolog import AutologOptions, Uninstall

NAME = "sklearn"
LOADER = "mlflow.sklearn"
EXTRA = "sklearn"
OPTIONS = ("serialization_format", "pyfunc_predict_fn", "skops_trusted_types")

CLOUDPICKLE, PICKLE, SKOPS = "cloudpickle", "pickle", "skops"
_FILES = {CLOUDPICKLE: "model.pkl", PICKLE: "model.pkl", SKOPS: "model.skops"}


def save(model: Any, folder: Path, options: Mapping[str, Any]) -> Saved:
    """Write a fitted estimator in the `serialization_format`: cloudpickle, pickle or skops."""
    sklearn = need("sklearn", EXTRA)
    form = options.get("serialization_format") or CLOUDPICKLE
    if form not in _FILES:
        raise UsageError(
            f"serialization_format {shown(form)} is not one; use {', '.join(sorted(_FILES))}"
        )
    name = _FILES[form]
    _dump(model, folder / name, form)
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


def _dump(model: Any, path: Path, form: str) -> None:
    if form == SKOPS:
        need("skops.io", SKOPS).dump(model, path)
        return
    import pickle

    with path.open("wb") as file:
        # the default protocol, so that older Pythons can read it
        importlib.import_module(form).dump(model, file, protocol=pickle.DEFAULT_PROTOCOL)


def load(folder: Path, conf: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The estimator."""
    need("sklearn", EXTRA)
    path = folder / str(conf.get("pickled_model") or "model.pkl")
    if conf.get("serialization_format") == SKOPS:
        skops = need("skops.io", SKOPS)
        # Which types it may hold was decided before; see gitml.models.trust.
        return skops.load(path, trusted=skops.get_untrusted_types(file=path))
    import pickle

    with path.open("rb") as file:
        return pickle.load(file)


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
