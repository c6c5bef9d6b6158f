"""The schema of data: what MLflow 3.17.2 infers, kept here as data."""

from __future__ import annotations

import datetime as dt
import warnings
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from gitml.errors import UsageError
from gitml.models.infer import infer_params, schema_of
from gitml.models.signature import infer_signature
from gitml.models.types import DataType, Type, merge
from tests import schemas

NAN = float("nan")
MOMENT = dt.datetime(2020, 1, 2, 3)
DAY = dt.date(2020, 1, 2)

# The dtype of a column, its values, and the type in the schema.
COLUMNS = [
    ("bool", [True, False], "boolean (required)"),
    ("int8", [1, 2], "integer (required)"),
    ("uint16", [1, 2], "integer (required)"),
    ("int32", [1, 2], "integer (required)"),
    ("uint32", [1, 2], "long (required)"),
    ("int64", [1, 2], "long (required)"),
    ("float16", [1, 2], "float (required)"),
    ("float32", [1, NAN], "float (optional)"),
    ("float64", [1, 2], "double (required)"),
    ("float64", [1, NAN], "double (optional)"),
    ("datetime64[ns]", [MOMENT, pd.NaT], "datetime (optional)"),
    ("datetime64[s]", [MOMENT], "datetime (required)"),
    ("datetime64[ns, UTC]", [MOMENT], "datetime (required)"),
    (None, ["a", "b"], "string (required)"),
    (None, ["a", None], "string (optional)"),
    ("object", ["a", None], "string (optional)"),
    ("string", ["a", pd.NA], "string (optional)"),
    ("object", [b"a", b"bc"], "binary (required)"),
    ("object", [bytearray(b"a")], "binary (required)"),
    ("object", [True, None], "boolean (optional)"),
    ("object", [DAY, None], "datetime (optional)"),
    ("object", [None, None], "Any (optional)"),
    ("object", [1, 2], "long (required)"),
    ("category", ["a", "b"], "string (required)"),
    ("category", ["a", None], "string (optional)"),
    ("category", [1, 2], "long (required)"),
    ("Int64", [1, pd.NA], "long (optional)"),
    ("UInt8", [1, 2], "integer (required)"),
    ("Float32", [1, pd.NA], "float (optional)"),
    ("boolean", [True, pd.NA], "boolean (optional)"),
    ("object", [[1, 2], [3]], "Array(long) (required)"),
    ("object", [["a", None], []], "Array(string) (required)"),
    ("object", [[1.5], None], "Array(double) (optional)"),
    ("object", [[], []], "Any (required)"),
    ("object", [np.array([1.5]), np.array([[2.5]])[0]], "Array(double) (required)"),
    ("object", [np.array([]), np.array([1])], "Array(long) (required)"),
    ("object", [np.array([[1.5]], dtype="float32")], "Array(Array(float)) (required)"),
    ("object", [{"x": 1}, {"x": 2, "y": "a"}], "{x: long (required), y: string (optional)}"),
    ("object", [{"x": {"y": None}}], "{x: {y: Any (optional)} (required)}"),
    ("object", [{"x": [{"y": 1}, {}]}], "{x: Array({y: long (optional)}) (required)}"),
]
# Other data, and its schema.
DATA = [
    ([], "[string (required)]"),
    (["a", None], "[string (required)]"),
    ([1, 2], "[long (required)]"),
    ([1.5, None], "[double (required)]"),
    ([True], "[boolean (required)]"),
    ([b"a"], "[binary (required)]"),
    ([DAY, MOMENT], "[datetime (required)]"),
    ([None], "[Any (required)]"),
    ([[1, 2], []], "[Array(long) (required)]"),
    ([[[1]], [[2], []]], "[Array(Array(long)) (required)]"),
    ([np.float32(1.5)], "[float (required)]"),
    ([np.array([1, 2])], "[Array(long) (required)]"),
    ([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], "['a': long (required), 'b': string (required)]"),
    ([{"b": 1}, {"b": 2, "a": "x"}], "['b': long (required), 'a': string (optional)]"),
    ([{"a": 1}, {"a": None}], "['a': long (optional)]"),
    ([{"a": NAN}, {"a": 1.5}], "['a': double (required)]"),
    ([{"a": {"x": 1}}, {"a": {"y": 2}}], "['a': {x: long (optional), y: long (optional)} (req"),
    ([{"a": {"x": {"y": 1}}}, {"a": {"x": None}}], "['a': {x: {y: long (optional)} (optional)}"),
    ([{"a": [{"x": 1}, {"x": None}]}], "['a': Array({x: long (optional)}) (required)]"),
    ([{"a": {}}, {"a": {"x": 1}}], "['a': {x: long (optional)} (required)]"),
    ([{1: 2}], "[1: long (required)]"),
    ({"a": 1, "b": [1.5, None]}, "['a': long (required), 'b': Array(double) (optional)]"),
    ({"a": {"b": "x"}, "c": {}}, "['a': {b: string (required)} (required), 'c': Any (required)]"),
    ({"a": None}, "['a': Any (optional)]"),
    ({"a": np.array([1, 2]), "b": 1}, "['a': Array(long) (required), 'b': long (required)]"),
    ("x", "[string (required)]"),
    (1, "[long (required)]"),
    (np.int32(1), "[integer (required)]"),
    (np.str_("x"), "[string (required)]"),
    (np.datetime64("2020"), "[datetime (required)]"),
    (MOMENT, "[datetime (required)]"),
    (pd.Timestamp(MOMENT), "[datetime (required)]"),
    (None, "[Any (required)]"),
    (NAN, "[Any (required)]"),
    (np.array([1, 2]), "[Tensor('int64', (-1,))]"),
    (np.zeros((2, 3, 4), "float16"), "[Tensor('float16', (-1, 3, 4))]"),
    (np.array([["a", "bb"]]), "[Tensor('str', (-1, 2))]"),
    (np.array([b"a"]), "[Tensor('bytes', (-1,))]"),
    (np.array([1, None]), "[Tensor('object', (-1,))]"),
    (np.array(["2020"], "datetime64[s]"), "[Tensor('datetime64[s]', (-1,))]"),
    (np.zeros((0, 3)), "[Tensor('float64', (-1, 3))]"),
    (
        {"a": np.array([1.5]), "b": np.array([[1], [2]])},
        "['a': Tensor('float64', (-1,)), 'b': Tensor('int64', (-1, 1))]",
    ),
    ({1: np.array([True])}, "[1: Tensor('bool', (-1,))]"),
    (sparse.csr_matrix([[1.0, 0]]), "[Tensor('float64', (-1, 2))]"),
    (sparse.csc_matrix(np.eye(3, dtype="int8")), "[Tensor('int8', (-1, 3))]"),
    (pd.Series([1.5, 2]), "[double (required)]"),
    (pd.Series([1.5, None], name="q"), "['q': double (optional)]"),
    (pd.DataFrame({0: [1.0], "é": ["x"]}), "[0: double (required), 'é': string (required)]"),
    (pd.DataFrame({("a", "b"): [1.0]}), "[('a', 'b'): double (required)]"),
    (pd.DataFrame({"a": pd.Series([], dtype="object")}), "['a': "),
]
REFUSED = [
    ({}, "at least one ColSpec"),
    ([{}], "at least one ColSpec"),
    (pd.DataFrame(), "at least one ColSpec"),
    ((1, 2), "no type of a schema describes tuple"),
    ({1, 2}, "no type of a schema describes set"),
    (object(), "no type of a schema describes object"),
    (1j, "no type of a schema describes complex"),
    ([1, "a"], "values of different types, long and string"),
    ([1, 2.5], "values of different types, long and double"),
    ([{"a": 1}, {"a": 2.5}], "column 'a': values of different types, long and double"),
    ([{"a": {1: 2}}], "column 'a': the name of a property must be text, not 1"),
    ({1: 2}, "the names of columns must be text, not 1"),
    ({"a": np.array(1)}, "an array without dimensions"),
    ({"a": np.array([]), "b": 1}, "column 'a': an empty array does not tell the type"),
    ([np.array([])], "no values that tell the type"),
    (np.array(1), "an array without dimensions"),
    (pd.Series([1.5, None]), "an optional column needs a name"),
    (pd.DataFrame([[1, 2]], columns=["a", "a"]), "the column 'a' stands twice"),
    (pd.DataFrame({"a": [Decimal(1)]}), "column 'a': no type of a schema describes Decimal"),
    (
        pd.DataFrame({"a": np.array([1], "uint64")}),
        "column 'a': no type of a schema describes uint64",
    ),
    (pd.DataFrame({"a": [pd.Timedelta(1)]}), "column 'a': no type of a schema describes timedelta"),
    (
        pd.DataFrame({"a": pd.arrays.SparseArray([1.0])}),
        "column 'a': no type of a schema describes",
    ),
    (sparse.coo_matrix([[1.0]]), "no type of a schema describes coo_matrix"),
]


