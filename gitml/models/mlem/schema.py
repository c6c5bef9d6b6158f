"""The arguments and results of MLEM's methods as a model signature. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitml.errors import GitmlError
from gitml.models.schema import ColSpec, Schema, TensorSpec
from gitml.models.signature import ModelSignature

_COLUMNS = {
    "bool": "boolean",
    "int32": "integer",
    "int64": "long",
    "float32": "float",
    "float64": "double",
    "object": "string",  # pandas' dtype of text before version 3
    "str": "string",
    "string": "string",
    "datetime64[ns]": "datetime",
}


def signature_of(method: Mapping[str, Any]) -> ModelSignature | None:
    """The signature of a method of one argument; None when MLEM has types that MLflow has not."""
    needed = [it for it in method.get("args") or [] if it.get("required", True)]
    inputs = _schema(needed[0].get("type_")) if len(needed) == 1 else None
    return None if inputs is None else ModelSignature(inputs, _schema(method.get("returns")))


def _schema(kind: Any) -> Schema | None:
    if not isinstance(kind, dict):
        return None
    try:
        if kind.get("type") == "ndarray":
            shape = [-1 if size is None else size for size in kind["shape"]]
            return Schema([TensorSpec(_numpy(kind["dtype"]), shape)])
        if kind.get("type") == "dataframe" and not kind.get("index_cols"):
            pairs = zip(kind["dtypes"], kind["columns"], strict=True)
            return Schema([ColSpec(_COLUMNS[dtype], str(name)) for dtype, name in pairs])
    except (GitmlError, KeyError, TypeError, ValueError):
        return None  # a type of columns that a signature does not know
    return None


def _numpy(name: str) -> Any:
    import numpy

    return numpy.dtype(name)
