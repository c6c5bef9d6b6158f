"""The python_function flavor: models that are Python code of the user's own.

The model, a `PythonModel` or a function, is pickled by value; `artifacts` are files beside it.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from gitml.errors import UsageError, shown
from gitml.models import extra_files, python_model
from gitml.models.flavor import Predict, Saved
from gitml.models.mlflow_twins import TWINS
from gitml.models.python_model import FunctionModel, PythonModelContext

NAME = "python_function"
LOADER = "mlflow.pyfunc.model"
EXTRA = "models"
OPTIONS = ("artifacts", "model_config")

MODEL_FILE = "python_model.pkl"


def save(model: Any, folder: Path, options: Mapping[str, Any]) -> Saved:
    """Pickle a PythonModel, or a function, and copy the files of `artifacts` beside it."""
    import cloudpickle

    if isinstance(model, (str, PurePath)):
        raise UsageError(f"python_model is {shown(str(model))}, a path: {python_model.FROM_CODE}")
    if not callable(getattr(model, "predict", None)):
        if isinstance(model, type) or not callable(model):
            raise UsageError(
                "python_model must be an instance of a class with a predict method, or a function,"
                f" not {shown(model)}"
            )
        model = FunctionModel(python_model.given_objects(model))
    artifacts = dict(_kept(options.get("artifacts") or {}, folder))
    with _by_value(), (folder / MODEL_FILE).open("wb") as file:
        cloudpickle.dump(model, file)
    conf: dict[str, Any] = {
        "cloudpickle_version": cloudpickle.__version__,
        "python_model": MODEL_FILE,
    }
    if artifacts:
        conf["artifacts"] = artifacts
    if options.get("model_config"):
        conf["config"] = dict(options["model_config"])
    return Saved({}, conf, ("cloudpickle",), MODEL_FILE)


@contextlib.contextmanager
def _by_value() -> Iterator[None]:
    """Pickle the base class with the model: where it is loaded there may be no gitml."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(python_model)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(python_model)


def _kept(artifacts: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Copy the artifacts into the model's folder; each with its path there."""
    for name, uri in artifacts.items():
        source = extra_files.local_of(str(uri))
        target = folder / "artifacts" / source.name
        if target.exists():
            target = folder / "artifacts" / name / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        extra_files.copy_to(source, target)
        yield str(name), {"path": target.relative_to(folder).as_posix(), "uri": str(uri)}


def load(folder: Path, conf: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The PythonModel, with its context loaded."""
    model = _unpickled(folder, conf)
    config = {**(conf.get("config") or {}), **(options.get("model_config") or {})}
    artifacts = conf.get("artifacts") or {}
    paths = {name: str(folder / item["path"]) for name, item in artifacts.items()}
    context = PythonModelContext(paths, config)
    model.load_context(context)
    model.__dict__["__gitml_context__"] = context
    return model


def _unpickled(folder: Path, conf: Mapping[str, Any]) -> Any:
    if "python_model" not in conf:
        raise UsageError(python_model.FROM_CODE)
    with (folder / conf["python_model"]).open("rb") as file:
        return _unpickler(file).load()


def _unpickler(file: Any) -> Any:
    """An unpickler that has a stand-in for what is MLflow's, where MLflow is not installed."""
    import pickle

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            try:
                return super().find_class(module, name)
            except ModuleNotFoundError:
                if (module, name) not in TWINS:
                    raise
                return TWINS[module, name]

    return Unpickler(file)


def predictor(model: Any, conf: Mapping[str, Any]) -> Predict:
    """Its predict, given the context and the params where it takes them."""
    parameters = inspect.signature(model.predict).parameters
    context = model.__dict__.get("__gitml_context__")
    first = (context,) if "context" in parameters or len(parameters) > 2 else ()
    with_params = "params" in parameters

    def predict(data: Any, params: Mapping[str, Any] | None) -> Any:
        if with_params:
            return model.predict(*first, data, params=params)
        return model.predict(*first, data)

    return predict
