"""The TensorFlow flavor as MLflow has it for Keras models: other entries, the same file.

Keras alone reads and writes it, on any backend. Programs of TensorFlow are not loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gitml.errors import UsageError, shown
from gitml.models import extra_files
from gitml.models.flavor import Saved
from gitml.models.flavors import keras as own
from gitml.models.flavors.keras import predictor as predictor

NAME = "tensorflow"
LOADER = "mlflow.tensorflow"
EXTRA = "tensorflow"
OPTIONS = ("custom_objects", "extra_files", "keras_model_kwargs")

_FORMAT, _FORMAT_FILE = "tf", "save_format.txt"  # as MLflow calls it, of .keras too
_OBJECTS = "custom_objects.cloudpickle"
_MORE_OBJECTS = ("global_custom_objects.cloudpickle", _OBJECTS)


def save(model: Any, folder: Path, options: Mapping[str, Any]) -> Saved:
    """Write a Keras model, and `custom_objects`, a dict of classes and functions, pickled."""
    own.framework(EXTRA)
    kwargs = dict(options.get("keras_model_kwargs") or {})
    if kwargs.pop("save_format", "keras") not in ("keras", _FORMAT):
        raise UsageError("keras_model_kwargs: gitml saves models as .keras; leave save_format out")
    own.write(model, folder, "tensorflow.keras", kwargs)
    data = folder / own.DATA
    (data / _FORMAT_FILE).write_text(_FORMAT, encoding="utf-8")
    objects = options.get("custom_objects")
    if objects:
        import cloudpickle

        with (data / _OBJECTS).open("wb") as file:
            cloudpickle.dump(dict(objects), file)
    conf = {
        "data": own.DATA,
        "keras_version": _version(),
        "model_type": "keras",
        "save_format": _FORMAT,
        **extra_files.copy(options.get("extra_files"), folder),
    }
    pickled = f"{own.DATA}/{_OBJECTS}" if objects else None
    return Saved(conf, {"data": own.DATA}, ("tensorflow", "keras"), pickled)


def _version() -> str:
    """TensorFlow's version, as MLflow writes it; Keras' where that runs on another backend."""
    for name in ("tensorflow", "tensorflow-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return str(own.framework().__version__)


def load(folder: Path, conf: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The Keras model; its custom objects are unpickled, which was decided before."""
    own.framework(EXTRA)
    kind = conf.get("model_type", "keras")
    if kind != "keras":
        raise UsageError(
            f"the model is a program of TensorFlow ({shown(kind)}), which gitml does not load:"
            " load it with tensorflow.saved_model.load"
        )
    data = folder / str(conf.get("data") or own.DATA)
    objects: dict[str, Any] = {}
    for name in _MORE_OBJECTS:
        if (data / name).is_file():
            objects |= _unpickled(data / name)
    objects |= options.get("custom_objects") or {}
    kwargs = options.get("keras_model_kwargs")
    more = {"custom_objects": objects, "load_model_kwargs": kwargs}
    return own.load(folder, conf, {**options, **more})


def _unpickled(path: Path) -> dict[str, Any]:
    import pickle

    with path.open("rb") as file:
        return dict(pickle.load(file))
