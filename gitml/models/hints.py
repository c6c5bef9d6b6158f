"""The types that annotations declare: of a predict function's hints, and of a dataclass' fields."""

from __future__ import annotations

import datetime as dt
import inspect
import typing
from collections.abc import Callable
from dataclasses import is_dataclass
from types import SimpleNamespace, UnionType
from typing import Any, NamedTuple

from gitml.errors import UsageError, shown
from gitml.models.schema import ColSpec, Schema
from gitml.models.types import AnyType, Array, DataType, Map, Object, Property, Type

SCALARS: dict[object, DataType] = {
    bool: DataType.boolean,
    int: DataType.long,
    float: DataType.double,
    str: DataType.string,
    bytes: DataType.binary,
    dt.datetime: DataType.datetime,
}
# MLflow has other types in dataclasses than in the hints of functions.
_FIELDS: dict[object, DataType] = {
    bool: DataType.boolean,
    int: DataType.long,
    float: DataType.float,
    str: DataType.string,
    bytes: DataType.binary,
    dt.date: DataType.datetime,
}
_ANYTHING = Schema([ColSpec(AnyType())])


class Field(NamedTuple):
    """What a hint says of a value: its type, and whether it may not be None."""

    type: Type
    required: bool = True


class _NoTypeError(Exception):
    """A hint that no type of a schema describes."""


def schemas_from_hints(function: Callable[..., Any]) -> tuple[Schema, Schema] | None:
    """The schemas of what a predict function takes and returns, if its hints tell the first.

    The input is the first parameter after `self` and `context`; its hint is a `list[...]` of
    scalars, lists, dictionaries with text as keys, pydantic models or Any. Of DataFrames and arrays
    a hint tells nothing. A result that is not described so may be anything.
    """
    if not inspect.isroutine(function) and callable(function):
        function = function.__call__  # type: ignore[operator]
    try:
        inputs = _schema(_element(_hint(function, input_name(function))))
    except (_NoTypeError, RecursionError):
        return None
    try:
        result = _hint(function, "return")
        return inputs, _schema(_element(result) if typing.get_origin(result) is list else result)
    except (_NoTypeError, RecursionError):
        return inputs, _ANYTHING


def item_hint(function: Callable[..., Any]) -> object | None:
    """What an item of a predict function's input is by its hint, `list[...]`; None without one."""
    try:
        return _element(_hint(function, input_name(function)))
    except _NoTypeError:
        return None


def input_name(function: Callable[..., Any]) -> str:
    """The parameter that takes the data: the second when there is a context before it."""
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    others = [name for name in names if name != "params"]
    has_context = "context" in names or len(others) == 2
    return [*names, "", ""][1 if has_context else 0]


def is_pydantic(hint: Any) -> bool:
    """Whether a hint is a class of pydantic."""
    return hasattr(hint, "model_fields") and not typing.get_origin(hint)


def names_pydantic(hint: Any) -> bool:
    """Whether a hint is a class of pydantic, or is made of some."""
    return is_pydantic(hint) or any(map(names_pydantic, typing.get_args(hint)))


def _hint(function: Any, name: str) -> object:
    """One hint of a function; the others may name what exists for type checkers only."""
    hints = getattr(function, "__annotations__", {})
    if name not in hints:
        raise _NoTypeError
    only = SimpleNamespace(__annotations__={name: hints[name]})
    names = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return typing.get_type_hints(only, names)[name]
    except (AttributeError, NameError, SyntaxError, TypeError):
        raise _NoTypeError from None


def _element(hint: object) -> object:
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is not list or len(arguments) != 1:
        raise _NoTypeError
    return arguments[0]


def _schema(hint: object) -> Schema:
    """The schema of one column without a name."""
    field = _field(hint)
    if not field.required:
        raise _NoTypeError
    return Schema([ColSpec(field.type)])


def _field(hint: Any) -> Field:
    if hint is Any:
        return Field(AnyType())
    if isinstance(hint, type) and hint in SCALARS:
        return Field(SCALARS[hint])
    if is_pydantic(hint):
        return Field(_model(hint))
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return Field(Array(_field(_element(hint)).type))
    if origin is dict and len(arguments) == 2 and arguments[0] is str:
        return Field(Map(_field(arguments[1]).type))
    if origin in (typing.Union, UnionType):
        known = [item for item in arguments if item is not type(None)]
        kind = _field(known[0]).type if (len(known), len(arguments)) == (1, 2) else AnyType()
        return Field(kind, len(known) == len(arguments))
    raise _NoTypeError


def _model(model: Any) -> Object:
    """The fields of a class of pydantic."""
    properties = []
    for name, info in model.model_fields.items():
        field = _field(info.annotation)
        if not field.required and info.is_required():
            raise _NoTypeError  # pydantic demands it, though its hint says that it may be missing
        properties.append(Property(name, field.type, field.required))
    if not properties:
        raise _NoTypeError
    return Object(properties)


# -- dataclasses ---------------------------------------------------------------------------


def schema_of_dataclass(source: Any) -> Schema:
    """A column for each field of a dataclass, or of an instance of one.

    A field is a scalar, a dataclass, a list of either, or one of them or None. Raises UsageError.
    """
    kind = source if isinstance(source, type) else type(source)
    try:
        fields = _fields(kind)
    except RecursionError:
        raise UsageError(f"{kind.__name__} contains itself; a schema can't") from None
    return Schema([ColSpec(field.type, name, field.required) for name, field in fields.items()])


def _fields(kind: type) -> dict[str, Field]:
    try:
        hints = typing.get_type_hints(kind)
    except (AttributeError, NameError, SyntaxError, TypeError) as error:
        raise UsageError(f"the types of {kind.__name__} are not known: {error}") from None
    return {name: _dataclass_field(hint, f"{kind.__name__}.{name}") for name, hint in hints.items()}


def _dataclass_field(hint: Any, where: str) -> Field:
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, UnionType):
        known = [item for item in arguments if item is not type(None)]
        if len(known) == 1 and len(arguments) == 2:
            return Field(_dataclass_field(known[0], where).type, required=False)
    elif typing.get_origin(hint) is list and len(arguments) == 1:
        return Field(Array(_dataclass_field(arguments[0], where).type))
    elif isinstance(hint, type) and is_dataclass(hint):
        items = _fields(hint).items()
        return Field(Object([Property(name, field.type, field.required) for name, field in items]))
    elif isinstance(hint, type) and hint in _FIELDS:
        return Field(_FIELDS[hint])
    raise UsageError(f"the field {shown(where)} has a type that no schema describes: {shown(hint)}")
