"""The schema of data in memory, by MLflow's rules.

Arrays and dictionaries of arrays become tensors, everything else columns: DataFrames, Series, lists
of dictionaries, dictionaries, lists and scalars. A column is optional where values are missing.
"""

from __future__ import annotations

import datetime as dt
import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gitml.errors import UsageError, shown
from gitml.models.conversion import SchemaError, is_missing, is_text, kind_of
from gitml.models.nested import is_ndarray
from gitml.models.params import ParamSchema, ParamSpec
from gitml.models.schema import ColSpec, Schema, TensorSpec
from gitml.models.types import (
    MAX_DEPTH,
    AnyType,
    Array,
    DataType,
    Object,
    Property,
    Type,
    merge,
)

if TYPE_CHECKING:
    import pandas as pd

_SCALARS: dict[type, DataType] = {
    bool: DataType.boolean,
    int: DataType.long,
    float: DataType.double,
    str: DataType.string,
    bytes: DataType.binary,
    bytearray: DataType.binary,
    dt.date: DataType.datetime,
    dt.datetime: DataType.datetime,
}
_NUMPY_SCALARS = {
    "bool": DataType.boolean,
    "int32": DataType.integer,
    "int64": DataType.long,
    "float32": DataType.float,
    "float64": DataType.double,
}
_NUMPY_KINDS = {
    "b": DataType.boolean,
    "U": DataType.string,
    "S": DataType.binary,
    "M": DataType.datetime,
}
_WHOLE_NUMBERS = (
    "whole numbers have no missing values in pandas: where some may be missing later, they will"
    " come as floats and be refused; declare such columns as double, or infer the schema from"
    " data in which some are missing"
)


class OpaqueDataError(UsageError):
    """The data declares its fields in a class; its values don't tell them."""


def warn_of_whole_numbers(schema: Schema, stacklevel: int) -> None:
    """Say what becomes of whole numbers when some are missing, if the schema has such columns."""
    if schema.is_tensor_spec():
        return
    whole = [
        name
        for name, item in zip(schema.input_names(), schema.inputs, strict=True)
        if item.type in (DataType.integer, DataType.long)
    ]
    if whole:
        which = ", ".join(shown(name) for name in whole[:3]) + (", ..." if len(whole) > 3 else "")
        warnings.warn(f"{which}: {_WHOLE_NUMBERS}", UserWarning, stacklevel=stacklevel + 1)


def schema_of(data: Any) -> Schema:
    """The schema of a dataset, without a warning. Raises UsageError."""
    if isinstance(data, list):
        return _of_list(data)
    if isinstance(data, dict):
        return _of_dict(data)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return _of_frame(data)
    if pandas is not None and isinstance(data, pandas.Series):
        required = not bool(data.isna().any())
        return Schema([ColSpec(_column_type(data), data.name, required)])
    if is_ndarray(data) or is_sparse(data):
        return Schema([tensor_of(data)])
    return Schema([ColSpec(type_of(data))])


def _of_list(data: list[Any]) -> Schema:
    if not data:
        return Schema([ColSpec(DataType.string)])
    if not all(isinstance(item, dict) for item in data):
        return Schema([ColSpec(_item_type(data))])
    columns: dict[Any, list[Any]] = {}
    for item in data:
        for name, value in item.items():
            columns.setdefault(name, []).append(value)
    specs = []
    for name, values in columns.items():
        required = all(item.get(name) is not None for item in data)
        specs.append(ColSpec(_at(name, values, _item_type), name, required))
    return Schema(specs)


def _of_dict(data: dict[Any, Any]) -> Schema:
    if all(is_ndarray(value) for value in data.values()):
        return Schema([tensor_of(value, name) for name, value in data.items()])
    specs = []
    for name, value in data.items():
        if not isinstance(name, str):
            raise UsageError(f"the names of columns must be text, not {shown(name)}")
        missing = any(map(is_missing, value)) if isinstance(value, list) else is_missing(value)
        specs.append(ColSpec(_at(name, value, type_of), name, not missing))
    return Schema(specs)


def _of_frame(data: pd.DataFrame) -> Schema:
    if not data.columns.is_unique:
        twice = data.columns[data.columns.duplicated()][0]
        raise UsageError(f"the column {shown(twice)} stands twice; names are unique")
    missing = data.isna().any().tolist()
    return Schema(
        [
            ColSpec(_at(name, column, _column_type), name, not absent)
            for (name, column), absent in zip(data.items(), missing, strict=True)
        ]
    )


def _at(name: object, values: Any, infer: Any) -> Any:
    """What `infer` says of a column; its error with the name of the column."""
    try:
        return infer(values)
    except UsageError as error:
        raise type(error)(f"column {shown(name)}: {error}") from None


def _column_type(column: pd.Series) -> Type:
    if column.dtype.kind == "O":
        column = column.infer_objects()
    if column.dtype.kind != "O":
        return numpy_type(column.dtype)
    if not len(column) and (column.dtype == "object" or is_text(column.dtype)):
        return DataType.string
    return _item_type(column.to_list())


# -- tensors -------------------------------------------------------------------------------


def is_sparse(data: Any) -> bool:
    """Whether data is a sparse matrix of scipy, compressed by rows or columns."""
    return getattr(data, "format", None) in ("csr", "csc") and hasattr(data, "tocsr")


def tensor_of(data: Any, name: Any = None) -> TensorSpec:
    """The spec of an array or sparse matrix; its first dimension may have any length."""
    if not data.ndim:
        raise UsageError("an array without dimensions is no dataset; pass the number itself")
    return TensorSpec(tensor_dtype(data), (-1, *data.shape[1:]), name)


