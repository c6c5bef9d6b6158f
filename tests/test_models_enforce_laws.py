"""Laws of inference and enforcement, for any data and any schema."""

from __future__ import annotations

import copy
import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import UsageError
from gitml.models.enforce import SchemaError, enforce_inputs
from gitml.models.infer import schema_of
from gitml.models.schema import ColSpec, Schema
from gitml.models.types import DataType
from tests import schemas
from tests.schemas import is_fit_for_a_message, refusal

_series = st.one_of(
    [
        st.lists(values | st.none(), min_size=2, max_size=2).map(
            lambda items, dtype=dtype: pd.Series(items, dtype=dtype)
        )
        for dtype, values in (
            ("float32", st.floats(width=32)),
            ("float64", st.floats()),
            ("Int64", schemas.longs),
            ("Int8", st.integers(-128, 127)),
            ("Float64", st.floats(allow_nan=False)),
            ("boolean", st.booleans()),
            ("string", st.text(max_size=3)),
            ("category", st.text(max_size=3)),
            ("category", st.integers(-9, 9)),
            ("object", st.text(max_size=3)),
            ("object", st.binary(max_size=3)),
            ("object", st.booleans()),
            ("datetime64[ns]", schemas.moments),
        )
    ]
    + [
        st.lists(values, min_size=2, max_size=2).map(
            lambda items, dtype=dtype: pd.Series(items, dtype=dtype)
        )
        for dtype, values in (
            ("bool", st.booleans()),
            ("uint8", st.integers(0, 255)),
            ("uint32", st.integers(0, 2**32 - 1)),
            ("int64", schemas.longs),
            (None, st.dates(dt.date(1700, 1, 1), dt.date(2200, 1, 1))),
        )
    ]
)
_frames = st.dictionaries(st.text(max_size=3) | st.integers(), _series, min_size=1, max_size=4).map(
    pd.DataFrame
)
_arrays = st.tuples(
    st.sampled_from(["bool", "int8", "float16", "float64", ">f4", "U3", "S2", "object"]),
    st.lists(st.integers(0, 3), min_size=1, max_size=3),
).map(lambda pair: np.zeros(pair[1], pair[0]))


@st.composite
def _records(draw: Any) -> list[dict[str, Any]]:
    """Rows of some columns of nested data, with values that are missing."""
    kinds = draw(st.dictionaries(schemas.names, schemas.plain_types, min_size=1, max_size=3))
    row = st.fixed_dictionaries(
        {}, optional={name: st.none() | schemas.values_of(kind) for name, kind in kinds.items()}
    )
    return draw(st.lists(row, min_size=1, max_size=3).filter(any))  # type: ignore[no-any-return]


_values = schemas.plain_types.flatmap(schemas.values_of)
_lists = schemas.plain_types.filter(lambda kind: kind is not DataType.long).flatmap(
    lambda kind: st.lists(schemas.values_of(kind), max_size=3)
)
_data = st.one_of(
    _frames, _arrays, st.dictionaries(schemas.names, _arrays, min_size=1, max_size=3),
    _records(), _lists, _values,
    st.dictionaries(schemas.names, _values, min_size=1, max_size=3),
)  # fmt: skip


@given(_data)
def test_what_a_schema_was_inferred_from_fits(data: Any) -> None:
    """Data is accepted by its own schema, strictly, and is not changed by it.

    Only a list of whole numbers and None is not: a column without a name can't be optional.
    """
    try:
        schema = schema_of(data)
    except UsageError:
        return
    if schema.inputs[0] == ColSpec("long") and isinstance(data, list) and None in data:
        assert "declare the column as double" in refusal(data, schema)
        return
    before = copy.deepcopy(data)
    fitted = enforce_inputs(data, schema, strict=True)
    assert repr(data) == repr(before)
    again = enforce_inputs(fitted, schema, strict=True)
    assert type(again) is type(fitted)
    if isinstance(fitted, pd.DataFrame):
        pd.testing.assert_frame_equal(again, fitted)
    else:
        assert str(again) == str(fitted)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(schemas.schemas, _data | json_values, st.booleans())
def test_any_data_fits_any_schema_or_is_refused(schema: Schema, data: Any, strict: bool) -> None:
    """There is a result or a SchemaError of one line and at most 1 kB, never another error."""
    refused: list[Exception] = []
    try:
        enforce_inputs(data, schema, strict=strict)
    except SchemaError as error:
        refused.append(error)
    assert all(map(is_fit_for_a_message, refused))


@given(st.data(), schemas.schemas)
def test_records_with_the_right_names_fit_or_are_refused(
    data: st.DataObject, schema: Schema
) -> None:
    """The same where the columns are there and only their values are odd."""
    row = st.fixed_dictionaries(dict.fromkeys(schema.input_names(), json_values))
    records = data.draw(st.lists(row, min_size=1, max_size=3))
    refused: list[Exception] = []
    try:
        enforce_inputs(records, schema)
    except SchemaError as error:
        refused.append(error)
    assert all(map(is_fit_for_a_message, refused))
