"""Tables are made to fit the columns of a signature, or refused: what was expected, what came."""

from __future__ import annotations

import copy
import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gitml.models.enforce import Enforcer, SchemaError, enforce_inputs, enforcer
from gitml.models.infer import schema_of
from gitml.models.schema import ColSpec, Schema, TensorSpec
from gitml.models.types import AnyType, Array, DataType, Map, Object, Property, Type
from tests.schemas import column, refusal
from tests.test_imports import loaded

NAN = float("nan")
MOMENT = dt.datetime(2020, 1, 2, 3)

# What MLflow 3.17.2 takes (x): the dtype and values of a column, by the type that is declared:
# boolean, integer, long, float, double, string, binary, datetime.
TAKEN = [
    ("bool", [True, False], "x......."),
    ("int8", [2, 3], ".xx.x..."),
    ("int16", [2, 3], ".xx.x..."),
    ("int32", [2, 3], ".xx.x..."),
    ("int64", [2, 3], "..x....."),
    ("int64", [0, 1], "..xxx..."),
    ("uint8", [2, 3], ".xx.x..."),
    ("uint16", [2, 3], ".xx.x..."),
    ("uint32", [2, 3], "..x.x..."),
    ("uint64", [2, 3], "........"),
    ("float16", [2, 3], "...xx..."),
    ("float32", [2, 3], "...xx..."),
    ("float64", [2, 3], "....x..."),
    ("float64", [2, NAN], "....x..."),
    ("string", ["a", None], ".....xx."),
    ("object", [b"a", None], "x....xx."),
    ("object", [True, None], "x...xxx."),
    ("object", [dt.date(2020, 1, 1), None], "x....xxx"),
    ("object", [dt.date(9999, 1, 1)], "x....xx."),
    ("object", [Decimal("1.5"), None], "x...xxx."),
    ("datetime64[s]", [MOMENT], ".......x"),
    ("datetime64[ns]", [MOMENT, pd.NaT], ".......x"),
    ("datetime64[ns, UTC]", [MOMENT], "........"),
    ("timedelta64[ns]", [pd.Timedelta(1)], "........"),
    ("complex128", [1j], "........"),
    ("Int64", [2, 3], "..x....."),
    ("UInt8", [2, 3], ".xx.x..."),
    ("Float32", [2, None], "...xx..."),
    ("boolean", [True, False], "x......."),
    ("Int64", [2, None], "........"),
    ("boolean", [True, None], "........"),
    ("period[D]", [pd.Period("2020-01-01")], "........"),
]


# -- columns -------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "values", "taken"), TAKEN)
def test_only_what_keeps_every_value_is_converted(dtype: str, values: Any, taken: str) -> None:
    """The decision is MLflow's for each pair of dtypes, and the result has the declared one."""
    frame = pd.DataFrame({"a": pd.Series(values, dtype=dtype)})
    for kind, mark in zip(DataType, taken, strict=True):
        if mark == ".":
            message = refusal(frame, column(kind))
            assert message.startswith(f"column 'a': expected {kind.name}")
            continue
        fitted = enforce_inputs(frame, column(kind))
        unchanged = kind.to_pandas() is object or (dtype, kind.name) == ("object", "boolean")
        assert fitted["a"].dtype == (frame["a"].dtype if unchanged else kind.to_numpy())
        assert fitted["a"].isna().tolist() == frame["a"].isna().tolist()


def test_a_table_of_one_dtype_is_converted_whole() -> None:
    """All columns become wider, the names and the index stay."""
    frame = pd.DataFrame({"a": [1.5], "b": [2.5]}, dtype="float32", index=[7])
    schema = Schema([ColSpec("double", "a"), ColSpec("double", "b")])
    pd.testing.assert_frame_equal(enforce_inputs(frame, schema), frame.astype("float64"))
    nullable = pd.DataFrame({"a": [1, None], "b": [1, 2]}, dtype="Int64")
    schema = Schema([ColSpec("long", "a"), ColSpec("long", "b")])
    assert refusal(nullable, schema).startswith("column 'a': expected long (int64), got Int64 with")


