"""The Keras flavor: models of Keras 3 in Keras' own format.

It holds no code but for layers that are code, Lambda among them, and names of custom objects.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gitml.errors import FormatError, UsageError, shown
from gitml.models.flavor import Predict, Saved, need
from gitml.models.flavors.keras_autolog import install as install
from gitml.models.flavors.keras_weights import check_weights
from gitml.models.serialization import serialization_of

NAME = "keras"
LOADER = "mlflow.keras"
EXTRA = "keras"
OPTIONS = ("save_exported_model", "save_model_kwargs")

DATA = "data"
FILE = "model.keras"
MODULE_FILE = "keras_module.txt"
_FILES = (FILE, "model.h5")
_BACKENDS = {"tensorflow": "tensorflow", "torch": "torch", "jax": "jax"}  # and their modules


def save(model: Any, folder: Path, options: Mapping[str, Any]) -> Saved:
    """Write a model of Keras 3 as `.keras`."""
    keras = framework()
    if options.get("save_exported_model"):
        raise UsageError(
            "save_exported_model: gitml saves Keras' own format, which runs on every backend; for a"
            " program of TensorFlow call model.export(path), and log_artifacts(path)"
        )
    backend = keras.backend.backend()
    write(model, folder, "keras", options.get("save_model_kwargs"))
    conf = {
        "data": DATA,
        "keras_backend": backend,
        "keras_version": keras.__version__,
        "save_exported_model": False,
    }
    return Saved(conf, {}, ("keras", _BACKENDS.get(backend, backend)))


def write(model: Any, folder: Path, module: str, kwargs: Mapping[str, Any] | None) -> None:
    """Write the files of a Keras model; `module` is the one by which MLflow loads it."""
    keras = framework()
    if not isinstance(model, keras.Model):
        raise UsageError(f"the model is a {shown(type(model).__name__)}, not a keras.Model")
    (folder / DATA).mkdir()
    (folder / DATA / MODULE_FILE).write_text(module, encoding="utf-8")
    model.save(str(folder / DATA / FILE), **(kwargs or {}))


def load(folder: Path, conf: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The Keras model.

    `options` may have `custom_objects`, and `load_model_kwargs` of `keras.saving.load_model`.
    """
    path = _file_in(folder / str(conf.get("data") or DATA))
    _choose_backend(conf)
    keras = framework()
    kwargs = {
        # predictions need no optimizer, whose class may be that of another backend
        "compile": not options.get("predicting"),
        # a file that holds no code is held to that by Keras, too
        "safe_mode": not serialization_of(path).executes,
        **(options.get("load_model_kwargs") or {}),
    }
    objects = options.get("custom_objects")
    check_weights(path)
    return keras.saving.load_model(str(path), custom_objects=objects, **kwargs)


def _file_in(data: Path) -> Path:
    if data.is_file():
        return data
    found = next((data / name for name in _FILES if (data / name).is_file()), None)
    if found is None:
        raise FormatError(
            f"the model has none of: {', '.join(_FILES)}; gitml does not load what was saved as a"
            " program of TensorFlow: load it with tensorflow.saved_model.load"
        )
    return found


def predictor(model: Any, conf: Mapping[str, Any]) -> Predict:
    """Its predict: of a DataFrame a DataFrame, of arrays, lists and dicts an array."""
    keras = framework()

    def predict(data: Any, params: Mapping[str, Any] | None) -> Any:
        if hasattr(data, "columns"):
            import pandas

            return pandas.DataFrame(model.predict(data.to_numpy(), verbose=0), index=data.index)
        return keras.ops.convert_to_numpy(model.predict(data, verbose=0))

    return predict


# -- Keras and its backend -----------------------------------------------------------------


def framework(extra: str = EXTRA) -> Any:
    """The module `keras`; UsageError when it, or its backend, is not installed."""
    try:
        keras = need("keras", extra)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"Keras needs {error.name}, its backend, which is not installed; install it, or name"
            " one that is by the environment variable KERAS_BACKEND, such as torch"
        ) from None
    if not hasattr(keras, "saving"):
        raise UsageError(f"this needs Keras 3, not {keras.__version__}: pip install 'gitml[keras]'")
    return keras


def _choose_backend(conf: Mapping[str, Any]) -> None:
    """Let Keras start with the backend that the model was made with, where it has not the usual."""
    module = _BACKENDS.get(str(conf.get("keras_backend")))
    if "keras" in sys.modules or "KERAS_BACKEND" in os.environ or module is None:
        return
    if find_spec("tensorflow") is None and find_spec(module) is not None:
        os.environ["KERAS_BACKEND"] = str(conf["keras_backend"])
