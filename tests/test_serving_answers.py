"""Predictions as JSON: what MLflow's encoder makes of each."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gitml.models.serving.answers import AnswerError, answer

NAN = float("nan")


@pytest.mark.parametrize(
    ("predictions", "wanted"),
    [
        (np.array([1.5, 2.0]), "[1.5, 2.0]"),
        (np.array([[1, 2], [3, 4]], dtype="int32"), "[[1, 2], [3, 4]]"),
        (np.array([True, False]), "[true, false]"),
        (np.array([0.1], dtype="float32"), "[0.10000000149011612]"),
        (np.array([1.0, NAN, math.inf, -math.inf]), "[1.0, NaN, Infinity, -Infinity]"),
        (np.array(["a", "é"]), '["a", "é"]'),
        (np.array([b"\x00\x01"]), '["AAE=\\n"]'),
        (np.array([{"a": np.float32(0.5)}, None], dtype=object), '[{"a": 0.5}, null]'),
        (np.array(3.5), "3.5"),
        (np.array(["2026-01-31"], dtype="datetime64[D]"), '["2026-01-31"]'),
        (np.array([2**63], dtype="uint64"), "[9223372036854775808]"),
        (np.float64(0.5), "0.5"),
        (np.int64(7), "7"),
        ([np.array([1, 2]), np.array([3])], "[[1, 2], [3]]"),
        ({"a": np.array([1.0]), "b": [np.int8(2)]}, '{"a": [1.0], "b": [2]}'),
        ({1: "a"}, '{"1": "a"}'),
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), '[{"a": 1, "b": "x"}, {"a": 2, "b": NaN}]'),
        (pd.DataFrame({"a": [1.5, NAN]}), '[{"a": 1.5}, {"a": NaN}]'),
        (pd.DataFrame({"a": pd.to_datetime(["2026-01-31"])}), '[{"a": "2026-01-31T00:00:00"}]'),
        (pd.Series([1, 2], name="y"), '[{"y": 1}, {"y": 2}]'),
        (pd.Series([1.5]), '[{"0": 1.5}]'),
        ([datetime.date(2026, 1, 31), datetime.time(1, 2)], '["2026-01-31", "01:02:00"]'),
        ([b"\x00\x01"], '["AAE=\\n"]'),
        ("text", '"text"'),
        (None, "null"),
        ([10**30], "[1000000000000000000000000000000]"),
        ("\ud800", '"\\ud800"'),
    ],
    ids=str,
)
def test_predictions_are_written_as_mlflow_does(predictions: Any, wanted: str) -> None:
    """Arrays, tables, scalars, dates, bytes and NaN have the form that MLflow gives them."""
    found = answer(predictions)
    assert repr(json.loads(found)) == repr({"predictions": json.loads(wanted)})


def test_the_answer_of_a_language_model_is_bare() -> None:
    """Without the key predictions, nothing is around them."""
    assert answer([1, 2], is_bare=True) == b"[1, 2]"


@pytest.mark.parametrize(
    "predictions",
    [object(), {(1, 2): 3}, [{1, 2}], 1j, np.array([1j])],
    ids=lambda value: type(value).__name__,
)
def test_what_json_can_not_hold_is_an_error(predictions: Any) -> None:
    """Predictions that are no JSON raise an error that names their kind."""
    with pytest.raises(AnswerError, match=r"^the model predicts "):
        answer(predictions)


def test_an_endless_answer_is_an_error() -> None:
    """A list that holds itself is no JSON."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(AnswerError):
        answer(endless)


@given(
    npst.arrays(
        st.sampled_from(["float64", "float32", "int64", "uint8", "bool"]),
        npst.array_shapes(max_dims=3, max_side=4),
    )
)
def test_an_array_is_written_value_by_value(array: Any) -> None:
    """No number changes on its way, whatever its type."""
    assert repr(json.loads(answer(array))["predictions"]) == repr(array.tolist())


@given(st.lists(st.floats(), min_size=1), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_a_table_is_written_value_by_value(floats: list[float], wholes: list[int]) -> None:
    """Rows are dictionaries with the values of every column."""
    size = min(len(floats), len(wholes))
    frame = pd.DataFrame({"f": floats[:size], "w": wholes[:size]})
    found = json.loads(answer(frame))["predictions"]
    assert repr(found) == repr(frame.to_dict(orient="records"))