def test_numbers_keep_their_values() -> None:
    """A conversion changes the dtype only."""
    frame = pd.DataFrame({"a": pd.Series([1, -5], dtype="int8"), "b": [Decimal("1.5"), Decimal(2)]})
    schema = Schema([ColSpec("double", "a"), ColSpec("double", "b")])
    assert enforce_inputs(frame, schema).to_dict("list") == {"a": [1.0, -5.0], "b": [1.5, 2.0]}


@pytest.mark.parametrize(
    ("values", "dtype", "kind", "message"),
    [
        (["x"], None, "double", "expected double (float64), got "),
        ([1.5], None, "long", "expected long (int64), got float64"),
        (
            [1, None], "float64", "long",
            "expected long (int64), got float64 with missing values, which long can't hold;"
            " declare the column as double",
        ),
        ([1.5, None], None, "long", "expected long (int64), got float64"),
        (
            [1, None], "Int64", "integer",
            "expected integer (int32), got Int64",
        ),
        (
            [1, None], "Int64", "long",
            "expected long (int64), got Int64 with missing values, which long can't hold;"
            " declare the column as double",
        ),
        (
            [True, None], "boolean", "boolean",
            "expected boolean (bool), got boolean with missing values, which boolean can't hold;"
            " declare the column as string, or leave those rows out",
        ),
        (
            [2], "int64", "double",
            "expected double (float64), got int64; 64 bits don't always fit, convert the column to"
            " float64 if yours do",
        ),
        (
            [1.5], None, "float",
            "expected float (float32), got float64; convert the column to float32 if its values"
            " fit",
        ),
        (
            [MOMENT], "datetime64[ns, UTC]", "datetime",
            "expected datetime without a time zone, got datetime64[ns, UTC]; convert the column"
            " with dt.tz_convert(None)",
        ),
        (
            [dt.date(9999, 1, 1)], None, "datetime",
            "expected datetime, got objects that can't be read as one, or outside of the years"
            " 1678 to 2261",
        ),
        (["x"], "category", "double", "expected double (float64), got categories of "),
        ([[1]], None, "double", "expected double (float64), got objects that are no numbers"),
        ([[1]], None, "datetime", "expected datetime, got objects that are none"),
        ([{}], None, "long", "expected long (int64), got objects"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_came_and_what_helps(
    values: Any, dtype: Any, kind: str, message: str
) -> None:
    """The error names the column, the types, and the way out where there is one."""
    frame = pd.DataFrame({"x": 1, "a": pd.Series(values, dtype=dtype)})
    assert refusal(frame, column(kind)).startswith(f"column 'a': {message}")


def test_every_wrong_column_is_named() -> None:
    """The first three are described, the others counted."""
    frame = pd.DataFrame({name: [1.5] for name in "abcde"})
    schema = Schema([ColSpec("long", name) for name in "abcde"])
    assert refusal(frame, schema) == (
        "column 'a': expected long (int64), got float64; "
        "column 'b': expected long (int64), got float64; "
        "column 'c': expected long (int64), got float64; and 2 more"
    )


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(["a", "b", None], dtype="category"),
        pd.Series([1, 2], dtype="category"),
        pd.Series([1.5, None], dtype="category"),
    ],
)
def test_categories_stay_categories(values: Any) -> None:
    """A model that was trained with categories gets them, when they have the declared type."""
    frame = pd.DataFrame({"a": values})
    fitted = enforce_inputs(frame, schema_of(frame))
    pd.testing.assert_frame_equal(fitted, frame)


def test_text_stays_what_it_is() -> None:
    """Text is not converted from one of pandas' types of text to another."""
    for dtype in ("string", "object", "str"):
        frame = pd.DataFrame({"a": pd.Series(["a", None], dtype=dtype)})
        for kind in ("string", "binary"):
            assert enforce_inputs(frame, column(kind))["a"].dtype == frame["a"].dtype


def test_an_optional_column_may_lack_values_or_be_missing() -> None:
    """Whole numbers and booleans with missing values are taken where the column is optional."""
    schema = Schema([ColSpec("double", "a"), ColSpec("long", "long", False)])
    frame = pd.DataFrame({"a": [1.5, 2], "long": [1, None]})
    pd.testing.assert_frame_equal(enforce_inputs(frame, schema), frame)
    assert list(enforce_inputs(frame[["a"]], schema)) == ["a"]
    for dtype, kind in (("Int64", "long"), ("boolean", "boolean")):
        frame = pd.DataFrame({"b": pd.Series([True, None], dtype=dtype)})
        pd.testing.assert_frame_equal(enforce_inputs(frame, column(kind, "b", False)), frame)
    assert "expected long" in refusal(pd.DataFrame({"b": [1.5, None]}), column("long", "b", False))


# -- tables --------------------------------------------------------------------------------

AB = Schema([ColSpec("double", "a"), ColSpec("string", "b")])


def test_columns_come_in_the_order_of_the_schema() -> None:
    """Others are dropped, the index stays."""
    frame = pd.DataFrame({"c": [1], "b": ["x"], "a": [1.5]}, index=[7])
    fitted = enforce_inputs(frame, AB)
    pd.testing.assert_frame_equal(fitted, frame[["a", "b"]])


def test_strict_refuses_what_is_not_in_the_schema() -> None:
    """The error names what is unknown and what is known."""
    frame = pd.DataFrame({"c": [1], "b": ["x"], "a": [1.5]})
    assert refusal(frame, AB, strict=True) == "unknown columns: 'c'; known: 'a', 'b'"
    assert list(enforce_inputs(frame[["b", "a"]], AB, strict=True)) == ["a", "b"]
    unnamed = Schema([ColSpec("double")])
    assert refusal([[1.5, 2.5]], unnamed, strict=True).startswith("expected 1 columns")
    arrays = {"a": np.zeros(1), "z": np.zeros(1)}
    assert "'z'" in refusal(arrays, Schema([TensorSpec("float64", (-1,), "a")]), strict=True)


def test_missing_columns_are_named_with_their_types() -> None:
    """All of them up to five, and how many more; what the data has is not repeated."""
    assert refusal(pd.DataFrame({"secret": ["x"], "b": ["y"]}), AB) == (
        "missing column 'a' (double); columns in the data: 2"
    )
    many = Schema([ColSpec(Array("long"), f"c{number}") for number in range(7)])
    assert refusal(pd.DataFrame({"c0": [[1]]}), many) == (
        "missing columns 'c1' (Array(long)), 'c2' (Array(long)), 'c3' (Array(long)),"
        " 'c4' (Array(long)), 'c5' (Array(long)) and 1 more; columns in the data: 1"
    )


def test_a_name_that_stands_twice_is_refused() -> None:
    """Which of two columns is meant can't be known; if neither is wanted, it does not matter."""
    frame = pd.DataFrame([[1.5, "x", "y"]], columns=["a", "b", "b"])
    assert refusal(frame, AB) == "the column 'b' stands twice in the data"
    assert list(enforce_inputs(frame, column("double"))) == ["a"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"a": 1.5, "b": "x"}, {"a": [1.5], "b": ["x"]}),
        ({"b": ["x", "y"], "a": [1.5, 2.5]}, {"a": [1.5, 2.5], "b": ["x", "y"]}),
        ([{"a": 1.5, "b": "x"}, {"b": "y", "a": 2}], {"a": [1.5, 2.0], "b": ["x", "y"]}),
        ({"a": np.array([1.5]), "b": np.array(["x"])}, {"a": [1.5], "b": ["x"]}),
    ],
)
def test_other_data_stands_for_a_table(data: Any, expected: Any) -> None:
    """A dictionary is a row or columns, a list is rows."""
    assert enforce_inputs(data, AB).to_dict("list") == expected


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("x", "string"),
        (["x", "y"], "string"),
        (1, "long"),
        ([1, 2], "long"),
        (True, "boolean"),
        (1.5, "double"),
        (b"x", "binary"),
        (bytearray(b"x"), "binary"),
        (MOMENT, "datetime"),
        ([MOMENT], "datetime"),
        (np.array([1.5, 2]), "double"),
        (pd.Series([1.5]), "double"),
        ([[1, 2], [3]], Array("long")),
        ([[[1, 2]], [[3]]], Array("long")),
        ([{"x": 1}], Object([Property("x", "long")])),
        ([], "string"),
    ],
)
def test_scalars_and_lists_fill_a_column_without_a_name(data: Any, kind: Any) -> None:
    """An item is a row; a nested one may be the value itself."""
    fitted = enforce_inputs(data, column(kind, None))
    assert len(fitted.columns) == 1
    assert len(fitted) == (len(data) if isinstance(data, (list, np.ndarray, pd.Series)) else 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "expected a table, got None that can't be made one"),
        ((1.5, 2.5), "expected a table, got tuple that can't be made one"),
        (object(), "expected a table, got object that can't be made one"),
        ({"a": [1.5, 2], "b": ["x"]}, "expected a table, got dict that can't be made one"),
        (np.zeros((2, 2, 2)), "expected a table, got ndarray that can't be made one"),
        ([[1.5, "x"], [2.5]], "expected a table, got rows of different lengths"),
        ([{"a": 1.5, "b": "x"}, 3], "expected a table, got list that can't be made one"),
        ({}, "missing columns 'a' (double), 'b' (string); columns in the data: 0"),
        (1.5, "missing columns 'a' (double), 'b' (string); columns in the data: 1"),
    ],
)
def test_what_is_no_table_is_refused(data: Any, message: str) -> None:
    """The error says what came in place of a table."""
    assert refusal(data, AB) == message


