"""A request that a model takes: its input example, or one made up from its signature."""

from __future__ import annotations

import json
from typing import Any

from gitml.errors import GitmlError
from gitml.models import example
from gitml.models.pyfunc import PyFuncModel
from gitml.models.schema import Schema, TensorSpec
from gitml.models.serving.tables import SPLIT
from gitml.models.serving.tensors import INPUTS
from gitml.models.types import Array, DataType, Map, Object

MAX_BYTES = 100_000  # of an example that is shown
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
    try:
        body = example.request(model.source.folder, model.metadata.saved_input_example_info)
        found = json.loads(body) if body is not None and len(body) <= MAX_BYTES else None
    except (GitmlError, OSError, ValueError, RecursionError):
        found = None  # what is only shown is no reason not to serve
    if not isinstance(found, dict):
        found = _made_up(model.metadata.get_input_schema())
    table = found.get(SPLIT)
    if isinstance(table, dict) and isinstance(rows := table.get("data"), list):
        kept = {key: table[key] for key in ("columns",) if key in table}
        found = {**found, SPLIT: {**kept, "data": rows[:1]}}
    return found


def _made_up(schema: Schema | None) -> dict[str, Any]:
    if schema is None:
        return {INPUTS: [[0.0]]}
    if schema.is_tensor_spec():
        arrays = {item.name: _array(item) for item in schema.inputs}
        return {INPUTS: arrays if schema.has_input_names() else arrays[None]}
    row = [value(kind) for kind in schema.input_types()]
    if schema.has_input_names():
        return {SPLIT: {"columns": schema.input_names(), "data": [row]}}
    return {SPLIT: {"data": [row]}}


def _array(spec: Any) -> Any:
    found: Any = scalar(spec)
    for size in reversed(spec.shape):
        found = [found] * (1 if size == -1 else min(size, 100))
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
