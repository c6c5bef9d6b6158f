"""Data made to fit the type hints of a predict function, which declare the signature of its model.

The function gets a list of what its hint names: Python's own values, and objects of pydantic where
the hint names a class of it. What does not fit is a SchemaError, as for any other signature.
"""

from __future__ import annotations

import typing
from types import UnionType
from typing import Any

from gitml.errors import shown
from gitml.models import tables
from gitml.models.conversion import SchemaError, is_missing, kind_of, listed
from gitml.models.hints import SCALARS, is_pydantic
from gitml.models.nested import is_ndarray

_EXACT = 2**53  # every whole number up to here is a float too
_CHECKS_OF_ITS_OWN = ("value_error", "assertion_error")  # their texts may repeat the data


def fit_items(data: Any, hint: Any) -> list[Any]:
    """The data as a list whose items are what `hint` says. Raises SchemaError.

    Of a DataFrame the items are the values of its only column; where dictionaries or objects are
    wanted, its rows.
    """
    if tables.is_frame(data):
        data = _items(data, hint)
    elif tables.is_series(data):
        data = data.tolist()
    return _list(data, hint)


def _items(frame: Any, hint: Any) -> list[Any]:
    columns = frame.columns.tolist()
    if columns != [0] and (is_pydantic(hint) or typing.get_origin(hint) is dict):
        return list(frame.to_dict("records"))
    if len(columns) != 1:
        raise SchemaError(f"expected a list, or a table of one column, got {len(columns)} columns")
    return list(frame.iloc[:, 0].tolist())


def _list(values: Any, hint: Any) -> list[Any]:
    if is_ndarray(values):
        values = values.tolist()
    if not isinstance(values, list):
        raise SchemaError(f"expected a list, got {kind_of(values)}")
    fitted = []
    for at, value in enumerate(values):
        try:
            fitted.append(_fit(value, hint))
        except SchemaError as error:
            raise error.within(f"item {at}") from None
    return fitted


def _fit(value: Any, hint: Any) -> Any:
    if is_pydantic(hint):
        return _object(value, hint)
    if isinstance(hint, type) and hint in SCALARS:
        return _scalar(value, hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return _list(value, arguments[0])
    if origin is dict:
        return _dictionary(value, arguments[1])
    if origin in (typing.Union, UnionType):
        known = [item for item in arguments if item is not type(None)]
        if len(known) < len(arguments) and is_missing(value):
            return None
        return _fit(value, known[0]) if len(known) == 1 else value
    return value


def _scalar(value: Any, wanted: type) -> Any:
    if hasattr(value, "dtype") and hasattr(value, "item"):  # numpy's
        value = value.item()
    if isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)):
        return value
    if wanted is float and type(value) is int and abs(value) <= _EXACT:
        return float(value)
    raise SchemaError(f"expected {SCALARS[wanted].name}, got {kind_of(value)}")


def _dictionary(value: Any, hint: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SchemaError(f"expected a dictionary, got {kind_of(value)}")
    fitted = {}
    for name, inner in value.items():
        if not isinstance(name, str):
            raise SchemaError(f"expected text as the keys of a dictionary, got {kind_of(name)}")
        try:
            fitted[name] = _fit(inner, hint)
        except SchemaError as error:
            raise error.within(f"field {shown(name)}") from None
    return fitted


def _object(value: Any, model: Any) -> Any:
    """An object of a class of pydantic, which converts nothing, as in MLflow."""
    if isinstance(value, model):
        return value
    if not isinstance(value, dict):
        raise SchemaError(
            f"expected a dictionary for {shown(model.__name__)}, got {kind_of(value)}"
        )
    try:
        return model.model_validate(value, strict=True)
    except ValueError as error:  # pydantic's is one
        raise _named(error, model) from None


def _named(error: Any, model: Any) -> SchemaError:
    """The first fault that pydantic found: where, and what was expected."""
    if not callable(getattr(error, "errors", None)):
        return SchemaError(f"is no {shown(model.__name__)}")
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    problem = (
        "refused by a check of its own" if fault["type"] in _CHECKS_OF_ITS_OWN else fault["msg"]
    )
    place = [f"field {listed(['.'.join(map(str, fault['loc']))])}"] if fault["loc"] else []
    return SchemaError(problem, *place)
