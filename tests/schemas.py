"""Random types, schemas, and data that has them, as hypothesis strategies."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import strategies as st

from gitml.models.enforce import SchemaError, enforce_inputs
from gitml.models.schema import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from gitml.models.types import AnyType, Array, DataType, Map, Object, Property, Type

names = st.text(min_size=1, max_size=8)
scalars = st.sampled_from(list(DataType))


def _nested(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
    return st.one_of(inner.map(Array), inner.map(Map), _objects(inner))


def _objects(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Object]:
    properties = st.builds(Property, names, inner, st.booleans())
    return st.lists(properties, min_size=1, max_size=3, unique_by=lambda item: item.name).map(
        Object
    )


types: st.SearchStrategy[Type] = st.recursive(scalars | st.builds(AnyType), _nested, max_leaves=5)

_named_columns = st.lists(
    st.builds(ColSpec, types, names, st.booleans()),
    min_size=1, max_size=4, unique_by=lambda item: item.name,
)  # fmt: skip
_unnamed_columns = st.lists(st.builds(ColSpec, types), min_size=1, max_size=3)
_shapes = st.lists(st.integers(-1, 5), max_size=4).map(tuple)
_dtypes = st.sampled_from(
    "bool int8 uint64 float16 float64 complex64 str bytes object datetime64[ns]".split()
)
_named_tensors = st.lists(
    st.builds(TensorSpec, _dtypes, _shapes, names),
    min_size=1, max_size=3, unique_by=lambda item: item.name,
)  # fmt: skip
_unnamed_tensors = st.builds(TensorSpec, _dtypes, _shapes).map(lambda spec: [spec])
schemas = (_named_columns | _unnamed_columns | _named_tensors | _unnamed_tensors).map(Schema)

# -- data ----------------------------------------------------------------------------------

longs = st.integers(-(2**63), 2**63 - 1)
moments = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))
VALUES: dict[DataType, st.SearchStrategy[Any]] = {
    DataType.boolean: st.booleans(),
    DataType.long: longs,
    DataType.double: st.floats(allow_nan=False),
    DataType.string: st.text(max_size=5),
    DataType.binary: st.binary(max_size=5),
    DataType.datetime: moments,
}
_plain_scalars = st.sampled_from(list(VALUES))
# Types that values of Python tell: there are no numbers of 32 bits and no Map among them.
plain_types: st.SearchStrategy[Type] = st.recursive(
    _plain_scalars, lambda inner: inner.map(Array) | _objects(inner), max_leaves=4
)


def values_of(kind: Type) -> st.SearchStrategy[Any]:
    """Values of a plain type, some of them missing where nested data may lack one."""
    if isinstance(kind, DataType):
        return VALUES[kind]
    if isinstance(kind, Array):
        return st.lists(st.none() | values_of(kind.dtype), max_size=3)
    assert isinstance(kind, Object)
    fields = {item.name: values_of(item.dtype) for item in kind.properties}
    needed = {item.name: fields[item.name] for item in kind.properties if item.required}
    more = {item.name: fields[item.name] for item in kind.properties if not item.required}
    return st.fixed_dictionaries(needed, optional=more)


params = st.lists(
    _plain_scalars.filter(lambda kind: kind is not DataType.binary).flatmap(
        lambda kind: st.one_of(
            st.builds(ParamSpec, names, st.just(kind), VALUES[kind]),
            st.builds(
                ParamSpec, names, st.just(kind), st.lists(VALUES[kind], max_size=3), st.just((-1,))
            ),
        )
    ),
    max_size=4, unique_by=lambda item: item.name,
).map(ParamSchema)  # fmt: skip


# -- enforcement ---------------------------------------------------------------------------


def column(kind: Any, name: Any = "a", required: bool = True) -> Schema:
    """A schema of one column."""
    return Schema([ColSpec(kind, name, required)])


def is_fit_for_a_message(error: Exception) -> bool:
    """Whether an error is one line of at most 1 kB."""
    return str(error).isprintable() and len(str(error).encode()) <= 1024


def refusal(data: Any, schema: Schema, **options: Any) -> str:
    """The message of the error that enforcement raises."""
    with pytest.raises(SchemaError) as refused:
        enforce_inputs(data, schema, **options)
    assert is_fit_for_a_message(refused.value)
    return str(refused.value)
