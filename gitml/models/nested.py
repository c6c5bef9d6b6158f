"""Nested values made to fit a type: lists, dictionaries and the scalars in them."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterable
from typing import Any

from gitml.errors import shown
from gitml.models.conversion import (
    FRACTIONS,
    OBJECTS,
    WHOLE,
    SchemaError,
    fit_column,
    is_missing,
    kind_of,
    listed,
)
from gitml.models.types import AnyType, Array, DataType, Map, Object, Type, shown_type

# A value of exactly this Python type is of the type; others are left to pandas.
_NATIVE: dict[DataType, type] = {
    DataType.boolean: bool,
    DataType.long: int,
    DataType.double: float,
    DataType.string: str,
}
_NO_NAN = (*OBJECTS, *WHOLE, DataType.boolean)  # a numpy array of them has no missing values


def fit_value(value: Any, wanted: Type, required: bool = True) -> Any:
    """A value inside nested data as the wanted type has it; the value is not changed.

    Raises SchemaError.
    """
    if isinstance(wanted, AnyType):
        return value
    if not required and is_missing(value):
        return None
    if isinstance(wanted, DataType):
        return _fit_scalar(value, wanted)
    if isinstance(wanted, Array):
        return _fit_array(value, wanted, required)
    if isinstance(wanted, Object):
        return _fit_object(value, wanted, required)
    return _fit_map(value, wanted, required)


def _fit_scalar(value: Any, wanted: DataType) -> Any:
    import numpy as np
    import pandas as pd

    if _is_native([value], wanted):
        return value if wanted is DataType.string else wanted.to_numpy().type(value)
    more = {DataType.datetime: dt.date, DataType.binary: bytearray}.get(wanted, ())
    try:
        if np.isscalar(value) or isinstance(value, more):
            return fit_column(pd.Series([value]), wanted)[0]
    except SchemaError:
        pass
    raise SchemaError(f"expected {wanted.name}, got {kind_of(value)}")


def _is_native(values: Iterable[Any], wanted: DataType) -> bool:
    """Whether values are Python's own of the wanted type, and in its range."""
    native = _NATIVE.get(wanted)
    if native is None or any(type(value) is not native for value in values):
        return False
    return native is not int or all(-(2**63) <= value < 2**63 for value in values)


def _fit_array(values: Any, wanted: Array, required: bool) -> Any:
    is_array = is_ndarray(values)
    if not is_array and not isinstance(values, list):
        if values is None and isinstance(wanted.dtype, AnyType):
            return values
        raise SchemaError(f"expected {shown_type(wanted)}, got {kind_of(values)}")
    if len(values) == 0:
        return values
    if isinstance(wanted.dtype, DataType):
        return _fit_elements(values, wanted.dtype, is_array)
    if isinstance(wanted.dtype, AnyType):
        return values
    fitted = []
    for at, item in enumerate(values):
        try:
            fitted.append(None if is_missing(item) else fit_value(item, wanted.dtype, required))
        except SchemaError as error:
            raise error.within(f"item {at}") from None
    return _as_array(fitted) if is_array else fitted


def is_ndarray(value: object) -> bool:
    """Whether a value is a numpy array; numpy is not imported for the answer."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _as_array(items: list[Any]) -> Any:
    import numpy as np

    try:
        return np.array(items)
    except ValueError:  # of different lengths
        array: Any = np.empty(len(items), dtype=object)
        array[:] = items
        return array


def _fit_elements(values: Any, wanted: DataType, is_array: bool) -> Any:
    """Scalars in a list or array; missing ones stay missing."""
    import pandas as pd

    if not is_array and _is_native(values, wanted):
        return list(values)
    # Pandas would make floats of whole numbers with gaps.
    has_gaps = wanted in WHOLE and any(map(is_missing, values))
    known = [value for value in values if not is_missing(value)] if has_gaps else values
    try:
        column: Any = fit_column(pd.Series(known), wanted) if len(known) else known
    except SchemaError as error:
        raise SchemaError(error.problem.replace("expected", "expected items of", 1)) from None
    except (TypeError, ValueError):
        raise SchemaError(f"expected {shown_type(Array(wanted))}, got a nested array") from None
    elements = _elements(values if has_gaps else column, wanted)
    if not is_array:
        return elements
    if wanted in _NO_NAN and None in elements:
        return _as_array(elements)
    return column.to_numpy(dtype=wanted.to_numpy())


def _elements(column: Any, wanted: DataType) -> list[Any]:
    """The items of a fitted column as Python has them, None for missing numbers."""
    if wanted in FRACTIONS:
        return list(column.to_numpy(dtype=wanted.to_numpy()).tolist())
    elements = []
    for at, value in enumerate(column):
        try:
            elements.append(None if is_missing(value) else _element(value, wanted))
        except (TypeError, UnicodeError):
            problem = f"expected {wanted.name}, got {kind_of(value)}"
            raise SchemaError(problem, f"item {at}") from None
    return elements


def _element(value: Any, wanted: DataType) -> Any:
    """One item of a column of objects. Raises TypeError when it is of another type."""
    if wanted in WHOLE:
        return int(value)
    if wanted is DataType.datetime:
        return value
    if wanted is DataType.binary:
        return value.encode() if isinstance(value, str) else bytes(memoryview(value))
    if wanted is DataType.string:
        if isinstance(value, (list, dict, set, tuple)) or is_ndarray(value):
            raise TypeError
        return value.decode() if isinstance(value, bytes) else str(value)
    if type(value).__name__ not in ("bool", "bool_"):
        raise TypeError
    return bool(value)


def _fit_object(value: Any, wanted: Object, required: bool) -> Any:
    if not isinstance(value, dict):
        raise SchemaError(f"expected {shown_type(wanted)}, got {kind_of(value)}")
    if not required and not value:
        return value
    known = {item.name: item for item in wanted.properties}
    for item in wanted.properties:
        if item.required and item.name not in value:
            raise SchemaError(f"the field {shown(item.name)} is missing")
    fitted = {}
    for name, inner in value.items():
        if name not in known:
            raise SchemaError(f"unknown field {shown(name)}; known: {listed(known)}")
        try:
            fitted[name] = fit_value(inner, known[name].dtype, known[name].required)
        except SchemaError as error:
            raise error.within(f"field {shown(name)}") from None
    return fitted


def _fit_map(value: Any, wanted: Map, required: bool) -> Any:
    if not isinstance(value, dict):
        if value is None and isinstance(wanted.value_type, AnyType):
            return value
        raise SchemaError(f"expected {shown_type(wanted)}, got {kind_of(value)}")
    fitted = {}
    for name, inner in value.items():
        if not isinstance(name, str):
            raise SchemaError(f"expected text as the keys of a Map, got {kind_of(name)}")
        try:
            fitted[name] = fit_value(inner, wanted.value_type, required)
        except SchemaError as error:
            raise error.within(f"field {shown(name)}") from None
    return fitted