def test_columns_without_names_go_by_their_places() -> None:
    """The names in the data stay, columns beyond the last are dropped."""
    schema = Schema([ColSpec("double"), ColSpec("string")])
    frame = pd.DataFrame([[1.5, "x", 3]], columns=["p", "q", "q"])
    assert enforce_inputs(frame, schema).columns.tolist() == ["p", "q"]
    assert refusal([[1.5]], schema) == "expected 2 columns, which have no names, got 1"
    assert refusal([["x", "y"]], schema).startswith("column 0: expected double (float64), got")


def test_a_signature_of_anything_takes_every_table() -> None:
    """One column without a name that may be anything lets a table through as it is."""
    schema = column(AnyType(), None)
    frame = pd.DataFrame({"a": [1], "b": ["x"]})
    assert enforce_inputs(frame, schema) is frame
    assert enforce_inputs(["x", 1], schema)[0].tolist() == ["x", 1]


def test_a_column_of_anything_is_not_looked_at() -> None:
    """Its values and its dtype stay as they are."""
    frame = pd.DataFrame({"a": pd.Series([1.5], dtype="float32"), "b": [[1, "x"]]})
    schema = Schema([ColSpec(AnyType(), "a"), ColSpec(AnyType(), "b")])
    pd.testing.assert_frame_equal(enforce_inputs(frame, schema), frame)


