"""The columns or tensors that a model takes or returns, as MLflow's `Schema`.

A `Schema` consists of `ColSpec` values (tables) or of `TensorSpec` values (arrays), never of both.
All are frozen values. Their JSON is MLflow's, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from gitml.documents import shown_kind, unknown_key
from gitml.errors import FormatError, UsageError, shown
from gitml.models.params import ParamSchema as ParamSchema
from gitml.models.params import ParamSpec as ParamSpec
from gitml.models.types import (
    MAX_ENTRIES,
    DataType,
    Name,
    Type,
    TypeReader,
    as_fields,
    as_type,
    dump,
    parse,
    read_required,
    refuse_duplicates,
    type_to_dict,
)

Spec: TypeAlias = "ColSpec | TensorSpec"

_DTYPE = re.compile(
    r"bool|u?int(?:8|16|32|64)|float(?:16|32|64|96|128)|complex(?:64|128|192|256)"
    r"|str|bytes|object|(?:datetime|timedelta)64(?:\[\d{0,9}(?:[YMWDhms]|[munpfa]s)\])?"
)


@dataclass(frozen=True, init=False, repr=False)
class ColSpec:
    """One column: its type, its name (None in a table without names), and if it must be there."""

    type: Type
    name: Name | None
    required: bool

    def __init__(self, type: Type | str, name: Name | None = None, required: bool = True) -> None:
        object.__setattr__(self, "type", as_type(type))
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "required", bool(required))

    def __repr__(self) -> str:
        name = "" if self.name is None else f"{self.name!r}: "
        return f"{name}{self.type!r} ({'required' if self.required else 'optional'})"

    def to_dict(self) -> dict[str, Any]:
        """The column as JSON."""
        name = {} if self.name is None else {"name": self.name}
        return {**type_to_dict(self.type), **name, "required": self.required}


@dataclass(frozen=True, init=False, repr=False)
class TensorSpec:
    """One array: the name of its dtype, its shape (-1 for any length), and its name."""

    dtype: str
    shape: tuple[int, ...]
    name: Name | None

    def __init__(self, type: Any, shape: Sequence[int], name: Name | None = None) -> None:
        if not isinstance(shape, (list, tuple)):
            raise UsageError(f"the shape of a tensor must be a tuple, not {shown(shape)}")
        object.__setattr__(self, "dtype", _dtype_name(type))
        object.__setattr__(self, "shape", tuple(_dimension(size) for size in shape))
        object.__setattr__(self, "name", name)

    @property
    def type(self) -> Any:
        """The numpy dtype. Raises UsageError for one that this machine does not have."""
        import numpy as np

        try:
            return np.dtype(self.dtype)
        except TypeError:
            raise UsageError(f"numpy has no {self.dtype} on this machine") from None

    @property
    def required(self) -> bool:
        """Always true."""
        return True

    def __repr__(self) -> str:
        name = "" if self.name is None else f"{self.name!r}: "
        return f"{name}Tensor({self.dtype!r}, {self.shape!r})"

    def to_dict(self) -> dict[str, Any]:
        """The tensor as JSON."""
        name = {} if self.name is None else {"name": self.name}
        tensor = {"dtype": self.dtype, "shape": self.shape}
        return {**name, "type": "tensor", "tensor-spec": tensor}


def _dtype_name(dtype: Any) -> str:
    """The name of a dtype, or of one that numpy knows by that text."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", None)
    if isinstance(name, str) and _DTYPE.fullmatch(name):
        return name
    if isinstance(dtype, str) and re.fullmatch(r"[<>=|]?\w{1,20}", dtype):
        import numpy as np

        try:
            return _dtype_name(np.dtype(dtype))
        except TypeError:
            pass
    advice = "; text and bytes have no length here, write str or bytes"
    sized = isinstance(name, str) and re.fullmatch(r"(?:str|bytes)\d+", name)
    raise UsageError(f"a tensor can't have the dtype {shown(dtype)}{advice if sized else ''}")


def _dimension(size: Any) -> int:
    if isinstance(size, bool) or not hasattr(size, "__index__") or size < -1:
        raise UsageError(f"a shape consists of whole numbers from -1 on, not {shown(size)}")
    return int(size)


