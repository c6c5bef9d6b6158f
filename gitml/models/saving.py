"""Saving a model: its flavor's files, and all that MLflow's format has beside them."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from gitml.errors import GitmlError, UsageError, shown
from gitml.files import disk
from gitml.models import environment_files, example, imported, mlmodel, requirements
from gitml.models.enforce import enforce_inputs
from gitml.models.example import Example
from gitml.models.flavor import Flavor, Saved
from gitml.models.infer import schema_of
from gitml.models.mlmodel import PYTHON_FUNCTION, Model
from gitml.models.nested import is_ndarray
from gitml.models.options import SaveOptions
from gitml.models.signature import ModelSignature, infer_signature, signature_from_hints
from gitml.version import __version__

CODE = "code"


def save(
    flavor: Flavor,
    model: Any,
    path: str | Path,
    common: SaveOptions,
    own: Mapping[str, Any],
    *,
    run_id: str | None = None,
    artifact_path: str | None = None,
) -> Model:
    """Write a model's folder at `path`, where nothing may be yet; it appears whole or not at all.

    `common` are the options of every flavor, `own` those of this one.
    """
    target = Path(path)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{shown(str(target))} exists already; save the model to a new folder")
    with disk(f"save the model to {shown(str(target))}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".gitml-", dir=target.parent) as place:
            folder = Path(place) / "model"
            folder.mkdir()
            described = _fill(folder, flavor, model, common, own, (run_id, artifact_path))
            if target.is_dir():
                target.rmdir()
            os.replace(folder, target)
    return described


def _fill(
    folder: Path,
    flavor: Flavor,
    model: Any,
    common: SaveOptions,
    own: Mapping[str, Any],
    logged: tuple[str | None, str | None],
) -> Model:
    given = common.get("input_example")
    saved = flavor.save(model, folder, {**own, "input_example": given})
    shown_example = None if given is None else example.example_of(given)
    if shown_example is not None:
        shown_example.write(folder)
    code = _copy_code(common.get("code_paths") or (), folder)
    signature, hinted = _signature(folder, flavor, model, saved, common, shown_example)
    if shown_example is not None and common.get("signature"):
        _warn_of_example(folder, shown_example, signature)
    _write_environment(folder, model, saved, common, signature)
    described = Model(
        flavors=_flavors(flavor, saved, code),
        signature=signature,
        saved_input_example_info=shown_example.info if shown_example else None,
        metadata=common.get("metadata"),
        run_id=logged[0],
        artifact_path=logged[1],
        model_uuid=uuid.uuid4().hex,
        model_size_bytes=sum(file.stat().st_size for file in _files(folder)),
        utc_time_created=mlmodel.now(),
        is_signature_from_type_hint=hinted,
        gitml_version=__version__,
    )
    mlmodel.write(described, folder)
    return described


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _flavors(flavor: Flavor, saved: Saved, code: str | None) -> dict[str, dict[str, Any]]:
    flavors: dict[str, dict[str, Any]] = {}
    if saved.pyfunc is not None:
        flavors[PYTHON_FUNCTION] = {
            "code": code,
            "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            "loader_module": flavor.LOADER,
            "python_version": platform.python_version(),
            **saved.pyfunc,
        }
    if flavor.NAME != PYTHON_FUNCTION:
        flavors[flavor.NAME] = {**saved.conf, "code": code}
    return flavors


def _copy_code(paths: Iterable[str | Path], folder: Path) -> str | None:
    """Copy code that the model imports beside it; the folder's name, None without any."""
    if isinstance(paths, (str, Path)):
        raise UsageError("code_paths is a list of files and folders, such as ['src/features.py']")
    target = folder / CODE
    for path in map(Path, paths):
        if not path.exists():
            raise UsageError(f"code_paths: {shown(str(path))} does not exist")
        target.mkdir(exist_ok=True)
        if path.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".git")
            shutil.copytree(path, target / path.resolve().name, ignore=ignored)
        else:
            shutil.copyfile(path, target / path.name)
    return CODE if target.is_dir() else None


def _signature(
    folder: Path,
    flavor: Flavor,
    model: Any,
    saved: Saved,
    common: SaveOptions,
    given: Example | None,
) -> tuple[ModelSignature | None, bool]:
    """The signature that was given, of type hints, or of the example; whether it is of hints."""
    signature = common.get("signature")
    if signature is not None or saved.pyfunc is None:
        return signature or None, False
    if flavor.NAME == PYTHON_FUNCTION:
        hinted = signature_from_hints(getattr(model, "predict", model))
        if hinted is not None:
            return hinted, True
    if given is None:
        return None, False
    try:
        if flavor.NAME == PYTHON_FUNCTION:  # with its context
            model = flavor.load(folder, saved.pyfunc, {})
        outputs = flavor.predictor(model, saved.pyfunc)(deepcopy(given.data), given.params)
        return infer_signature(given.data, _by_row(given.data, outputs), given.params), False
    except Exception as error:  # a model's code may raise anything; the model is kept, as in MLflow
        reason = shown(f"{type(error).__name__}: {error}".rstrip(": "))
        warnings.warn(
            f"the model has no signature, its input example did not give one: {reason}",
            stacklevel=2,
        )
        return None, False


def _warn_of_example(folder: Path, given: Example, signature: ModelSignature | None) -> None:
    """Tell of an example that the model will refuse; the model is kept, and the example too."""
    if signature is None or signature.inputs is None:
        return
    try:
        enforce_inputs(example.read(folder, given.info, signature.inputs)[0], signature.inputs)
    except GitmlError as error:
        warnings.warn(f"the input example does not fit the signature: {error}", stacklevel=2)


def _by_row(inputs: Any, outputs: Any) -> Any:
    """The outputs; an answer for each row of columns as a column, as MLflow has it."""
    if not is_ndarray(outputs) or outputs.ndim != 1 or schema_of(inputs).is_tensor_spec():
        return outputs
    import pandas

    return pandas.Series(outputs)


def _warn_of_modules(left: Mapping[str, str]) -> None:
    """Name the user's own modules, and where they are, without which the model can't be loaded."""
    if left:
        warnings.warn(
            f"the model can be loaded only where {', '.join(left)} can be imported, which no"
            f" package has; to have it travel with the model: code_paths={[*left.values()]}",
            requirements.RequirementWarning,
            stacklevel=2,
        )


def _write_environment(
    folder: Path,
    model: Any,
    saved: Saved,
    common: SaveOptions,
    signature: ModelSignature | None,
) -> None:
    """Write the environment files: what the user gives, else what the model needs."""
    code, conda_env = common.get("code_paths") or (), common.get("conda_env")

    def modules() -> set[str]:
        pickled = (folder / saved.pickled).read_bytes() if saved.pickled else None
        roots, paths = imported.roots_of(model, pickled), [str(path) for path in code]
        _warn_of_modules(imported.left_behind(roots, paths))
        return imported.required(roots, paths)

    columns = signature and signature.inputs and not signature.inputs.is_tensor_spec()
    wanted = requirements.requirements_of(
        modules,
        defaults=(*saved.modules, *(("pandas",) if columns else ())),
        pip_requirements=common.get("pip_requirements"),
        extra_pip_requirements=common.get("extra_pip_requirements"),
        conda_env=conda_env,
    )
    environment_files.write(folder, wanted.lines, conda_env, wanted.constraints)
