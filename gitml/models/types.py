"""The types of columns, fields and parameters, with MLflow's names and JSON.

`DataType` is a scalar; `Array`, `Object`, `Map` and `AnyType` are for nested data. All are frozen
values. A type as JSON is a dictionary: `{"type": "long"}`, `{"type": "array", "items": {...}}`.
"""

from __future__ import annotations

import builtins
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from gitml.documents import near_miss, shown_kind
from gitml.errors import FormatError, UsageError, shown

MAX_DEPTH = 50
MAX_ENTRIES = 10_000

Name: TypeAlias = "str | int | float | tuple[str | int | float, ...]"


class DataType(Enum):
    """A scalar type: what it is in numpy, in pandas and in Python."""

    boolean = 1
    integer = 2  # 32 bits
    long = 3  # 64 bits
    float = 4  # 32 bits
    double = 5  # 64 bits
    string = 6
    binary = 7
    datetime = 8  # without a time zone, in nanoseconds

    __hash__ = object.__hash__  # a member is the only one of its kind; Enum's own is slower

    def __repr__(self) -> str:
        return self.name

    def to_numpy(self) -> Any:
        """The numpy dtype."""
        import numpy as np

        return np.dtype(_NUMPY_NAMES[self])

    def to_pandas(self) -> Any:
        """The dtype of a column of a DataFrame; text and bytes are in columns of objects."""
        return object if self in (DataType.string, DataType.binary) else self.to_numpy()

    def to_python(self) -> builtins.type:
        """The Python type; for datetime it is `datetime.date`."""
        return _PYTHON_TYPES[self]

    @classmethod
    def all_types(cls) -> list[DataType]:
        """Every scalar type."""
        return list(cls)

    @classmethod
    def from_numpy_type(cls, np_type: Any) -> DataType | None:
        """The type whose numpy dtype this is, if there is one."""
        return next((kind for kind in cls if kind.to_numpy() == np_type), None)


_NUMPY_NAMES = {
    DataType.boolean: "bool",
    DataType.integer: "int32",
    DataType.long: "int64",
    DataType.float: "float32",
    DataType.double: "float64",
    DataType.string: "str",
    DataType.binary: "bytes",
    DataType.datetime: "datetime64[ns]",
}
_PYTHON_TYPES: dict[DataType, type] = {
    DataType.boolean: bool,
    DataType.integer: int,
    DataType.long: int,
    DataType.float: float,
    DataType.double: float,
    DataType.string: str,
    DataType.binary: bytes,
    DataType.datetime: dt.date,
}


@dataclass(frozen=True, repr=False)
class AnyType:
    """Any value, None among them; nothing is checked."""

    def __repr__(self) -> str:
        return "Any"

    def to_dict(self) -> dict[str, Any]:
        """The type as JSON."""
        return {"type": "any"}


@dataclass(frozen=True, init=False, repr=False)
class Array:
    """A list, or an array, of values of one type."""

    dtype: Type

    def __init__(self, dtype: Type | str) -> None:
        object.__setattr__(self, "dtype", as_type(dtype))

    def __repr__(self) -> str:
        return f"Array({self.dtype!r})"

    def to_dict(self) -> dict[str, Any]:
        """The type as JSON."""
        return {"type": "array", "items": type_to_dict(self.dtype)}


@dataclass(frozen=True, init=False, repr=False)
class Map:
    """A dictionary whose keys are any text and whose values have one type."""

    value_type: Type

    def __init__(self, value_type: Type | str) -> None:
        object.__setattr__(self, "value_type", as_type(value_type))

    def __repr__(self) -> str:
        return f"Map(str -> {self.value_type!r})"

    def to_dict(self) -> dict[str, Any]:
        """The type as JSON."""
        return {"type": "map", "values": type_to_dict(self.value_type)}