@dataclass(frozen=True, init=False, repr=False)
class Schema:
    """The columns, or the tensors, of a dataset in their order; all have names, or none has."""

    inputs: tuple[Spec, ...]

    def __init__(self, inputs: Sequence[Spec]) -> None:
        if not isinstance(inputs, (list, tuple)) or not inputs:
            raise UsageError("a Schema needs a list of at least one ColSpec or TensorSpec")
        if len(inputs) > MAX_ENTRIES:
            raise UsageError(
                f"a Schema of {len(inputs)} columns; at most {MAX_ENTRIES} are possible, use an"
                " array, which is one tensor"
            )
        _check_specs(inputs)
        object.__setattr__(self, "inputs", tuple(inputs))

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> Iterator[Spec]:
        return iter(self.inputs)

    def __repr__(self) -> str:
        return repr(list(self.inputs))

    def is_tensor_spec(self) -> bool:
        """Whether the schema consists of tensors."""
        return isinstance(self.inputs[0], TensorSpec)

    def has_input_names(self) -> bool:
        """Whether the columns or tensors have names."""
        return self.inputs[0].name is not None

    def input_names(self) -> list[Any]:
        """The names, or the numbers of the columns when they have none."""
        return [at if item.name is None else item.name for at, item in enumerate(self.inputs)]

    def required_input_names(self) -> list[Any]:
        """The names, or numbers, of those that must be there."""
        return [name for name, item in self._named() if item.required]

    def optional_input_names(self) -> list[Any]:
        """The names of those that may be missing."""
        return [name for name, item in self._named() if not item.required]

    def _named(self) -> Iterator[tuple[Any, Spec]]:
        return zip(self.input_names(), self.inputs, strict=True)

    def input_types(self) -> list[Any]:
        """The types of columns, or numpy dtypes of tensors."""
        return [item.type for item in self.inputs]

    def input_types_dict(self) -> dict[Any, Any]:
        """The types by name. Raises UsageError when there are no names."""
        return dict(zip(self.input_dict(), self.input_types(), strict=True))

    def input_dict(self) -> dict[Any, Spec]:
        """The columns or tensors by name. Raises UsageError when there are no names."""
        if not self.has_input_names():
            raise UsageError("the columns of this schema have no names")
        return dict(self._named())

    def numpy_types(self) -> list[Any]:
        """The numpy dtypes. Raises UsageError when a column holds nested data."""
        if self.is_tensor_spec():
            return self.input_types()
        return [kind.to_numpy() for kind in self._scalar_types()]

    def pandas_types(self) -> list[Any]:
        """The dtypes of columns. Raises UsageError for tensors and nested data."""
        if self.is_tensor_spec():
            raise UsageError("tensors have no pandas types; use numpy_types()")
        return [kind.to_pandas() for kind in self._scalar_types()]

    def _scalar_types(self) -> list[DataType]:
        kinds = self.input_types()
        if not all(isinstance(kind, DataType) for kind in kinds):
            raise UsageError("some columns of this schema hold nested data, which has no dtype")
        return kinds

    def to_dict(self) -> list[dict[str, Any]]:
        """The columns or tensors as values for JSON."""
        return [item.to_dict() for item in self.inputs]

    def to_json(self) -> str:
        """The schema as JSON. Raises UsageError when a name is nothing that JSON has."""
        return dump(self.to_dict(), "a name in the schema")

    @classmethod
    def from_json(cls, json_str: str, where: str = "the schema") -> Schema:
        """The schema that JSON text holds; `where` names it in a FormatError."""
        reader = TypeReader()
        specs = [_read_spec(reader, item, place) for item, place in parse(json_str, where)]
        try:
            return cls(specs)
        except UsageError as error:
            raise FormatError(f"{where}: {error}") from None


def _check_specs(specs: Sequence[Spec]) -> None:
    for kind in (ColSpec, TensorSpec):
        if isinstance(specs[0], kind) and not all(isinstance(item, kind) for item in specs):
            raise UsageError("a Schema holds columns only, or tensors only, not both")
    if not isinstance(specs[0], (ColSpec, TensorSpec)):
        raise UsageError(f"a Schema holds ColSpec or TensorSpec values, not {shown(specs[0])}")
    names = [item.name for item in specs if item.name is not None]
    if names and len(names) < len(specs):
        raise UsageError("either all columns or tensors of a Schema have names, or none has")
    if not names and isinstance(specs[0], TensorSpec) and len(specs) > 1:
        raise UsageError("several tensors need names")
    if not names and not all(item.required for item in specs):
        raise UsageError("an optional column needs a name")
    refuse_duplicates(names, "column or tensor")


# -- JSON ----------------------------------------------------------------------------------


def _read_spec(reader: TypeReader, document: object, where: str) -> Spec:
    fields = as_fields(document, where)
    name = fields.get("name")
    if isinstance(name, list):  # a column with several levels of names
        name = tuple(name)
    levels = name if isinstance(name, tuple) else (name,)
    if not all(level is None or isinstance(level, (str, int, float)) for level in levels):
        raise FormatError(f"{where}: 'name' must be text, not {shown_kind(fields['name'])}")
    try:
        if fields.get("type") == "tensor":
            return _read_tensor(fields.get("tensor-spec"), name, where)
        kind = reader.read(fields, where)
        if isinstance(kind, DataType):
            known = {"type", "name", "required", "optional"}
            if strange := next((key for key in fields if key not in known), None):
                raise FormatError(f"{where}: {unknown_key(strange, known)}")
        return ColSpec(kind, name, read_required(fields, where))
    except UsageError as error:
        raise FormatError(f"{where}: {error}") from None


def _read_tensor(fields: object, name: Any, where: str) -> TensorSpec:
    if not isinstance(fields, dict):
        raise FormatError(f"{where}: 'tensor-spec' must be a mapping, not {shown_kind(fields)}")
    dtype, shape = fields.get("dtype"), fields.get("shape")
    if not isinstance(dtype, str) or not isinstance(shape, list):
        raise FormatError(f"{where}: a tensor needs a 'dtype' (text) and a 'shape' (a list)")
    return TensorSpec(dtype, shape, name)