@pytest.mark.parametrize(("dtype", "values", "expected"), COLUMNS)
def test_a_column_has_the_type_that_mlflow_infers(dtype: Any, values: Any, expected: str) -> None:
    """Types come from dtypes, those of objects from the values; what is missing is optional."""
    frame = pd.DataFrame({"a": pd.Series(values, dtype=dtype)})
    assert repr(schema_of(frame)).startswith(f"['a': {expected}")


@pytest.mark.parametrize(("data", "expected"), DATA)
def test_data_has_the_schema_that_mlflow_infers(data: Any, expected: str) -> None:
    """Arrays are tensors, everything else is columns."""
    assert repr(schema_of(data)).startswith(expected)


@pytest.mark.parametrize(("data", "message"), REFUSED)
def test_data_without_a_schema_is_refused(data: Any, message: str) -> None:
    """The error names the column and what no type describes, not the values."""
    with pytest.raises(UsageError) as refused:
        schema_of(data)
    assert message in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("dtype", ["string", "int64", "timestamp", "bool"])
def test_columns_of_arrow_have_their_types(dtype: str) -> None:
    """What pandas keeps in Arrow's memory has a type like anything else."""
    arrow = pytest.importorskip("pyarrow")
    kind, value, expected = {
        "string": (arrow.string(), "a", "string"),
        "int64": (arrow.int64(), 1, "long"),
        "timestamp": (arrow.timestamp("us"), MOMENT, "datetime"),
        "bool": (arrow.bool_(), True, "boolean"),
    }[dtype]
    found = schema_of(pd.DataFrame({"a": pd.Series([value], dtype=pd.ArrowDtype(kind))}))
    assert repr(found) == f"['a': {expected} (required)]"


