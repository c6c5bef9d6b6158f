"""The parameters that a prediction takes: names, types and defaults, as MLflow's `ParamSchema`."""

from __future__ import annotations

import datetime as dt
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitml.documents import shown_kind
from gitml.errors import FormatError, UsageError, shown
from gitml.models.conversion import SchemaError, kind_of
from gitml.models.nested import fit_value, is_ndarray
from gitml.models.types import (
    DataType,
    Object,
    TypeReader,
    as_fields,
    as_type,
    dump,
    parse,
    refuse_duplicates,
    shown_type,
    type_to_dict,
)

# What a param takes: these types of Python and numpy, nothing else.
_TAKEN: dict[object, tuple[str, ...]] = {
    DataType.boolean: ("bool",),
    DataType.integer: ("int", "int32"),
    DataType.long: ("int", "int64", "int32"),
    DataType.float: ("float", "float32", "int", "int32", "int64"),
    DataType.double: ("float", "float64", "float32", "int", "int32", "int64"),
    DataType.string: ("str",),
}
_ZONED = re.compile(r"[Tt ].*(?:[Zz]|[+-]\d\d:?\d\d)$")

Shape = tuple[int, ...]


@dataclass(frozen=True, init=False, repr=False)
class ParamSpec:
    """One parameter: a scalar, a list of scalars (shape `(-1,)`) or an Object, and its default."""

    name: str
    dtype: DataType | Object
    default: Any = field(hash=False)
    shape: Shape | None

    def __init__(
        self,
        name: str,
        dtype: DataType | Object | str,
        default: Any,
        shape: Sequence[int] | None = None,
    ) -> None:
        kind = as_type(dtype)
        if not isinstance(kind, (DataType, Object)) or kind is DataType.binary:
            raise UsageError(f"the param {shown(name)} must be a scalar or an Object, not {kind!r}")
        if shape is not None and tuple(shape) != (-1,):
            raise UsageError(f"the shape of the param {shown(name)} must be None or (-1,)")
        object.__setattr__(self, "name", str(name))
        object.__setattr__(self, "dtype", kind)
        object.__setattr__(self, "shape", None if shape is None else (-1,))
        object.__setattr__(self, "default", self.fit(default))

    def fit(self, value: Any) -> Any:
        """A value in Python's own type. Raises SchemaError when it has another type or shape."""
        try:
            if self.shape is not None:
                return _fit_list(value, self.dtype)
            if isinstance(self.dtype, DataType):
                return _fit_scalar(value, self.dtype)
            fit_value(value, self.dtype)
            return value
        except SchemaError as error:
            raise error.within(f"param {shown(self.name)}") from None

    def __repr__(self) -> str:
        shape = "" if self.shape is None else f" (shape: {self.shape})"
        return f"{self.name!r}: {self.dtype!r} (default: {self.default}){shape}"

    def to_dict(self) -> dict[str, Any]:
        """The param as JSON; a date or time is text."""
        default = self.default
        if self.dtype is DataType.datetime:
            default = [_text(item) for item in default] if self.shape else _text(default)
        kind = type_to_dict(self.dtype)
        return {"name": self.name, "default": default, "shape": self.shape, **kind}


def _text(moment: dt.date | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _fit_list(values: Any, wanted: DataType | Object) -> list[Any]:
    flat = isinstance(values, list) or (is_ndarray(values) and values.ndim == 1)
    if not flat or any(isinstance(item, list) or is_ndarray(item) for item in values):
        raise SchemaError(f"expected a list of {shown_type(wanted)}, got {kind_of(values)}")
    fitted = []
    for at, item in enumerate(values):
        try:
            fitted.append(_fit_scalar(item, wanted))
        except SchemaError as error:
            raise error.within(f"item {at}") from None
    return fitted


def _fit_scalar(value: Any, wanted: DataType | Object) -> Any:
    if value is None:
        return None
    if wanted is DataType.datetime:
        return _fit_moment(value)
    if isinstance(wanted, DataType) and _type_name(value) in _TAKEN[wanted]:
        try:
            return wanted.to_python()(value)
        except OverflowError:
            pass
    raise SchemaError(f"expected {shown_type(wanted)}, got {kind_of(value)}")


def _type_name(value: Any) -> str:
    """The name of a value's type, if it is one of Python's or numpy's; subclasses have none."""
    if type(value) in (bool, int, float, str):
        return type(value).__name__
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.generic):
        return ""
    return "str" if value.dtype.kind == "U" else str(value.dtype.name)


def _fit_moment(value: Any) -> dt.date | None:
    """A date or time, of UTC if it has a time zone; text is ISO 8601."""
    import numpy as np

    try:
        moment = np.datetime64(_without_zone(value)).item()
    except (ValueError, TypeError, OverflowError):
        moment = 0
    if moment is None or isinstance(moment, dt.date):
        return moment
    raise SchemaError(f"expected datetime, to the microsecond, got {kind_of(value)}")


def _without_zone(value: Any) -> Any:
    if isinstance(value, str) and _ZONED.search(value):
        value = dt.datetime.fromisoformat(re.sub("[Zz]$", "+00:00", value))
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.timezone.utc).replace(tzinfo=None)
    return value


@dataclass(frozen=True, init=False, repr=False)
class ParamSchema:
    """The parameters of a model, in order."""

    params: tuple[ParamSpec, ...]

    def __init__(self, params: Sequence[ParamSpec]) -> None:
        kinds = {type(item) for item in params} - {ParamSpec}
        if kinds:
            raise UsageError(f"a ParamSchema holds ParamSpec values, not {shown(kinds.pop())}")
        refuse_duplicates([item.name for item in params], "param")
        object.__setattr__(self, "params", tuple(params))

    def __len__(self) -> int:
        return len(self.params)

    def __iter__(self) -> Iterator[ParamSpec]:
        return iter(self.params)

    def __repr__(self) -> str:
        return repr(list(self.params))

    def to_dict(self) -> list[dict[str, Any]]:
        """The params as values for JSON."""
        return [item.to_dict() for item in self.params]

    def to_json(self) -> str:
        """The params as JSON. Raises UsageError when a default is nothing that JSON has."""
        return dump(self.to_dict(), "a default of the params")

    @classmethod
    def from_json(cls, json_str: str, where: str = "the params") -> ParamSchema:
        """The params that JSON text holds; `where` names it in a FormatError."""
        reader = TypeReader()
        specs = [_read(reader, item, place) for item, place in parse(json_str, where)]
        try:
            return cls(specs)
        except UsageError as error:
            raise FormatError(f"{where}: {error}") from None


def _read(reader: TypeReader, document: object, where: str) -> ParamSpec:
    fields = as_fields(document, where)
    kind = fields.get("type") or fields.get("dtype")
    if not isinstance(fields.get("name"), (str, int, float)):
        raise FormatError(f"{where}: 'name' must be text, not {shown_kind(fields.get('name'))}")
    if "default" not in fields:
        raise FormatError(f"{where}: 'default' is missing")
    shape = fields.get("shape")
    if shape is not None and not isinstance(shape, list):
        raise FormatError(f"{where}: 'shape' must be a list, not {shown_kind(shape)}")
    dtype: Any = reader.read({**fields, "type": kind}, where)
    try:
        return ParamSpec(fields["name"], dtype, fields["default"], shape)
    except UsageError as error:
        raise FormatError(f"{where}: {error}") from None
