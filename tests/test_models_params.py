"""Params of a prediction are made to fit a signature, or refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.models.enforce import SchemaError, enforce_params
from gitml.models.infer import infer_params
from gitml.models.schema import ParamSchema, ParamSpec
from gitml.models.types import DataType, Object, Property

MOMENT = dt.datetime(2020, 1, 2, 3)
PARAMS = ParamSchema(
    [
        ParamSpec("temperature", "double", 0.5),
        ParamSpec("stop", "string", ["a"], (-1,)),
        ParamSpec("since", "datetime", None),
        ParamSpec("more", Object([Property("x", "long", False)]), {"x": 1}),
    ]
)


def test_params_are_filled_in_with_defaults() -> None:
    """What is not given has its default, and what the schema does not know is dropped."""
    defaults = {"temperature": 0.5, "stop": ["a"], "since": None, "more": {"x": 1}}
    assert enforce_params(None, PARAMS) == enforce_params({"other": 1}, PARAMS) == defaults
    given = {"temperature": 1, "stop": np.array(["b"]), "since": "2020-01-02", "more": {}}
    fitted = enforce_params(given, PARAMS)
    assert fitted == {
        "temperature": 1.0, "stop": ["b"], "since": dt.date(2020, 1, 2), "more": {},
    }  # fmt: skip
    assert type(fitted["temperature"]) is float
    assert enforce_params({1: 2}, ParamSchema([ParamSpec("1", "long", 0)])) == {"1": 2}
    assert enforce_params({"a": 1}, None) == {}


def test_strict_refuses_unknown_params() -> None:
    """The error names what is unknown and what is known."""
    with pytest.raises(SchemaError, match="unknown params: 'other'; known: 'temperature', 'stop'"):
        enforce_params({"other": 1, "temperature": 1}, PARAMS, strict=True)
    with pytest.raises(SchemaError, match="unknown params: 'a'; known: none"):
        enforce_params({"a": 1}, None, strict=True)
    assert enforce_params({"temperature": 1}, PARAMS, strict=True)["temperature"] == 1


# What MLflow 3.17.2 takes (x): a value, by the type of the param: boolean, integer, long, float,
# double, string.
PARAM_VALUES = [
    (True, "x....."),
    (1, ".xxxx."),
    (1.5, "...xx."),
    ("a", ".....x"),
    (None, "xxxxxx"),
    (np.bool_(True), "x....."),
    (np.int8(1), "......"),
    (np.int32(1), ".xxxx."),
    (np.int64(1), "..xxx."),
    (np.float16(1), "......"),
    (np.float32(1.5), "...xx."),
    (np.float64(1.5), "....x."),
    (np.str_("a"), ".....x"),
    (b"a", "......"),
    ([1], "......"),
    ({"x": 1}, "......"),
    (Decimal(1), "......"),
    (np.array(1), "......"),
    (MOMENT, "......"),
    (10**400, ".xx..."),
]


@pytest.mark.parametrize(("value", "taken"), PARAM_VALUES)
def test_a_param_takes_what_mlflow_takes(value: Any, taken: str) -> None:
    """A value comes in Python's own type, alone or in a list, or is refused."""
    for kind, mark in zip(list(DataType)[:6], taken, strict=True):
        alone = ParamSchema([ParamSpec("p", kind, None)])
        many = ParamSchema([ParamSpec("p", kind, [], (-1,))])
        if mark == "x":
            found = enforce_params({"p": value}, alone)["p"]
            assert type(found) is (type(None) if value is None else kind.to_python())
            assert enforce_params({"p": [value]}, many)["p"] == [found]
            continue
        with pytest.raises(SchemaError, match=f"param 'p': expected {kind.name}, got "):
            enforce_params({"p": value}, alone)
        with pytest.raises(SchemaError, match="param 'p'"):
            enforce_params({"p": [value]}, many)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2020-01-02", dt.date(2020, 1, 2)),
        ("2020-01-02T03:04:05.5", dt.datetime(2020, 1, 2, 3, 4, 5, 500_000)),
        ("2020-01-02T03:00:00Z", dt.datetime(2020, 1, 2, 3)),
        ("2020-01-02T03:00:00+02:00", dt.datetime(2020, 1, 2, 1)),
        (MOMENT.replace(tzinfo=dt.timezone.utc), MOMENT),
        (np.datetime64("2020-01-02T03"), MOMENT),
        (pd.Timestamp(MOMENT), MOMENT),
        (dt.date(2020, 1, 2), dt.date(2020, 1, 2)),
        ("NaT", None),
    ],
)
def test_a_date_or_time_is_read(value: Any, expected: Any) -> None:
    """Text is ISO 8601; a time of another zone becomes that of UTC."""
    schema = ParamSchema([ParamSpec("p", "datetime", None)])
    assert enforce_params({"p": value}, schema) == {"p": expected}
    assert enforce_params({"p": expected}, schema) == {"p": expected}


@pytest.mark.parametrize("value", ["soon", "2020-13-01", "20200101", 1, 1.5, [], {}, pd.NaT])
def test_what_is_no_date_is_refused(value: Any) -> None:
    """The error says which type came, not which value."""
    with pytest.raises(SchemaError, match="param 'p': expected datetime, to the microsecond, got"):
        enforce_params({"p": value}, ParamSchema([ParamSpec("p", "datetime", None)]))


def test_other_params_are_refused() -> None:
    """Params are a dictionary, a list is flat, and fields have their types."""
    with pytest.raises(SchemaError, match="expected a dictionary of params, got list"):
        enforce_params([1], PARAMS)  # type: ignore[arg-type]
    for value, message in (
        ({"stop": "a"}, "param 'stop': expected a list of string, got str"),
        ({"stop": [["a"]]}, "param 'stop': expected a list of string, got list"),
        ({"stop": ["a", 1]}, "param 'stop', item 1: expected string, got int"),
        ({"more": {"y": 1}}, "param 'more': unknown field 'y'; known: 'x'"),
        ({"more": None}, r"param 'more': expected \{x: long \(optional\)\}, got None"),
    ):
        with pytest.raises(SchemaError, match=message):
            enforce_params(value, PARAMS)


@given(st.dictionaries(st.text(max_size=3), st.integers(-9, 9) | st.floats() | st.text(max_size=3)))
def test_the_defaults_of_inferred_params_fit(values: dict[str, Any]) -> None:
    """What a schema was inferred from is accepted by it, and comes back as it was."""
    assert str(enforce_params(values, infer_params(values), strict=True)) == str(values)