@dataclass(frozen=True, init=False, repr=False)
class Property:
    """One field of an `Object`: its name, type, and whether it must be there."""

    name: str
    dtype: Type
    required: bool

    def __init__(self, name: str, dtype: Type | str, required: bool = True) -> None:
        if not isinstance(name, str):
            raise UsageError(f"the name of a property must be text, not {shown(name)}")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "dtype", as_type(dtype))
        object.__setattr__(self, "required", bool(required))

    def __repr__(self) -> str:
        return f"{self.name}: {self.dtype!r} ({'required' if self.required else 'optional'})"

    def to_dict(self) -> dict[str, Any]:
        """The property as JSON, under its name."""
        return {self.name: {**type_to_dict(self.dtype), "required": self.required}}


@dataclass(frozen=True, init=False, repr=False)
class Object:
    """A dictionary of named fields, which are sorted by name."""

    properties: tuple[Property, ...]

    def __init__(self, properties: Sequence[Property]) -> None:
        if not isinstance(properties, (list, tuple)) or not properties:
            raise UsageError("an Object needs a list of at least one Property")
        if wrong := [item for item in properties if not isinstance(item, Property)]:
            raise UsageError(f"an Object consists of Property values, not {shown(wrong[0])}")
        refuse_duplicates([item.name for item in properties], "property")
        ordered = tuple(sorted(properties, key=lambda item: item.name))
        object.__setattr__(self, "properties", ordered)

    def __repr__(self) -> str:
        return "{" + ", ".join(map(repr, self.properties)) + "}"

    def to_dict(self) -> dict[str, Any]:
        """The type as JSON."""
        properties: dict[str, Any] = {}
        for item in self.properties:
            properties.update(item.to_dict())
        return {"type": "object", "properties": properties}


Type: TypeAlias = DataType | Array | Object | Map | AnyType
TYPES = (DataType, Array, Object, Map, AnyType)


def as_type(value: Type | str) -> Type:
    """A type, or the scalar type of that name. Raises UsageError."""
    if isinstance(value, TYPES):
        return value
    if not isinstance(value, str):
        raise UsageError(f"a type must be a DataType, Array, Object or Map, not {shown(value)}")
    try:
        return DataType[value]
    except KeyError:
        names = [kind.name for kind in DataType]
        hint = near_miss(value, names) or f"; known: {', '.join(names)}"
        raise UsageError(f"unknown type {shown(value)}{hint}") from None


def refuse_duplicates(names: Sequence[Any], what: str) -> None:
    """Raise UsageError when a name stands twice."""
    if len(set(names)) < len(names):
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise UsageError(f"the {what} {shown(twice)} stands twice; names are unique")


def merge(one: Type, two: Type) -> Type:
    """The type that holds the values of both. Raises UsageError when there is none.

    AnyType stands for a value that was missing: it makes the fields of an Object optional.
    """
    if one == two:
        return one
    if isinstance(one, AnyType) or isinstance(two, AnyType):
        return _optional(two if isinstance(one, AnyType) else one)
    if isinstance(one, Array) and isinstance(two, Array):
        return Array(merge(one.dtype, two.dtype))
    if isinstance(one, Map) and isinstance(two, Map):
        return Map(merge(one.value_type, two.value_type))
    if isinstance(one, Object) and isinstance(two, Object):
        return _merge_objects(one, two)
    raise UsageError(f"values of different types, {shown_type(one)} and {shown_type(two)}")


def _optional(kind: Type) -> Type:
    if not isinstance(kind, Object):
        return kind
    return Object([Property(item.name, item.dtype, False) for item in kind.properties])


def _merge_objects(one: Object, two: Object) -> Object:
    left = {item.name: item for item in one.properties}
    right = {item.name: item for item in two.properties}
    merged = []
    for name in left | right:
        both = [side[name] for side in (left, right) if name in side]
        required = len(both) == 2 and all(item.required for item in both)
        merged.append(Property(name, merge(both[0].dtype, both[-1].dtype), required))
    return Object(merged)


def shown_type(kind: Type) -> str:
    """A type as a message names it."""
    return shown(repr(kind))[1:].removesuffix("'")


# -- JSON ----------------------------------------------------------------------------------


