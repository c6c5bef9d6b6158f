"""Inputs and params of a prediction, made to fit the signature of the model, by MLflow's rules.

What fits is passed on as it is, what can be converted without changing a value is converted, and
anything else is refused. What depends on the schema only is prepared once, in an `Enforcer`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gitml.errors import shown
from gitml.models import tables
from gitml.models.conversion import SchemaError as SchemaError
from gitml.models.conversion import kind_of, listed
from gitml.models.nested import is_ndarray
from gitml.models.params import ParamSchema
from gitml.models.schema import ColSpec, Schema, TensorSpec
from gitml.models.tensors import fit_tensors
from gitml.models.types import AnyType, DataType, shown_type

if TYPE_CHECKING:
    import pandas as pd

_MOST_NAMES = 5


def enforce_inputs(data: Any, schema: Schema, *, strict: bool = False) -> Any:
    """The data as the model takes it: a DataFrame, or for tensors an array or a dictionary of them.

    Columns come in the order of the schema, others are dropped; with `strict` they are refused.
    Raises SchemaError, which names the column, what was expected, and what came.
    """
    return enforcer(schema)(data, strict=strict)


def enforce_params(
    params: Mapping[str, Any] | None, schema: ParamSchema | None, *, strict: bool = False
) -> dict[str, Any]:
    """The params as the model takes them, defaults filled in.

    Params that the schema does not know are dropped; with `strict` they are refused. Raises
    SchemaError, which names the param, what was expected, and what came.
    """
    if params is not None and not isinstance(params, Mapping):
        raise SchemaError(f"expected a dictionary of params, got {kind_of(params)}")
    given = {str(name): value for name, value in (params or {}).items()}
    specs = schema.params if schema else ()
    known = [spec.name for spec in specs]
    if strict and (unknown := [name for name in given if name not in known]):
        raise SchemaError(f"unknown params: {listed(unknown)}; known: {listed(known) or 'none'}")
    return {
        spec.name: spec.fit(given[spec.name]) if spec.name in given else spec.default
        for spec in specs
    }


@functools.lru_cache(maxsize=64)
def enforcer(schema: Schema) -> Enforcer:
    """The enforcer of a schema, made once."""
    return Enforcer(schema)


class Enforcer:
    """Makes data fit one schema: `enforcer(data)`."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._names = schema.input_names()
        self._specs = dict(zip(self._names, schema.inputs, strict=True))
        self._required = schema.required_input_names()
        self._is_named = schema.has_input_names()
        self._takes_anything = schema.inputs == (ColSpec(AnyType()),)

    def __call__(self, data: Any, *, strict: bool = False) -> Any:
        """The data as the schema has it. Raises SchemaError."""
        if self.schema.is_tensor_spec():
            return self._tensors(data, strict)
        try:
            frame = tables.as_frame(data, self.schema)
            return frame if self._takes_anything else self._columns(frame, strict)
        except SchemaError:
            if not isinstance(data, list) or not self._takes_values(data):
                raise
        return self._columns(tables.one_column(data), strict)

    def _takes_values(self, data: list[Any]) -> bool:
        """Whether the items of a list may be the nested values of the only column, not rows."""
        kind = self.schema.input_types()[0]
        is_nested = not isinstance(kind, DataType)
        return not self._is_named and len(self._names) == 1 and (is_nested or not data)

    def _columns(self, frame: pd.DataFrame, strict: bool) -> pd.DataFrame:
        given, specs, dtypes = frame.columns.tolist(), self._column_specs, self._dtypes
        if self._is_named and given != self._names:
            self._check_names(given, strict)
            places = self._places(given)
            frame = frame.iloc[:, [place for place in places if place is not None]]
            kept = [at for at, place in enumerate(places) if place is not None]
            specs, dtypes = [specs[at] for at in kept], [dtypes[at] for at in kept]
        elif not self._is_named and len(given) != len(specs):
            self._check_count(len(given), strict)
            frame = frame.iloc[:, : len(specs)]
        return tables.fit_columns(frame, specs, dtypes)

    @functools.cached_property
    def _column_specs(self) -> list[Any]:
        return list(self.schema.inputs)

    @functools.cached_property
    def _dtypes(self) -> list[Any]:
        """The dtype of each column that needs no conversion; None for nested data."""
        kinds = self.schema.input_types()
        return [kind.to_pandas() if isinstance(kind, DataType) else None for kind in kinds]

    def _places(self, given: list[Any]) -> list[int | None]:
        """Where in the data each column of the schema is; None for one that is not there."""
        places = {name: at for at, name in enumerate(given)}
        if len(places) < len(given):
            twice = [name for name in self._names if given.count(name) > 1]
            if twice:
                raise SchemaError(f"the column {shown(twice[0])} stands twice in the data")
        return [places.get(name) for name in self._names]

    def _tensors(self, data: Any, strict: bool) -> Any:
        if tables.is_series(data):
            data = data.to_frame()
        if self._is_named:
            if is_ndarray(data) and len(self._names) == 1:
                data = {self._names[0]: data}
            if not isinstance(data, dict) and not tables.is_frame(data):
                raise SchemaError(f"expected a dictionary of arrays, got {kind_of(data)}")
            self._check_names(list(data), strict)
        return fit_tensors(data, self.schema)

    def _check_names(self, given: list[Any], strict: bool) -> None:
        """Refuse data that lacks a name, and with `strict` data that has another one."""
        noun = "tensor" if self.schema.is_tensor_spec() else "column"
        there = set(given)
        if missing := [name for name in self._required if name not in there]:
            wanted = [f"{shown(name)} ({self._type_name(name)})" for name in missing[:_MOST_NAMES]]
            more = f" and {len(missing) - _MOST_NAMES} more" if len(missing) > _MOST_NAMES else ""
            raise SchemaError(
                f"missing {noun}{'s' if len(missing) > 1 else ''} {', '.join(wanted)}{more};"
                f" {noun}s in the data: {len(given)}"
            )
        unknown = [name for name in given if name not in self._specs]
        if strict and unknown:
            raise SchemaError(f"unknown {noun}s: {listed(unknown)}; known: {listed(self._names)}")

    def _type_name(self, name: Any) -> str:
        spec = self._specs[name]
        return spec.dtype if isinstance(spec, TensorSpec) else shown_type(spec.type)

    def _check_count(self, given: int, strict: bool) -> None:
        wanted = len(self._names)
        if given < wanted or (strict and given > wanted):
            raise SchemaError(f"expected {wanted} columns, which have no names, got {given}")
