"""Objects in files: pickled, or as skops, which can be read without running code."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from gitml.errors import UsageError, shown
from gitml.models.flavor import need

CLOUDPICKLE, PICKLE, SKOPS = "cloudpickle", "pickle", "skops"
FILES = {CLOUDPICKLE: "model.pkl", PICKLE: "model.pkl", SKOPS: "model.skops"}


def check_format(form: str) -> str:
    """A `serialization_format`; UsageError for one that there is not."""
    if form not in FILES:
        raise UsageError(
            f"serialization_format {shown(form)} is not one; use {', '.join(sorted(FILES))}"
        )
    return form


def dump(model: Any, path: Path, form: str) -> None:
    """Write an object in one of the formats."""
    if form == SKOPS:
        need("skops.io", SKOPS).dump(model, path)
        return
    import pickle

    with path.open("wb") as file:
        # the default protocol, so that older Pythons can read it
        importlib.import_module(form).dump(model, file, protocol=pickle.DEFAULT_PROTOCOL)


def read(path: Path, form: str) -> Any:
    """The object in a file; what it may run was decided before, see gitml.models.trust."""
    if form == SKOPS:
        skops = need("skops.io", SKOPS)
        return skops.load(path, trusted=skops.get_untrusted_types(file=path))
    import pickle

    with path.open("rb") as file:
        return pickle.load(file)