@given(st.data(), schemas.plain_types)
def test_the_type_of_values_is_found_again(data: st.DataObject, kind: Type) -> None:
    """Values tell their type: a scalar's exactly, a nested one's as far as it is filled."""
    values = data.draw(st.lists(schemas.values_of(kind), min_size=1, max_size=4))
    found = schema_of([{"a": value} for value in values]).inputs[0].type
    if isinstance(kind, DataType):
        assert found is kind
    else:
        assert _all_required(merge(found, kind)) == _all_required(kind)


def _all_required(kind: Type) -> str:
    return str(kind).replace("optional", "required")


def test_nesting_has_an_end() -> None:
    """Data that contains itself is refused, not followed."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(UsageError, match="nested in more than 50 levels"):
        schema_of(loop)


def test_whole_numbers_give_a_hint() -> None:
    """They can't be missing at inference time, which the warning says with the columns' names."""
    frame = pd.DataFrame({name: [1] for name in "abcde"} | {"x": [1.5]})
    with pytest.warns(UserWarning, match=r"^'a', 'b', 'c', \.\.\.: whole numbers"):
        infer_signature(frame)
    with pytest.warns(UserWarning, match="declare such columns as double") as seen:
        infer_signature([1])
    assert seen[0].filename == __file__


@pytest.mark.parametrize("data", [[1.5], np.array([1]), pd.DataFrame({"a": ["x"]}), [[1]]])
def test_other_data_gives_no_hint(data: Any) -> None:
    """Numbers with fractions, text and tensors of any kind are taken without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert infer_signature(data).inputs == schema_of(data)


