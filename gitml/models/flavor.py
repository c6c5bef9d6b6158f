"""Flavors: what a framework's models need, one module of gitml.models.flavors for each.

A flavor is a module with the members of `Flavor`. gitml's own are named in `FLAVORS`; another
package adds one by an entry point of the group `gitml.flavors`: the flavor's name and its module.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

from gitml.errors import UsageError, shown

GROUP = "gitml.flavors"
FLAVORS = {
    "python_function": "gitml.models.flavors.python_function",
    "sklearn": "gitml.models.flavors.sklearn",
    "xgboost": "gitml.models.flavors.xgboost",
    "lightgbm": "gitml.models.flavors.lightgbm",
    "onnx": "gitml.models.flavors.onnx",
    "mlem": "gitml.models.flavors.mlem",
    "pytorch": "gitml.models.flavors.pytorch",
    "keras": "gitml.models.flavors.keras",
    "tensorflow": "gitml.models.flavors.tensorflow",
}

_EMPTY: Mapping[str, Any] = MappingProxyType({})
Predict = Callable[[Any, Mapping[str, Any] | None], Any]  # (data, params) -> predictions


@dataclass(frozen=True, slots=True)
class Saved:
    """What a flavor wrote into a model's folder.

    `conf` is the flavor's entry in MLmodel. `pyfunc` is what the entry of python_function says
    beyond its loader and environment, None when the model can't predict. `modules` are those that
    loading the model imports in any case; `pickled` is the file that tells of more, a pickle.
    """

    conf: Mapping[str, Any]
    pyfunc: Mapping[str, Any] | None = None
    modules: tuple[str, ...] = ()
    pickled: str | None = None


class Flavor(Protocol):
    """What every flavor's module has.

    `NAME` is its name in MLmodel, `LOADER` the `loader_module` by which MLflow knows it, `EXTRA`
    the extra of gitml that installs the framework. `OPTIONS` are the options of saving and
    logging that it alone has.

    A flavor of another package may say `SAFE = True`: to load its models runs no code of whoever
    made them, whatever is in the files. See `vouched`.
    """

    NAME: str
    LOADER: str
    EXTRA: str
    OPTIONS: tuple[str, ...]

    def save(self, model: Any, folder: Path, options: Mapping[str, Any]) -> Saved:
        """Write the model's own files into `folder`.

        `options` are the flavor's own, and the `input_example` for those that trace the model.
        """
        ...

    def load(self, folder: Path, conf: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
        """The framework's object from a model's folder; `conf` is the flavor's entry.

        The option `predicting` says that it is for `predictor` alone.
        """
        ...

    def predictor(self, model: Any, conf: Mapping[str, Any]) -> Predict:
        """How such an object predicts; `conf` is the entry of python_function."""
        ...


def flavor(name: str) -> Flavor:
    """The flavor of that name; UsageError names those that there are."""
    module = FLAVORS.get(name) or _foreign().get(name)
    if module is None:
        known = ", ".join(sorted({*FLAVORS, *_foreign()}))
        raise UsageError(f"there is no flavor {shown(name)}; there are: {known}")
    return cast(Flavor, importlib.import_module(module))


def flavor_of_loader(loader: str) -> Flavor | None:
    """The flavor whose models have this `loader_module`, MLflow's name or ours; None for others."""
    name = LOADERS.get(loader)
    if name is not None:
        return flavor(name)
    return next((it for it in map(flavor, _foreign()) if loader == it.LOADER), None)


# MLflow's loader modules, by which both know a model; kept here so that none needs importing.
LOADERS = {
    "mlflow.pyfunc.model": "python_function",
    "mlflow.sklearn": "sklearn",
    "mlflow.xgboost": "xgboost",
    "mlflow.lightgbm": "lightgbm",
    "mlflow.onnx": "onnx",
    "gitml.mlem": "mlem",
    "mlflow.pytorch": "pytorch",
    "mlflow.keras": "keras",
    "mlflow.tensorflow": "tensorflow",
}


@functools.cache
def _foreign() -> Mapping[str, str]:
    """The flavors of other packages: name and module."""
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=GROUP)}


def vouched(document: Mapping[str, Any]) -> Mapping[str, str]:
    """The flavors of other packages that a model has and that say `SAFE`: name and loader.

    The document can only choose among those that are installed, by the name of the entry point.
    """
    entries = document.get("flavors")
    names = [name for name in entries if name in _foreign()] if isinstance(entries, Mapping) else []
    modules = {name: flavor(name) for name in names if name not in FLAVORS}
    return {name: it.LOADER for name, it in modules.items() if getattr(it, "SAFE", None) is True}


def need(module: str, extra: str) -> Any:
    """The framework's module; UsageError says what to install when it is not there."""
    try:
        return importlib.import_module(module)
    except OSError as error:  # a library of the system, such as libgomp
        raise UsageError(f"{module} is installed, but can't be loaded: {error}") from None
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise UsageError(
            f"this needs {module}, which is not installed: pip install 'gitml[{extra}]'"
        ) from None
