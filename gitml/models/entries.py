"""The entries of an MLmodel document that bear code or name files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from gitml.errors import FormatError, shown
from gitml.models.contained import inside
from gitml.models.mlmodel import PYTHON_FUNCTION

_FLAVORS = ("sklearn", "xgboost", "lightgbm", "pytorch", "tensorflow", "keras", "onnx")
LOADERS = frozenset(
    f"{package}.{name}"
    for package in ("mlflow", "gitml")
    for name in (*_FLAVORS, "pyfunc.model", "pyfunc.loaders.code_model")
)
MLEM = "gitml.mlem"  # it is no known loader of models without code: all that it loads can run some
_PICKLE_MODULES = frozenset({"pickle", "cloudpickle", "mlflow.pytorch.pickle_module"})
_KERAS_MODULES = frozenset(
    {"keras", "keras._tf_keras.keras", "keras.api._v2.keras", "tensorflow.keras", "tf_keras"}
)
# Files that hold the name of a module, which their flavor imports.
MODULE_FILES = {"pickle_module_info.txt": _PICKLE_MODULES, "keras_module.txt": _KERAS_MODULES}
# The names by which TensorFlow finds its models, which are programs in whatever form.
SAVED_MODELS = ("saved_model.cpb", "saved_model.pb", "saved_model.pbtxt")

_MODULES = {
    "pickle_module": _PICKLE_MODULES,
    "pickle_module_name": _PICKLE_MODULES,
    "keras_module": _KERAS_MODULES,
}
_CLASSES = re.compile(
    r"xgboost\.(?:core\.Booster|sklearn\.XGB\w+)|lightgbm\.(?:basic\.Booster|sklearn\.LGBM\w+)"
)
# Methods of scikit-learn that only look. Those that fit write to a cache, and unpickle from it.
_PREDICT = re.compile(
    r"predict(?:_\w+)?|decision_(?:function|path)|(?:inverse_)?transform|score_samples|apply"
    r"|(?:radius_|k)neighbors"
)
_CODE = ("code", "code_path", "code_paths")
_MODEL_CODE = "model_code_path"
_LOADED = ("data", "model_data", "model_path", "pickled_model", "python_model", "saved_model_dir")
_PICKLED = ("pickled_model", "python_model")
_PICKLE = "model.pkl"  # what is unpickled when no entry names another
# What a flavor looks for in its folder of data, which MLmodel need not name, and unpickles.
_DATA = "data"
_UNNAMED = {
    "pytorch": ("model.pth",),
    "tensorflow": ("custom_objects.cloudpickle", "global_custom_objects.cloudpickle"),
}
_ENVIRONMENT = ("conda", "env", "virtualenv")
_PATHS = (*_CODE, *_LOADED, *_ENVIRONMENT, "custom_objects", "path")
_PATH_ENDS = ("_path", "_paths", "_file", "_dir")
# What the user wrote for the model itself to read, and what MLflow does not join to the folder.
_NO_PATHS = ("config", "metadata", "model_config", "uri", _MODEL_CODE)
_LIBRARY = re.compile(r"[/\\]|\.so\b|\.dll\b|\.dylib\b|path|librar|external|plugin", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entries:
    """What a document says of code and of files.

    `code` are entries that run code, each with the reason. `loaded` are the paths of files and
    folders that a flavor loads, `pickled` those of them that it unpickles, `environment` those that
    describe the model's environment.
    """

    code: tuple[tuple[str, str], ...]
    loaded: frozenset[str]
    pickled: frozenset[str]
    environment: frozenset[str]


def read(folder: Path, document: Mapping[str, Any], loaders: frozenset[str]) -> Entries:
    """Read the entries of a parsed MLmodel document about the model in `folder`.

    Raises `FormatError` for a path that leaves the folder, or goes through a link, a pipe or a
    device, and for entries that are not of the kind that they should be.
    """
    flavors = _mapping(document.get("flavors"), "flavors")
    example = _mapping(document.get("saved_input_example_info"), "saved_input_example_info")
    code: list[tuple[str, str]] = []
    paths = list(_paths(example))
    for name, entry in flavors.items():
        conf = _mapping(entry, f"flavor {shown(name)}")
        paths += _paths(conf)
        paths += _unpickled(*_loaded_as(str(name), conf, flavors))
        code += _code(folder, conf, loaders)
        if name == "mlem" or conf.get("loader_module") == MLEM:
            code.append((f"flavor {shown(name)}", "is loaded by MLEM, which runs what it names"))
    for key, path in paths:
        inside(folder, path, f"MLmodel: {key}")
    return Entries(
        tuple(dict.fromkeys(code)),
        _under(_LOADED, paths),
        _under(_PICKLED, paths) | {_PICKLE},
        _under(_ENVIRONMENT, paths),
    )


def _under(keys: tuple[str, ...], paths: list[tuple[str, str]]) -> frozenset[str]:
    return frozenset(str(PurePosixPath(path)) for key, path in paths if key in keys)


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise FormatError(f"MLmodel: {what} must be a mapping, not {shown(value)}")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise FormatError(f"MLmodel: {what} must be text, not {shown(value)}")
    return value


# -- paths ---------------------------------------------------------------------------------


def _paths(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every path in an entry, with the key that it stands under."""
    for key, value in entry.items():
        if key not in _NO_PATHS:
            yield from _paths_at(key, value)