# -- nested --------------------------------------------------------------------------------

PERSON = Object([Property("age", "long"), Property("name", "string", False)])
NESTED = [
    (Array("long"), [1, 2], [1, 2]),
    (Array("long"), [1, None, 2**62 + 1], [1, None, 2**62 + 1]),
    (Array("double"), [1.5, None, 2], "[1.5, nan, 2.0]"),
    (Array("string"), ["a", None], ["a", None]),
    (Array("string"), ["a", 1, b"b"], ["a", "1", "b"]),
    (Array("binary"), [b"a\0", "b"], [b"a\0", b"b"]),
    (Array("boolean"), [True, None], [True, None]),
    (Array("datetime"), [MOMENT, None], [pd.Timestamp(MOMENT), None]),
    (Array("long"), [], []),
    (Array(AnyType()), [1, "x", None], [1, "x", None]),
    (Array(AnyType()), None, None),
    (Array(Array("double")), [[1.5], []], [[1.5], []]),
    (Map("long"), {"x": 1}, {"x": 1}),
    (Map(AnyType()), None, None),
    (Map(Array("string")), {"x": ["a"]}, {"x": ["a"]}),
    (PERSON, {"age": 1}, {"age": 1}),
    (PERSON, {"name": None, "age": 1}, {"name": None, "age": 1}),
    (Array(PERSON), [{"age": 1, "name": "x"}], [{"age": 1, "name": "x"}]),
    (Object([Property("at", "datetime")]), {"at": MOMENT}, {"at": pd.Timestamp(MOMENT)}),
    (Object([Property("a", AnyType())]), {"a": {1: set()}}, {"a": {1: set()}}),
]
NOT_NESTED = [
    (Array("long"), None, "expected Array(long), got None"),
    (Array("long"), (1, 2), "expected Array(long), got tuple"),
    (Array("long"), ["x"], "expected items of long (int64), got "),
    (Array("long"), [1.5], "expected items of long (int64), got float64"),
    (Array("double"), [2, 3], "expected items of double (float64), got int64"),
    (Array("double"), np.zeros((2, 2)), "expected Array(double), got a nested array"),
    (Array("string"), [[1]], "item 0: expected string, got list"),
    (Array("string"), [{}, "x"], "item 0: expected string, got dict"),
    (Array("boolean"), ["x", True], "item 0: expected boolean, got str"),
    (Array("binary"), [1.5, "x"], "item 0: expected binary, got float"),
    (Array("long"), [2**63], "expected items of long (int64), got uint64"),
    (Array(Array("long")), [[1], "x"], "item 1: expected Array(long), got str"),
    (Map("long"), [1], "expected Map(str -> long), got list"),
    (Map("long"), {1: 2}, "expected text as the keys of a Map, got int"),
    (Map("long"), {"x": "y"}, "field 'x': expected long, got str"),
    (PERSON, None, "expected {age: long (required), name: string (optional)}, got None"),
    (PERSON, {"name": "x"}, "the field 'age' is missing"),
    (PERSON, {"age": 1, "size": 2}, "unknown field 'size'; known: 'age', 'name'"),
    (PERSON, {"age": True}, "field 'age': expected long, got bool"),
    (PERSON, {"age": None}, "field 'age': expected long, got None"),
    (Array(PERSON), [{"age": 1}, {"age": "x"}], "item 1, field 'age': expected long, got str"),
    (Map(Map(PERSON)), {"a": {"b": {}}}, "field 'a', field 'b': the field 'age' is missing"),
]