def type_to_dict(kind: Type) -> dict[str, Any]:
    """The type as JSON."""
    return {"type": kind.name} if isinstance(kind, DataType) else kind.to_dict()


class TypeReader:
    """Reads the types of one document, of bounded depth and number."""

    def __init__(self) -> None:
        self._left = MAX_ENTRIES

    def read(self, document: object, where: str, depth: int = 0) -> Type:
        """The type that a dictionary of JSON describes; `where` names it in a FormatError."""
        fields = as_fields(document, where)
        self._left -= 1
        if self._left < 0:
            raise FormatError(f"{where}: more than {MAX_ENTRIES} entries")
        if depth > MAX_DEPTH:
            raise FormatError(f"{where}: more than {MAX_DEPTH} levels")
        kind = fields.get("type")
        if kind == "array":
            return Array(self._inner(fields, "items", where, depth))
        if kind == "map":
            return Map(self._inner(fields, "values", where, depth))
        if kind == "object":
            return self._object(fields, where, depth)
        if kind == "any":
            return AnyType()
        if kind == "sparkml_vector":
            return Array(DataType.double)
        if not isinstance(kind, str):
            raise FormatError(f"{where}: 'type' must be text, not {shown_kind(kind)}")
        return DataType[kind] if kind in DataType.__members__ else _unknown(kind, where)

    def _inner(self, fields: Mapping[str, Any], key: str, where: str, depth: int) -> Type:
        return self.read(fields.get(key), _inside(where, key), depth + 1)

    def _object(self, fields: Mapping[str, Any], where: str, depth: int) -> Object:
        properties = fields.get("properties")
        if not isinstance(properties, Mapping) or not properties:
            raise FormatError(f"{where}: 'properties' must be a mapping with at least one field")
        found = []
        for name, document in properties.items():
            place = _inside(where, shown(name))
            kind = self.read(document, place, depth + 1)
            found.append(Property(name, kind, read_required(document, place)))
        return Object(found)


def as_fields(document: object, where: str) -> Mapping[str, Any]:
    """A document of JSON that must be a mapping. Raises FormatError."""
    if not isinstance(document, Mapping):
        raise FormatError(f"{where} must be a mapping, not {shown_kind(document)}")
    return document


def read_required(fields: Mapping[str, Any], where: str) -> bool:
    """Whether a column or property is required; old documents say `optional`, or nothing."""
    for key, opposite in (("required", False), ("optional", True)):
        value = fields.get(key)
        if value is not None:
            if not isinstance(value, bool):
                raise FormatError(f"{where}: '{key}' must be a boolean, not {shown_kind(value)}")
            return value is not opposite
    return True


def _unknown(kind: str, where: str) -> Type:
    names = [*DataType.__members__, "array", "object", "map", "any"]
    hint = near_miss(kind[:40], names) or f"; known: {', '.join(names)}"
    raise FormatError(f"{where}: unknown type {shown(kind)}{hint}")


def _inside(where: str, part: str) -> str:
    """A place inside another one; of a deep one the beginning says where it is."""
    return f"{where}.{part}" if len(where) < 100 else where if where.endswith("…") else f"{where}…"


def parse(text: object, where: str) -> list[tuple[object, str]]:
    """The items of a list in JSON text, each with its place. Raises FormatError."""
    if not isinstance(text, (str, bytes)):
        raise FormatError(f"{where} must be JSON text, not {shown_kind(text)}")
    try:
        items = json.loads(text)
    except RecursionError:
        raise FormatError(f"{where}: nested too deeply") from None
    except ValueError as error:
        raise FormatError(f"{where} can't be read as JSON: {shown(str(error))[1:-1]}") from None
    if not isinstance(items, list):
        raise FormatError(f"{where} must be a list, not {shown_kind(items)}")
    return [(item, f"{where}: item {at}") for at, item in enumerate(items)]


def dump(document: object, what: str) -> str:
    """Values as JSON text, in MLflow's form. Raises UsageError when `what` does not fit in JSON."""
    try:
        return json.dumps(document)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} can't be written as JSON: {error}") from None
