"""A model of MLEM becomes a model folder: its files are taken as they are, nothing is run.

What other flavors read too gets that flavor, because then MLEM is needed no more: estimators that
MLEM pickles as scikit-learn's flavor does, and the boosters of XGBoost and LightGBM, which are
files without code. Everything else stays a model of MLEM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitml import files
from gitml.errors import UsageError, shown
from gitml.models import flavor as flavors
from gitml.models import log, saving
from gitml.models.flavor import Flavor, Predict, Saved
from gitml.models.flavors import mlem
from gitml.models.mlem import metadata, pins
from gitml.models.mlem.metadata import Metadata
from gitml.models.mlem.schema import signature_of
from gitml.models.mlmodel import Model, ModelInfo
from gitml.models.options import SaveOptions
from gitml.models.pickles import scan
from gitml.models.serialization import serialization_of
from gitml.models.trust import UntrustedModelError

FLAVORS = ("auto", "native", "mlem")

# What the pickle of an estimator may import for it to be one of these libraries' own.
_LIBRARIES = frozenset(
    "_codecs builtins collections copyreg joblib lightgbm numpy scipy sklearn xgboost".split()
)
_WITHOUT_CODE = ("lightgbm", "xgboost")  # the flavors whose files are none and hold none
_ESTIMATORS = frozenset({"lightgbm", "sklearn", "xgboost"})


def save_imported(path: Path, target: Path, flavor: str = "auto") -> Model:
    """Make the new folder `target` of a model of MLEM.

    `flavor` is `native` for the flavor of the wrapped object, `mlem` to keep it as it is, and
    `auto` for the first if there is one. Raises `UsageError` and `FormatError` as `metadata.read`.
    """
    found = metadata.read(path)
    chosen = _chosen(found, flavor)
    return saving.save(chosen, found, target, _options(found, chosen), {})


def check_loggable(path: Path, flavor: str = "auto", *, allow_code: bool) -> Metadata:
    """The model of MLEM, if it may be logged to a run.

    Of a run the repository answers for its models, so one that can run code needs `allow_code`:
    UntrustedModelError without it.
    """
    found = metadata.read(path)
    if not allow_code and _chosen(found, flavor).NAME not in _WITHOUT_CODE:
        raise UntrustedModelError(
            f"the model {shown(found.name)} can run code of whoever made it, and what is logged to"
            " a run is loaded without a question; if you trust them, allow it: --allow-code, or"
            " make a folder of it: --output-directory"
        )
    return found


def log_imported(
    path: Path, name: str | None = None, flavor: str = "auto", *, run_id: str | None = None
) -> ModelInfo:
    """Log a model of MLEM, which may be logged, to a run, by default the active one, as `name`."""
    found = metadata.read(path)
    chosen = _chosen(found, flavor)
    common: dict[str, Any] = {**_options(found, chosen), "run_id": run_id}
    return log.log_model(chosen, found, name or found.name, common, {})


def options_of(found: Metadata) -> SaveOptions:
    """How a model of MLEM is saved as it is: its signature, its packages and those of MLEM."""
    method = found.methods.get(found.method or "")
    lines = pins.repaired(found.requirements)
    return {"signature": signature_of(method or {}) or False, "pip_requirements": lines}


def _options(found: Metadata, chosen: Flavor) -> SaveOptions:
    options = options_of(found)
    if chosen.NAME != mlem.NAME:
        options["pip_requirements"] = list(found.requirements)
    return options


def _chosen(found: Metadata, wanted: str) -> Flavor:
    if wanted not in FLAVORS:
        raise UsageError(f"flavor {shown(wanted)} is not one; use {', '.join(FLAVORS)}")
    native = None if wanted == "mlem" else _native(found)
    if native is None and wanted == "native":
        raise UsageError(
            f"{found.path.name} holds what no other flavor reads ({shown(found.kind)}); keep it as"
            " a model of MLEM: --flavor mlem"
        )
    return native or flavors.flavor(mlem.NAME)


# -- native flavors ------------------------------------------------------------------------


@dataclass
class _Taken:
    """A flavor that saves a file as it is, instead of an object."""

    NAME: str
    LOADER: str
    EXTRA: str
    OPTIONS: tuple[str, ...]
    entries: Callable[[Metadata, Path], Saved]

    def save(self, model: Any, folder: Path, options: Mapping[str, Any]) -> Saved:
        """Copy the one artifact of a model of MLEM."""
        saved = self.entries(model, folder)
        source = model.path.parent / next(iter(model.artifacts.values()))
        target = folder / str(saved.conf.get("data") or saved.conf["pickled_model"])
        files.copy(source, target)
        target.chmod(0o644)
        return saved

    def load(self, folder: Path, conf: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
        """The framework's object."""
        return flavors.flavor(self.NAME).load(folder, conf, options)

    def predictor(self, model: Any, conf: Mapping[str, Any]) -> Predict:
        """How it predicts."""
        return flavors.flavor(self.NAME).predictor(model, conf)


def _native(found: Metadata) -> Flavor | None:
    """The flavor that reads the model's one file; None when it is MLEM's alone."""
    if len(found.processors) != 1 or len(found.artifacts) != 1 or found.has_code:
        return None
    file = found.path.parent / next(iter(found.artifacts.values()))
    kind = serialization_of(file).kind
    if found.kind.startswith("sklearn") and _io(found) in ("", "simple_pickle"):
        imports = {name.partition(".")[0] for name in scan(file).imports}
        if found.method and imports <= _LIBRARIES and imports & _ESTIMATORS:
            return _taken("sklearn", _sklearn)
    if found.kind == "xgboost" and kind in ("xgboost-ubj", "xgboost-json"):
        return _taken("xgboost", _xgboost)
    if found.kind == "lightgbm" and kind == "lightgbm-text":
        return _taken("lightgbm", _lightgbm)
    return None


def _io(found: Metadata) -> str:
    io = found.processors[metadata.MAIN].get("io")
    return str(io.get("type", "")) if isinstance(io, dict) else str(io or "")


def _taken(name: str, entries: Callable[[Metadata, Path], Saved]) -> Flavor:
    flavor = flavors.flavor(name)
    return _Taken(flavor.NAME, flavor.LOADER, flavor.EXTRA, flavor.OPTIONS, entries)


def _version(found: Metadata, name: str) -> str | None:
    """The version of a package that the model was saved with."""
    lines = [line for line in found.requirements if line.startswith(f"{name}==")]
    return lines[0].partition("==")[2] if lines else None


def _sklearn(found: Metadata, folder: Path) -> Saved:
    conf = {
        "pickled_model": "model.pkl",
        "serialization_format": "pickle",
        "sklearn_version": _version(found, "scikit-learn"),
    }
    return Saved(conf, {"model_path": "model.pkl", "predict_fn": found.method})


def _xgboost(found: Metadata, folder: Path) -> Saved:
    file = found.path.parent / next(iter(found.artifacts.values()))
    form = serialization_of(file).kind.removeprefix("xgboost-")
    conf = {
        "data": f"model.{form}",
        "model_class": "xgboost.core.Booster",
        "model_format": form,
        "xgb_version": _version(found, "xgboost"),
    }
    return Saved(conf, {"data": f"model.{form}"})


def _lightgbm(found: Metadata, folder: Path) -> Saved:
    conf = {
        "data": "model.lgb",
        "lgb_version": _version(found, "lightgbm"),
        "model_class": "lightgbm.basic.Booster",
    }
    return Saved(conf, {"data": "model.lgb"})
