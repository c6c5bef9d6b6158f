"""Models as MLEM 0.4.14 writes them, made without MLEM."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

from gitml.documents import dump_yaml

COLUMNS = {
    "type": "dataframe",
    "columns": ["a", "b"],
    "dtypes": ["float64", "int64"],
    "index_cols": [],
}
ARRAY = {"type": "ndarray", "dtype": "float64", "shape": [None]}


def artifact(path: Path, uri: str) -> dict[str, Any]:
    """What a `.mlem` file says of an artifact."""
    data = path.read_bytes()
    return {"uri": uri, "size": len(data), "hash": hashlib.md5(data).hexdigest()}


def method(name: str, argument: Any = COLUMNS, returns: Any = ARRAY) -> dict[str, Any]:
    """A method of one argument."""
    arguments = [{"name": "X", "type_": copy.deepcopy(argument)}]
    return {"name": name, "args": arguments, "returns": copy.deepcopy(returns)}


def document(content: bytes, folder: Path, **other: Any) -> dict[str, Any]:
    """The metadata of the model `m`, a pickle, whose artifact is written into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "m").write_bytes(content)
    model = {"type": "sklearn", "methods": {"predict": method("predict")}}
    return {
        "artifacts": {"data": artifact(folder / "m", "m")},
        "call_orders": {"predict": [["model", "predict"]]},
        "object_type": "model",
        "processors": {"model": model},
        "requirements": [
            {"module": "sklearn", "package_name": "scikit-learn", "version": "1.9.1"},
            {"module": "pandas", "version": "3.1.1"},
        ],
        **other,
    }


def write(folder: Path, found: Any) -> Path:
    """The `.mlem` file of such metadata."""
    path = folder / "m.mlem"
    path.write_bytes(found if isinstance(found, bytes) else dump_yaml(found))
    return path
