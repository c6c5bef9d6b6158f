"""Arrays are made to fit the tensors of a signature, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from gitml.models.enforce import enforce_inputs
from gitml.models.schema import Schema, TensorSpec
from tests.schemas import refusal


def tensor(dtype: str, shape: Any, name: Any = None) -> Schema:
    """A schema of one tensor."""
    return Schema([TensorSpec(dtype, shape, name)])


@pytest.mark.parametrize(
    ("schema", "array"),
    [
        (tensor("float64", (-1, 2)), np.zeros((3, 2))),
        (tensor("float64", (-1, -1)), np.zeros((3, 2))),
        (tensor("float64", (3, 2)), np.zeros((3, 2))),
        (tensor("float64", (-1, 2)), np.zeros((0, 2))),
        (tensor("float64", (-1, 2)), np.zeros((1, 2), ">f8")),
        (tensor("str", (-1,)), np.array(["a", "bc"])),
        (tensor("bytes", (-1,)), np.array([b"a"])),
        (tensor("object", (-1,)), np.zeros((3, 2))),
        (tensor("float64", (-1, -1)), np.array([np.zeros(1), np.zeros(2)], dtype=object)),
        (tensor("float64", (-1, 2)), sparse.csr_matrix([[1.5, 0]])),
        (tensor("float64", (-1, 2)), sparse.csc_matrix([[1.5, 0]])),
    ],
)
def test_an_array_that_fits_is_passed_on(schema: Schema, array: Any) -> None:
    """It has the dtype and the shape of the spec, where -1 is any length."""
    assert enforce_inputs(array, schema) is array


@pytest.mark.parametrize(
    ("schema", "data", "message"),
    [
        ((-1, 2), np.zeros((3, 3)), "the input: expected the shape (-1, 2), got (3, 3)"),
        ((-1, 2), np.zeros(3), "the input: expected the shape (-1, 2), got (3,)"),
        ((-1, 2), np.zeros((3, 2), "f4"), "the input: expected the dtype float64, got float32"),
        ((-1, 2), np.array([["a", "b"]]), "the input: expected the dtype float64, got str"),
        ((-1, 2), [[1.5, 2.5]], "expected an array, float64 of shape (-1, 2), got list"),
        ((-1, 2), {"a": np.zeros((3, 2))}, "got dict"),
        ((-1, 2), sparse.coo_matrix([[1.5, 0]]), "got coo_matrix"),
        ((-1, 2), pd.DataFrame({"a": [1.5], "b": [2.5], "c": [3.5]}), "got 3 columns"),
        ((-1, 2), pd.DataFrame({"a": [1], "b": [2]}), "expected the dtype float64, got int64"),
        ((-1, 2), pd.DataFrame(), "at least one row, got an empty one"),
        ((-1, 2), pd.DataFrame({"a": [1.5]}), "got single values"),
        ((-1, 2), pd.DataFrame({"a": [[1.5, 2.5], [3.5]]}), "the rows can't be made float64"),
        ((-1, 2), pd.DataFrame({"a": [[1, 2, 3, 4]]}), "got rows of another length"),
        ((-1, 2), pd.DataFrame({"a": [(1.5, 2.5)]}), "expected lists or arrays of numbers"),
        ((-1,), pd.DataFrame({"a": ["secret"]}), "the rows can't be made float64 of shape (-1,)"),
        ((-1,), pd.DataFrame({"a": [None]}), "expected lists or arrays of numbers, got None"),
        ((2, 2), pd.DataFrame({"a": [[1, 2]]}), "only the first dimension may vary"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(schema: Any, data: Any, message: str) -> None:
    """The error says which shape and dtype were expected, and which came."""
    assert message in refusal(data, tensor("float64", schema))


@pytest.mark.parametrize(
    ("shape", "data", "expected"),
    [
        ((-1, 2), pd.DataFrame({"a": [1.5, 2], "b": [3.5, 4]}), [[1.5, 3.5], [2, 4]]),
        ((-1,), pd.DataFrame({"a": [1, 2]}, index=[5, 6]), [1, 2]),
        ((-1, 1), pd.DataFrame({"a": [1, 2]}), [[1], [2]]),
        ((-1,), pd.Series([1.5]), [1.5]),
        ((-1, 2), pd.DataFrame({"a": [[1, 2], [3, 4]]}), [[1, 2], [3, 4]]),
        ((-1, 2, 1), pd.DataFrame({"a": [np.array([1.5, 2])]}), [[[1.5], [2]]]),
    ],
)
def test_a_table_is_made_an_array(shape: Any, data: Any, expected: Any) -> None:
    """Columns of numbers are one dimension, lists in a column are reshaped."""
    fitted = enforce_inputs(data, tensor("float64", shape))
    assert fitted.dtype == "float64"
    assert fitted.tolist() == expected


def test_named_tensors_come_in_a_dictionary() -> None:
    """In the order of the schema; others are dropped, a lone array gets the only name."""
    schema = Schema([TensorSpec("float64", (-1, 2), "x"), TensorSpec("int64", (-1,), "y")])
    data = {"z": 1, "y": np.array([1]), "x": np.array([[1.5, 2]])}
    assert list(enforce_inputs(data, schema)) == ["x", "y"]
    frame = pd.DataFrame({"y": [1], "x": [[1.5, 2]]})
    assert enforce_inputs(frame, schema)["x"].tolist() == [[1.5, 2.0]]
    alone = tensor("float64", (-1,), "x")
    array = np.zeros(2)
    assert enforce_inputs(array, alone)["x"] is array

    assert refusal(frame[:0], schema) == "tensor 'x': expected at least one row, got none"
    assert refusal({"x": data["x"]}, schema).startswith("missing tensor 'y' (int64);")
    assert refusal({**data, "x": [[1.5, 2]]}, schema) == "tensor 'x': expected an array, got list"
    assert refusal({**data, "y": np.zeros(1)}, schema) == (
        "tensor 'y': expected the dtype int64, got float64"
    )
    assert refusal(array, schema) == "expected a dictionary of arrays, got ndarray"
    assert refusal([1], alone) == "expected a dictionary of arrays, got list"