def tensor_dtype(data: Any) -> Any:
    """The dtype of an array as a spec has it: of text and bytes without a length."""
    return {"U": "str", "S": "bytes"}.get(data.dtype.kind, data.dtype.name)


# -- types ---------------------------------------------------------------------------------


def type_of(value: Any, depth: int = 0) -> Type:
    """The type of a value: scalar, list, array or dictionary. Raises UsageError.

    None, NaN, an empty list and an empty dictionary may be anything.
    """
    found = _type_of(value, depth)
    if found is None:
        raise UsageError("an empty array does not tell the type")
    return found


def _type_of(value: Any, depth: int) -> Type | None:
    """The type of a value, None for an empty array, which has none."""
    if depth > MAX_DEPTH:
        raise UsageError(f"the data is nested in more than {MAX_DEPTH} levels")
    if is_missing(value) or (isinstance(value, (list, dict)) and not value):
        return AnyType()
    if isinstance(value, dict):
        return Object([_property(name, item, depth) for name, item in value.items()])
    if isinstance(value, list) or (is_ndarray(value) and value.ndim):
        item = _common_type(value, depth)
        return None if item is None else Array(item)
    return _scalar_type(value)


def _property(name: Any, value: Any, depth: int) -> Property:
    kind = type_of(value, depth + 1)
    return Property(name, kind, required=not isinstance(kind, AnyType))


def _item_type(values: list[Any]) -> Type:
    """The type of the items of a list that is a column."""
    found = _common_type(values, 0)
    if found is None:
        raise UsageError("no values that tell the type")
    return found


def _common_type(values: Any, depth: int) -> Type | None:
    """The type that holds every item; each type of scalars is looked at once."""
    found: Type | None = None
    seen: set[type] = set()
    for value in values:
        if type(value) in seen:
            continue
        kind = _type_of(value, depth + 1)
        if isinstance(kind, DataType):
            seen.add(type(value))
        if kind is not None:
            found = kind if found is None else merge(found, kind)
    return found


def _scalar_type(value: Any) -> DataType:
    if found := _SCALARS.get(type(value)):
        return found
    if hasattr(value, "model_dump"):
        raise OpaqueDataError(
            "the fields of pydantic objects are declared in their class; give the predict function"
            " a type hint such as list[Model], or pass value.model_dump()"
        )
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        found = _NUMPY_SCALARS.get(value.dtype.name) or _NUMPY_KINDS.get(value.dtype.kind)
    if found is None and isinstance(value, dt.datetime):  # pandas' Timestamp
        found = DataType.datetime
    if found is None:
        raise UsageError(f"no type of a schema describes {kind_of(value)}")
    return found


def numpy_type(dtype: Any) -> DataType:
    """The type of a dtype of numpy or pandas. Raises UsageError."""
    kind, size = dtype.kind, getattr(dtype, "itemsize", 99)
    if kind in "iu" and size <= 8:
        if size < 4 or (kind, size) == ("i", 4):
            return DataType.integer
        if size < 8 or kind == "i":
            return DataType.long
    if kind == "f" and size <= 8:
        return DataType.float if size <= 4 else DataType.double
    if kind not in _NUMPY_KINDS:
        raise UsageError(f"no type of a schema describes {shown(str(dtype))[1:-1]}")
    return _NUMPY_KINDS[kind]


# -- params --------------------------------------------------------------------------------


def infer_params(parameters: Mapping[str, Any]) -> ParamSchema:
    """The schema of parameters, with their values as defaults.

    A parameter is a scalar, a list of scalars or a dictionary. Raises UsageError.
    """
    if not isinstance(parameters, Mapping):
        raise UsageError(f"the params must be a dictionary, not {kind_of(parameters)}")
    specs = []
    for name, value in parameters.items():
        try:
            specs.append(_param(name, value))
        except SchemaError:
            raise
        except UsageError as error:
            raise UsageError(f"param {shown(name)}: {error}") from None
    return ParamSchema(specs)


def _param(name: str, value: Any) -> ParamSpec:
    import copy

    if isinstance(value, list) or (is_ndarray(value) and value.ndim):
        return ParamSpec(name, _list_type(value), copy.copy(value), (-1,))
    if isinstance(value, dict):
        return ParamSpec(name, _object_type(value), copy.deepcopy(value))
    if _is_moment(value):
        return ParamSpec(name, DataType.datetime, value)
    return ParamSpec(name, _param_type(value), value)


def _object_type(value: dict[Any, Any]) -> Object:
    kind = type_of(value)
    if not isinstance(kind, Object):
        raise UsageError("an empty dictionary has no type")
    return kind


def _list_type(values: Any) -> DataType:
    if any(isinstance(item, list) or is_ndarray(item) for item in values):
        raise UsageError("a list in a list; a param is a scalar, a list of scalars or a dictionary")
    return DataType.datetime if all(map(_is_moment, values)) else _param_type(values)


def _is_moment(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return isinstance(value, dt.date) or (numpy is not None and isinstance(value, numpy.datetime64))


def _param_type(value: Any) -> DataType:
    """The type that numpy gives to a scalar, or to the scalars in a list."""
    import numpy as np

    is_list = isinstance(value, list) or (is_ndarray(value) and value.ndim)
    if not np.isscalar(value) and not is_list:
        raise UsageError(
            f"a param is a scalar, a list of scalars or a dictionary, not {kind_of(value)}"
        )
    try:
        return numpy_type(np.array(value).dtype)
    except ValueError:  # of different lengths
        raise UsageError("a list of scalars is expected") from None