def _paths_at(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        yield from _paths(value)
    elif isinstance(value, list):
        for item in value:
            yield from _paths_at(key, item)
    elif value is not None and (key in _PATHS or key.endswith(_PATH_ENDS)):
        yield key, _text(value, key)


def _loaded_as(
    name: str, conf: Mapping[str, Any], flavors: Mapping[str, Any]
) -> tuple[str, Mapping[str, Any]]:
    """The flavor that loads an entry, and the entry as that one sees it."""
    loader = conf.get("loader_module")
    if name != PYTHON_FUNCTION or not isinstance(loader, str):
        return name, conf
    flavor = loader.rpartition(".")[2]
    return flavor, {**conf, **_mapping(flavors.get(flavor), f"flavor {shown(flavor)}")}


def _unpickled(flavor: str, conf: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The paths that a flavor unpickles though no entry says that they are pickles."""
    data = conf.get("model_data") or conf.get("data") or _DATA
    is_estimator = flavor == "lightgbm" and not str(conf.get("model_class")).endswith(".Booster")
    names = [f"{_text(data, 'data')}/{name}" for name in _UNNAMED.get(flavor, ())]
    if is_estimator or flavor == "pytorch":
        names.append(data)
    yield from (("pickled_model", _text(name, "data")) for name in names)


# -- code ----------------------------------------------------------------------------------


def _code(
    folder: Path, conf: Mapping[str, Any], loaders: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """What a flavor's entry runs that is not in the files that it loads."""
    for key, known in {"loader_module": loaders, **_MODULES}.items():
        module = conf.get(key)
        if module is not None and _text(module, key) not in (*known, MLEM):
            yield f"{key} {shown(module)}", "imports a module of no known flavor"
    for key in _CODE:
        for path in _listed(conf.get(key)):
            yield f"{key} {shown(path)}", "puts modules of the model on the import path"
    if (script := conf.get(_MODEL_CODE)) is not None:
        # MLflow writes the path that the script once had, and takes its last part only.
        name = re.split(r"[/\\]", _text(script, _MODEL_CODE))[-1]
        inside(folder, name, f"MLmodel: {_MODEL_CODE}")
        yield f"{_MODEL_CODE} {shown(name)}", "runs a script that makes the model"
    kind = conf.get("model_class")
    if kind is not None and not _CLASSES.fullmatch(_text(kind, "model_class")):
        yield f"model_class {shown(kind)}", "imports a class that is not the framework's"
    method = conf.get("predict_fn")
    if method is not None and not _PREDICT.fullmatch(_text(method, "predict_fn")):
        yield f"predict_fn {shown(method)}", "calls a method that may do more than predict"
    yield from _options(conf)


def _listed(value: Any) -> list[Any]:
    if not value:
        return []
    return value if isinstance(value, list) else [value]


def _options(conf: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Options of ONNX Runtime that make it load a library."""
    session = conf.get("onnx_session_options")
    extra = session.get("extra_session_config") if isinstance(session, Mapping) else None
    providers = [item for item in _listed(conf.get("providers")) if not isinstance(item, str)]
    for key, value in (("providers", providers), ("extra_session_config", extra)):
        if value and _LIBRARY.search(str(value)):
            yield key, "can make ONNX Runtime load a library"
