"""Logging a model: its folder becomes artifacts of the run, and an entry in the run's record."""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from gitml.errors import StorageError
from gitml.files import remedy
from gitml.models import flavor as flavors
from gitml.models import saving
from gitml.models.digest import digest_of_folder
from gitml.models.flavor import Flavor
from gitml.models.mlmodel import Model, ModelInfo
from gitml.models.options import SaveOptions
from gitml.tracking.autolog import AutologOptions
from gitml.tracking.fluent import log_params
from gitml.tracking.fluent.runs import checked_tags, session_of
from gitml.tracking.names import check_artifact_path
from gitml.tracking.record import Json
from gitml.tracking.walk import files_under

DEFAULT_NAME = "model"


def log_model(
    flavor: Flavor, model: Any, path: str | None, common: Mapping[str, Any], own: Mapping[str, Any]
) -> ModelInfo:
    """Log a model to a run, by default the active one, at the path `path` of its artifacts.

    A model that was logged at the path before is replaced. With `registered_model_name` it is
    registered once the run is finished.
    """
    name = check_artifact_path(path or DEFAULT_NAME)
    registrar = _registrar(common.get("registered_model_name"))
    tags = checked_tags(common.get("tags") or {})
    if common.get("params"):
        log_params(common["params"], run_id=common.get("run_id"))
    names = SaveOptions.__annotations__
    options = cast(SaveOptions, {key: it for key, it in common.items() if key in names})
    with session_of(common.get("run_id")) as session, contextlib.ExitStack() as stack:

        def save(place: Path | str) -> tuple[Path, Model]:
            folder, run_id = Path(place) / "model", session.run_id
            described = saving.save(
                flavor, model, folder, options, own, run_id=run_id, artifact_path=name
            )
            return folder, described

        try:
            folder, saved = save(stack.enter_context(session.workshop()))
        except StorageError as error:
            if not remedy(error.__cause__):
                raise
            # the disk of the run is full: what is saved elsewhere can be held in memory
            folder, saved = save(stack.enter_context(tempfile.TemporaryDirectory()))
        entry = entry_of(saved, folder, tags)
        files = ((file, f"{name}/{inside}") for file, inside in files_under(folder))
        session.model(name, files, entry)
    info = ModelInfo(f"runs:/{session.run_id}/{name}", name, session.run_id, saved)
    if registrar is not None:
        registrar.ask(session.run_id, name, common["registered_model_name"])
    return info


# The registry stands on this module, and is imported when a model is to be registered.
_REGISTRAR = "gitml.registry.asked"


def _registrar(name: str | None) -> Any:
    """What registers models as `name`; None when that is not asked for."""
    if not name:
        return None
    found = importlib.import_module(_REGISTRAR)
    found.check_model_name(name)
    return found


def entry_of(model: Model, folder: Path, tags: Mapping[str, str]) -> dict[str, Json]:
    """What the run's record says of a model: what a reviewer wants to know without loading it."""
    import json

    signature = model.signature.to_dict() if model.signature else {}
    entry: dict[str, Json] = {
        "digest": digest_of_folder(folder),
        "flavors": sorted(model.flavors),
        "size": sum(file.stat().st_size for file, _ in files_under(folder)),
        "uuid": model.model_uuid,
        "versions": _versions(model),
        "signature": {key: json.loads(text) for key, text in signature.items() if text},
        "tags": dict(tags),
    }
    return {key: value for key, value in entry.items() if value not in (None, {}, [])}


def _versions(model: Model) -> dict[str, Json]:
    """The versions of Python and of the frameworks, by the names of MLmodel's fields."""
    found: dict[str, Json] = {}
    for entry in model.flavors.values():
        for key, value in entry.items():
            if key.endswith("_version") and value is not None:
                found[key.removesuffix("_version")] = str(value)
    return found


def log_fitted(
    name: str,
    model: Any,
    path: str,
    inputs: Any,
    options: AutologOptions,
    own: Mapping[str, Any],
) -> None:
    """Log what an autologged training made, as `options` say; `inputs` are its training data."""
    from gitml.models.signature import infer_signature

    flavor = flavors.flavor(name)
    some = None if inputs is None else inputs[:5]
    common: dict[str, Any] = {"registered_model_name": options.more.get("registered_model_name")}
    if options.log_input_examples and some is not None:
        common["input_example"] = some
    if options.log_model_signatures and some is not None:
        predict = flavor.predictor(model, {}) if hasattr(model, "predict") else None
        common["signature"] = infer_signature(some, predict(some, None) if predict else None)
    else:
        common["signature"] = False
    log_model(flavor, model, path, common, own)
