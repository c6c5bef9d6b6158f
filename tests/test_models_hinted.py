"""Models whose signature is of type hints: what their functions get, and what is refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pytest

import gitml
from gitml.models.conversion import SchemaError
from gitml.models.hinted import fit_items

DAY = dt.datetime(2026, 1, 31)


@pytest.mark.parametrize(
    ("data", "hint", "expected"),
    [
        (["a", "bb"], str, ["a", "bb"]),
        (pd.DataFrame({"x": ["a", "bb"]}), str, ["a", "bb"]),
        (pd.Series([1, 2]), int, [1, 2]),
        (np.array([1.0, 2.0]), float, [1.0, 2.0]),
        (np.array([[1, 2]]), list[int], [[1, 2]]),
        ([np.int64(3)], int, [3]),
        ([1, 2.5], float, [1.0, 2.5]),
        ([DAY], dt.datetime, [DAY]),
        ([None, "a", float("nan")], str | None, [None, "a", None]),
        ([1, "a"], int | str, [1, "a"]),
        ([object], Any, [object]),
        ([{"a": 1}], dict[str, float], [{"a": 1.0}]),
        (pd.DataFrame({"a": [1.0], "b": [2.0]}), dict[str, float], [{"a": 1.0, "b": 2.0}]),
        (pd.DataFrame([[{"a": 1.0}]]), dict[str, float], [{"a": 1.0}]),
        ([], str, []),
    ],
)
def test_items_are_what_the_hint_says(data: Any, hint: Any, expected: list[Any]) -> None:
    """As Python's own values, of lists, arrays and tables."""
    fitted = fit_items(data, hint)
    assert fitted == expected
    assert [type(item) for item in fitted] == [type(item) for item in expected]


@pytest.mark.parametrize(
    ("data", "hint", "message"),
    [
        ("abc", str, "expected a list, got str"),
        ({"a": 1}, str, "expected a list, got dict"),
        (["a", 1], str, "item 1: expected string, got int"),
        ([None], str, "item 0: expected string, got None"),
        ([True], int, "item 0: expected long, got bool"),
        ([1.5], int, "item 0: expected long, got float"),
        ([2**53 + 1], float, "item 0: expected double, got int"),
        ([[1, "x"]], list[int], "item 0, item 1: expected long, got str"),
        ([{"a": "x"}], dict[str, float], "item 0, field 'a': expected double, got str"),
        ([{1: 1.0}], dict[str, float], "item 0: expected text as the keys"),
        ([1.0], dict[str, float], "item 0: expected a dictionary, got float"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), str, "a table of one column, got 2 columns"),
    ],
)
def test_what_does_not_fit_the_hint_is_named(data: Any, hint: Any, message: str) -> None:
    """Its place, what was expected, and what came."""
    with pytest.raises(SchemaError) as caught:
        fit_items(data, hint)
    assert message in str(caught.value)


def test_objects_of_pydantic_are_made() -> None:
    """With their defaults; faults are named without the data."""
    pydantic = pytest.importorskip("pydantic")

    def refuse(value: str) -> str:
        if value == "secret":
            raise ValueError(f"{value} is not allowed")
        return value

    text = Annotated[str, pydantic.AfterValidator(refuse)]
    row = pydantic.create_model("Row", a=(float, ...), b=(text, "x"))
    [fitted] = fit_items([{"a": 1.0}], row)
    assert (type(fitted), fitted.a, fitted.b) == (row, 1.0, "x")
    assert fit_items([fitted], row) == [fitted]
    assert fit_items(pd.DataFrame({"a": [1.0], "b": ["y"]}), row)[0].b == "y"
    assert fit_items([{"k": {"a": 1.0}}], dict[str, row])[0]["k"] == fitted
    for value, message in (
        ({"a": "secret"}, "item 0, field 'a': Input should be a valid number"),
        ({}, "item 0, field 'a': Field required"),
        ({"a": 1.0, "b": "secret"}, "item 0, field 'b': refused by a check of its own"),
        (1, "item 0: expected a dictionary for 'Row', got int"),
    ):
        with pytest.raises(SchemaError) as caught:
            fit_items([value], row)
        assert message in str(caught.value)
        assert "secret" not in str(caught.value)


def test_a_model_gets_what_its_hints_say(tmp_path: Path) -> None:
    """A function as well as a class, with a context or without."""

    def lengths(model_input: list[str]) -> list[int]:
        return [len(text) for text in model_input]

    class Sums(gitml.pyfunc.PythonModel):
        def predict(
            self, context: Any, model_input: list[dict[str, float]], params: Any = None
        ) -> list[float]:
            return [sum(row.values()) for row in model_input]

    gitml.pyfunc.save_model(tmp_path / "function", python_model=lengths)
    function = gitml.pyfunc.load_model(tmp_path / "function", allow_code=True)
    assert function.predict(pd.DataFrame({"x": ["a", "bb"]})) == [1, 2]
    with pytest.raises(SchemaError, match="item 0: expected string, got int"):
        function.predict([1])
    gitml.pyfunc.save_model(tmp_path / "class", python_model=Sums())
    model = gitml.pyfunc.load_model(tmp_path / "class", allow_code=True)
    assert model.predict(pd.DataFrame({"a": [1.0], "b": [2.0]})) == [3.0]
    with pytest.raises(SchemaError, match="item 0, field 'a': expected double, got str"):
        model.predict([{"a": "x"}])


def test_a_model_makes_the_objects_of_its_hints_itself(tmp_path: Path) -> None:
    """As MLflow leaves it to the model; a hint's names may be those of the saving program only."""
    pydantic = pytest.importorskip("pydantic")
    row = pydantic.create_model("Row", a=(float, ...))

    def predict(self: Any, context: Any, model_input: Any) -> list[float]:
        return [item.a for item in model_input]

    predict.__annotations__["model_input"] = list[row]  # type: ignore[valid-type]
    model = type("Sums", (gitml.pyfunc.PythonModel,), {"predict": predict})()
    items = [{"a": 1.0}, row(a=2.0)]
    assert model.predict(None, items) == model.predict(None, model_input=items) == [1.0, 2.0]
    assert model.predict(None, pd.DataFrame({"a": [1.0]})) == [1.0]
    assert model.predict(None, pd.DataFrame({0: [{"a": 1.0}]})) == [1.0]
    with pytest.raises(ValueError, match="valid number"):
        model.predict(None, [{"a": "1"}])
