"""Whole numbers of requests: each arrives as what it is, or is refused; none becomes another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from gitml.models.enforce import SchemaError, enforce_inputs
from gitml.models.mlmodel import Model
from gitml.models.schema import ColSpec, Schema, TensorSpec
from gitml.models.serving.limits import Limits
from gitml.models.serving.payload import CSV, JSON, Reader
from gitml.models.serving.refused import RefusedError
from gitml.models.signature import ModelSignature

TYPES = ("int8", "uint8", "int16", "int32", "int64", "uint64")
VALUES = (
    *(0, 1, -1, 127, 128, 255, 256, 300, 2**31 - 1, 2**31, -(2**31) - 1, 2**40, 2**53 + 1),
    *(2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64 - 1, 2**64, 10**400),
    *(1.0, -1.0, 1.5, 1e30, -1e30, 1e39, 2.0**31, 2.0**63, 2.0**64),
)
COLUMNS = {"integer": "int32", "long": "int64"}
FORMS = ("inputs", "instances", "dataframe_split", "dataframe_records", "csv")


def body(form: str, value: Any) -> tuple[bytes, str]:
    """A request with one value of the field x."""
    text = repr(value)
    documents: Mapping[str, str] = {
        "inputs": f'{{"inputs": {{"x": [{text}]}}}}',
        "instances": f'{{"instances": [{{"x": {text}}}]}}',
        "dataframe_split": f'{{"dataframe_split": {{"columns": ["x"], "data": [[{text}]]}}}}',
        "dataframe_records": f'{{"dataframe_records": [{{"x": {text}}}]}}',
        "csv": f"x\n{text}\n",
    }
    return documents[form].encode(), CSV if form == "csv" else JSON


def given(schema: Schema, form: str, value: Any) -> Any:
    """What a model is given for the field x of a request."""
    signature = ModelSignature(schema)
    reader = Reader(Model({}, signature=signature), Limits())
    data = reader.read(*body(form, value)).data
    return np.asarray(enforce_inputs(data, schema)["x"])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", TYPES)
def test_a_tensor_holds_the_number_or_is_refused(form: str, dtype: str) -> None:
    """Where MLflow casts 2**40 to an int32 of 0, and 1.5 to 1, the field is named."""
    check(Schema([TensorSpec(dtype, (-1,), "x")]), form, dtype)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_holds_the_number_or_is_refused(form: str, kind: str) -> None:
    """The same for columns of a table."""
    check(Schema([ColSpec(kind, "x")]), form, COLUMNS[kind])


def check(schema: Schema, form: str, dtype: str) -> None:
    """Each of the values is given exactly, or refused by the name of the field."""
    info = np.iinfo(dtype)
    for value in VALUES:
        if int(value) == value and info.min <= value <= info.max:
            found = given(schema, form, value)
            assert (found.dtype, found.tolist()) == (np.dtype(dtype), [int(value)]), value
            continue
        with pytest.raises((RefusedError, SchemaError)) as refused:
            given(schema, form, value)
        assert "'x'" in str(refused.value) or value == 10**400, value
        assert dtype in str(refused.value) or value == 10**400, value