@pytest.mark.parametrize(("kind", "value", "expected"), NESTED)
def test_nested_values_are_made_to_fit(kind: Type, value: Any, expected: Any) -> None:
    """Lists stay lists, missing items stay missing, and the caller's value is not changed."""
    frame = pd.DataFrame({"a": pd.Series([value, value], dtype=object)})
    before = copy.deepcopy(value)
    fitted = enforce_inputs(frame, column(kind))["a"].tolist()
    assert fitted == [expected] * 2 or [str(item) for item in fitted] == [expected] * 2
    assert value == before


@pytest.mark.parametrize(("kind", "value", "message"), NOT_NESTED)
def test_a_nested_value_that_does_not_fit_is_found(kind: Type, value: Any, message: str) -> None:
    """The error leads to the place in the data by row, item and field."""
    frame = pd.DataFrame({"a": pd.Series([value], dtype=object)})
    found = refusal(frame, column(kind))
    assert found.startswith(("column 'a', row 0: " + message, "column 'a', row 0, " + message))


def test_a_missing_nested_value_needs_an_optional_column() -> None:
    """None and what pandas makes of it are taken, and come as None."""
    for missing in (None, NAN, pd.NA):
        frame = pd.DataFrame({"a": pd.Series([missing, {"age": 1}], dtype=object)})
        assert enforce_inputs(frame, column(PERSON, "a", False))["a"].tolist() == [
            None, {"age": 1},
        ]  # fmt: skip
        assert "column 'a', row 0: expected {" in refusal(frame, column(PERSON))