def test_pydantic_objects_are_refused_with_advice() -> None:
    """Their class declares more than their values tell."""

    class Model:
        def model_dump(self) -> dict[str, Any]:
            return {}

    with pytest.raises(UsageError, match="give the predict function a type hint"):
        schema_of([Model()])


PARAMS = [
    (1, "'p': long (default: 1)"),
    (1.5, "'p': double (default: 1.5)"),
    (True, "'p': boolean (default: True)"),
    ("a", "'p': string (default: a)"),
    (np.float32(1.5), "'p': float (default: 1.5)"),
    (np.int32(1), "'p': integer (default: 1)"),
    (np.str_("a"), "'p': string (default: a)"),
    (DAY, "'p': datetime (default: 2020-01-02)"),
    (MOMENT, "'p': datetime (default: 2020-01-02 03:00:00)"),
    ([1, 2], "'p': long (default: [1, 2]) (shape: (-1,))"),
    ([1, 2.5], "'p': double (default: [1.0, 2.5]) (shape: (-1,))"),
    (["a"], "'p': string (default: ['a']) (shape: (-1,))"),
    ([], "'p': datetime (default: []) (shape: (-1,))"),
    (np.array([True]), "'p': boolean (default: [True]) (shape: (-1,))"),
    ({"x": 1}, "'p': {x: long (required)} (default: {'x': 1})"),
    ({"x": {"y": [1.5]}}, "'p': {x: {y: Array(double) (required)} (required)} (default: "),
]
NO_PARAMS = [
    (None, "param 'p': a param is a scalar, a list of scalars or a dictionary, not None"),
    ((1, 2), "not tuple"),
    (b"x", "not binary"),
    ([[1]], "a list in a list"),
    ([1, "a"], "param 'p', item 0: expected string, got int"),
    ([True, 1], "param 'p', item 0: expected long, got bool"),
    ([None], "no type of a schema describes object"),
    ([(1, 2), (3,)], "a list of scalars is expected"),
    (2**70, "no type of a schema describes object"),
    (1j, "no type of a schema describes complex128"),
    (np.int8(1), "param 'p': expected integer, got int8"),
    (np.array(1), "not ndarray"),
    ({}, "an empty dictionary has no type"),
    ({1: 2}, "the name of a property must be text"),
]


@pytest.mark.parametrize(("value", "expected"), PARAMS)
def test_a_param_has_the_type_that_mlflow_infers(value: Any, expected: str) -> None:
    """A param is a scalar, a list of scalars or a dictionary, and its value is the default."""
    assert repr(infer_params({"p": value}).params[0]).startswith(expected)


@pytest.mark.parametrize(("value", "message"), NO_PARAMS)
def test_a_param_without_a_type_is_refused(value: Any, message: str) -> None:
    """The error names the param."""
    with pytest.raises(UsageError) as refused:
        infer_params({"p": value})
    assert message in str(refused.value)
    assert "'p'" in str(refused.value)


def test_params_are_a_dictionary() -> None:
    """Anything else is refused."""
    with pytest.raises(UsageError, match="the params must be a dictionary, not list"):
        infer_params([1])  # type: ignore[arg-type]


def test_the_default_is_a_copy() -> None:
    """A list or dictionary that the caller changes later does not change the schema."""
    values: dict[str, Any] = {"a": [1], "b": {"x": [1]}}
    schema = infer_params(values)
    values["a"].append(2)
    values["b"]["x"].append(2)
    assert [spec.default for spec in schema] == [[1], {"x": [1]}]
