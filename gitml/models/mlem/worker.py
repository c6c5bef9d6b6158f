"""What is done in the environment that has MLEM; started by gitml.models.mlem.bridge alone.

The job, JSON on standard input: `action` is export or build, `source` the folder of a model whose
code may be run, `target` the path of MLEM's model without its suffix, `kind`, `output` and `name`
the builder, where it writes, and the name of the package.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gitml.documents import load_json
from gitml.errors import GitmlError, UsageError
from gitml.models import enforce, example, load, mlmodel, pyfunc
from gitml.models.locate import Located
from gitml.models.mlem.metadata import SUFFIX
from gitml.models.mlmodel import PYTHON_FUNCTION
from gitml.models.pyfunc import PyFuncModel
from gitml.models.serving import sample
from gitml.models.signature import ModelSignature

REFUSED = 2
_OBJECTS = ("sklearn", "xgboost", "lightgbm")  # whose objects MLEM knows itself
_TEXTS = re.compile(r"^( *(?:- )?dtype: )str(\d+)$", re.MULTILINE)
_BITS = 32  # of a character
_PYTHON = ">={0}.{1},<{0}.{2}"


def main() -> None:
    """Do the job on standard input; exit code 2 and its one line for an error of gitml's own."""
    job = load_json(sys.stdin.buffer.read(), "the job")
    try:
        if job["action"] == "export":
            export(Path(job["source"]), Path(job["target"]))
        else:
            build(Path(job["target"]), job["kind"], job["output"], job["name"])
    except GitmlError as error:
        sys.stderr.write(f"\n{error}\n")
        sys.exit(REFUSED)


def export(folder: Path, target: Path) -> None:
    """Save a model as one of MLEM."""
    from mlem.api import save

    model = mlmodel.read(folder)
    located = Located(str(folder), folder, trusted=True)
    found = _object(located, model)
    try:
        save(found, str(target), sample_data=_sample(located, model))
    except Exception:
        if model.saved_input_example_info:
            raise
        save(found, str(target))  # MLEM asks the model, which may refuse what was made up
    _name_texts(target.with_name(target.name + SUFFIX))


def _name_texts(file: Path) -> None:
    """Write the types of arrays of text as NumPy reads them: MLEM does not read its own `str64`."""
    text = file.read_text(encoding="utf-8")
    named = _TEXTS.sub(lambda it: f"{it[1]}'<U{int(it[2]) // _BITS}'", text)
    file.write_text(named, encoding="utf-8")


def _object(located: Located, model: mlmodel.Model) -> Any:
    """What MLEM saves: the framework's object, or a function."""
    for name in _OBJECTS:
        if name in model.flavors:
            found = load.native(name, located.folder, {}, allow_code=True)
            return _readable(found) if name == "xgboost" else found
    if set(model.flavors) != {PYTHON_FUNCTION}:
        held = ", ".join(sorted(set(model.flavors) - {PYTHON_FUNCTION}))
        raise UsageError(f"MLEM takes models of {', '.join(_OBJECTS)} and functions, not of {held}")
    return _function(pyfunc.loaded(located, model))


def _readable(booster: Any) -> Any:
    """The booster, whose class shows its arguments: MLEM does not look behind a decorator."""
    kind = type(booster)
    kind.predict = inspect.unwrap(kind.predict)
    return booster


def _function(model: PyFuncModel) -> Callable[[Any], Any]:
    """The user's function, or one that calls the predict of the user's class."""
    raw = model.get_raw_model()
    if (function := getattr(raw, "func", None)) is not None:
        return function  # type: ignore[no-any-return]
    raise UsageError("MLEM takes functions; a class with a predict can't be exported to it")


def _sample(located: Located, model: mlmodel.Model) -> Any:
    """Data that show MLEM what the model takes; None when nothing is known of it."""
    if model.saved_input_example_info:
        schema = model.get_input_schema()
        data, _ = example.read(located.folder, model.saved_input_example_info, schema)
        return _fitting(data, model.signature)
    if model.signature is None or model.signature.inputs is None:
        return None
    return _made_up(model.signature.inputs)


def _fitting(data: Any, signature: ModelSignature | None) -> Any:
    inputs = signature.inputs if signature else None
    return data if inputs is None else enforce.enforce_inputs(data, inputs)


def _made_up(inputs: Any) -> Any:
    import numpy
    import pandas

    if not inputs.is_tensor_spec():
        row = [sample.value(kind) for kind in inputs.input_types()]
        names = inputs.input_names() if inputs.has_input_names() else None
        return enforce.enforce_inputs(pandas.DataFrame([row], columns=names), inputs)
    if len(inputs) != 1 or inputs.has_input_names():
        return None
    spec = next(iter(inputs))
    return numpy.zeros([1 if size == -1 else size for size in spec.shape], spec.type)


# -- MLEM's builders -----------------------------------------------------------------------


def build(target: Path, kind: str, output: str, name: str) -> None:
    """Run one of MLEM's builders on a model of its own."""
    from mlem.api import load_meta

    python = _PYTHON.format(*sys.version_info[:2], sys.version_info[1] + 1)
    _BUILDERS[kind](output, name, python).build(load_meta(str(target), load_value=False))


def _requirements(output: str, name: str, python: str) -> Any:
    from mlem.contrib.requirements import RequirementsBuilder

    return RequirementsBuilder(target=f"{output}/requirements.txt")


def _package(output: str, name: str, python: str) -> Any:
    from mlem.contrib.pip.base import PipBuilder

    return PipBuilder(target=output, package_name=name, python_version=python)


def _docker(output: str, name: str, python: str) -> Any:
    from mlem.contrib.docker.base import DockerDirBuilder
    from mlem.contrib.docker.context import DockerBuildArgs
    from mlem.contrib.fastapi import FastAPIServer

    base = "python:{}.{}-slim".format(*sys.version_info[:2])
    arguments = DockerBuildArgs(base_image=base)
    return DockerDirBuilder(target=output, server=FastAPIServer(), args=arguments)


_BUILDERS: Mapping[str, Callable[[str, str, str], Any]] = {
    "requirements": _requirements,
    "pip": _package,
    "whl": _package,  # the wheel is made of the package when its requirements are repaired
    "docker_dir": _docker,
}