@pytest.mark.parametrize(
    ("kind", "array", "dtype"),
    [
        ("long", np.array([1, 2]), "int64"),
        ("integer", np.array([1, 2], "int8"), "int32"),
        ("double", np.array([1, 2], "float32"), "float64"),
        ("string", np.array(["a", "bc"]), "<U2"),
        ("string", np.array(["a", None]), "object"),
        ("long", np.array([1, None]), "object"),
        ("datetime", np.array(["2020"], "datetime64[s]"), "datetime64[ns]"),
        (Array("double"), np.array([[1.5], [2.5]]), "float64"),
        (Array("long"), np.array([np.array([1]), np.array([1, 2])], dtype=object), "object"),
    ],
)
def test_arrays_in_cells_stay_arrays(kind: Any, array: Any, dtype: str) -> None:
    """An array comes as an array of the declared dtype."""
    frame = pd.DataFrame({"a": pd.Series([array], dtype=object)})
    fitted = enforce_inputs(frame, column(Array(kind)))["a"][0]
    assert isinstance(fitted, np.ndarray)
    assert fitted.dtype == dtype
    assert fitted.shape == array.shape


# -- messages and copies -----------------------------------------------------------------


def message_of(data: Any, schema: Schema) -> str:
    """The message of the error that enforcement raises, nothing if it raises none."""
    try:
        enforce_inputs(data, schema)
    except SchemaError as error:
        return str(error)
    return ""


SECRET = "4111 1111 1111 1111"


@pytest.mark.parametrize("kind", [*DataType, Array("long"), Map("long"), PERSON, Array(PERSON)])
@pytest.mark.parametrize("value", [SECRET, [SECRET], {"age": SECRET}, [{"age": SECRET}], 4111.1111])
def test_a_refusal_never_repeats_the_data(kind: Any, value: Any) -> None:
    """Errors are shown to others, data is not."""
    for data in ([{"a": value}], pd.DataFrame({"a": pd.Series([value], dtype="object")})):
        assert "4111" not in message_of(data, column(kind))


def test_long_names_make_no_long_message() -> None:
    """A message has at most 1 kB, whatever the schema and the data are called."""
    schema = Schema([ColSpec("long", "é" * 500 + str(number)) for number in range(100)])
    refusal(pd.DataFrame({"a": [1]}), schema)
    refusal(pd.DataFrame({name: ["x"] for name in schema.input_names()}), schema)
    deep: Type = DataType.long
    data: Any = "x"
    for number in range(40):
        deep = Object([Property("é" * 100 + str(number), deep)])
        data = {"é" * 100 + str(number): data}
    refusal([{"a": data}], column(deep))


def test_the_table_of_the_caller_is_not_changed() -> None:
    """A model may write into what it gets."""
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]})
    for data in (frame, frame[["b", "a"]]):
        before = data.copy()
        fitted = enforce_inputs(data, AB)
        fitted.loc[0, "a"] = 100.0
        fitted["new"] = 1
        pd.testing.assert_frame_equal(data, before)


def test_a_missing_pandas_is_named() -> None:
    """Where pandas is not installed, columns can't be checked; the error says what to install."""
    loaded(
        "import sys; sys.modules['pandas'] = None\n"
        "from gitml.errors import UsageError\n"
        "from gitml.models.enforce import enforce_inputs\n"
        "from gitml.types import ColSpec, Schema\n"
        "try:\n    enforce_inputs([1.5], Schema([ColSpec('double')]))\n"
        "except UsageError as error:\n    assert 'pip install pandas' in str(error)\n"
        "else:\n    raise AssertionError"
    )


def test_an_enforcer_is_made_once() -> None:
    """Equal schemas share what was prepared for them."""
    assert enforcer(AB) is enforcer(Schema(list(AB)))
    assert isinstance(enforcer(AB), Enforcer)
    assert enforcer(AB).schema == AB
