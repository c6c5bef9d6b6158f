"""A request that a model takes: its input example, or one made up from its signature."""

from __future__ import annotations

import json
import math
from typing import Any

from gitml.errors import GitmlError
from gitml.models import example
from gitml.models.pyfunc import PyFuncModel
from gitml.models.schema import Schema, TensorSpec
from gitml.models.serving.tables import SPLIT
from gitml.models.serving.tensors import INPUTS
from gitml.models.serving.text import check_depth
from gitml.models.types import Array, DataType, Map, Object

MAX_BYTES = 100_000  # of an example that is shown
_MAX_VALUES = 50_000  # of one that is made up
_SCALARS: dict[DataType, Any] = {
    DataType.boolean: True,
    DataType.integer: 0,
    DataType.long: 0,
    DataType.float: 0.0,
    DataType.double: 0.0,
    DataType.string: "text",
    DataType.binary: "AA==",
    DataType.datetime: "2024-01-01T00:00:00",
}


def request(model: PyFuncModel) -> dict[str, Any]:
    """The body of a request for a prediction, as values for JSON; its first row only."""
    info = model.metadata.saved_input_example_info
    try:
        body = example.request(model.source.folder, info, MAX_BYTES)
        found = None if body is None else json.loads(body)
        check_depth(found)
    except (GitmlError, OSError, ValueError, RecursionError):
        found = None  # what is only shown is no reason not to serve
    table = found.get(SPLIT, {}) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not _is_table(table):
        found = made_up(model.metadata.get_input_schema())
    elif table:
        kept = {key: table[key] for key in ("columns",) if key in table}
        found = {**found, SPLIT: {**kept, "data": table["data"][:1]}}
    clean: dict[str, Any] = plain(found)
    return clean


def _is_table(value: Any) -> bool:
    """Whether it is what stands under `dataframe_split`, or nothing."""
    if not isinstance(value, dict) or not value:
        return value == {}
    names, rows = value.get("columns", []), value.get("data")
    return (
        isinstance(names, list)
        and all(isinstance(name, str | int) for name in names)
        and isinstance(rows, list)
        and all(isinstance(row, list) for row in rows)
    )


def plain(value: Any) -> Any:
    """A value of a stranger's as JSON of UTF-8 can hold it: NaN is nothing, half a pair a mark."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def made_up(schema: Schema | None) -> dict[str, Any]:
    """A request with values of the types that the signature has."""
    if schema is None:
        return {INPUTS: [[0.0]]}
    if schema.is_tensor_spec():
        most = _MAX_VALUES // len(schema)
        arrays = {item.name: _array(item, most) for item in schema.inputs}
        return {INPUTS: arrays if schema.has_input_names() else arrays[None]}
    row = [value(kind) for kind in schema.input_types()]
    if schema.has_input_names():
        return {SPLIT: {"columns": schema.input_names(), "data": [row]}}
    return {SPLIT: {"data": [row]}}


def _array(spec: Any, most: int) -> Any:
    """Values in the shape of a tensor, or in a smaller one where they would be more than `most`."""
    found: Any = scalar(spec)
    count = 1
    for size in reversed(spec.shape):
        length = 1 if size == -1 else min(size, max(1, most // count))
        found = [found] * length
        count *= max(1, length)
    return found


def scalar(spec: TensorSpec) -> Any:
    """A value of a tensor."""
    if spec.dtype.startswith("float"):
        return 0.0
    if spec.dtype == "bool":
        return True
    return "text" if spec.dtype in ("str", "bytes", "object") else 0


def value(kind: Any) -> Any:
    """A value of a column's type."""
    if isinstance(kind, DataType):
        return _SCALARS[kind]
    if isinstance(kind, Array):
        return [value(kind.dtype)]
    if isinstance(kind, Map):
        return {"key": value(kind.value_type)}
    if isinstance(kind, Object):
        return {item.name: value(item.dtype) for item in kind.properties}
    return None
