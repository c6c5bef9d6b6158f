"""Predictions as a file: its name says the format, and each row of the input has a row."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gitml.errors import UsageError
from gitml.models.serving import written
from gitml.models.serving.offline import format_to
from tests import serving
from tests.cli import Caller

TABLES: list[tuple[Any, dict[str, list[Any]]]] = [
    (np.array([1.5, 2.0]), {"prediction": [1.5, 2.0]}),
    ([1, 2], {"prediction": [1, 2]}),
    (["a", "b,\n"], {"prediction": ["a", "b,\n"]}),
    (np.array([[1, 2], [3, 4]]), {"0": [1, 3], "1": [2, 4]}),
    ([[1, 2], [3, 4]], {"0": [1, 3], "1": [2, 4]}),
    (pd.Series([1, 2], index=[7, 8]), {"prediction": [1, 2]}),
    (pd.Series([1, 2], name="y"), {"y": [1, 2]}),
    (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=[7, 8]), {"a": [1, 2], "b": ["x", "y"]}),
    ([{"a": 1}, {"a": 2}], {"a": [1, 2]}),
    ({"a": [1, 2], "b": [3, 4]}, {"a": [1, 2], "b": [3, 4]}),
]


@pytest.mark.parametrize(("predictions", "columns"), TABLES)
def test_predictions_are_a_table(predictions: Any, columns: dict[str, list[Any]]) -> None:
    """What has no names gets some; an index of the model's is left out."""
    text, blob = written.as_csv(predictions), written.as_parquet(predictions)
    assert pd.read_csv(io.BytesIO(text)).to_dict("list") == columns
    assert pd.read_parquet(io.BytesIO(blob)).to_dict("list") == columns


@pytest.mark.parametrize(
    "predictions", [3.5, "text", None, np.zeros((2, 2, 2)), {"a": 1}, {"a": [1], "b": [1, 2]}]
)
def test_what_is_no_table_is_said(predictions: Any) -> None:
    """The message names a way out."""
    for write in (written.as_csv, written.as_parquet):
        with pytest.raises(UsageError, match=r"no table; name a \.json file"):
            write(predictions)


def test_mixed_types_do_not_fit_into_parquet() -> None:
    """The error is one line of pyarrow's, with what to do."""
    with pytest.raises(UsageError, match=r"don't fit into Parquet: .*; name a \.json"):
        written.as_parquet([{"a": "x"}, {"a": 1}])


def test_a_name_says_the_format() -> None:
    """Any other name means JSON, as standard output does."""
    names = ["o.csv", "O.CSV", "o.parquet", "o.json", "o.txt", "csv", None]
    expected = ["csv", "csv", "parquet", "json", "json", "json", "json"]
    assert [format_to(name) for name in names] == expected


def test_predicting_into_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`gitml models predict -o`."""
    (tmp_path / "rows.csv").write_text("a,b\n1.5,2\n1,1\n")
    model = serving.save("total", tmp_path / "model")
    asked = ("models", "predict", "--allow-code", "-m", model, "-i", tmp_path / "rows.csv")
    for name in ("out.csv", "out.parquet", "out.json"):
        assert Caller(capsys)(*asked, "-o", tmp_path / name).out == ""
    answers = json.loads((tmp_path / "out.json").read_bytes())["predictions"]
    assert answers == [{"0": 3.5}, {"0": 2.0}]  # a Series without a name, as MLflow's server has it
    for table in (pd.read_csv(tmp_path / "out.csv"), pd.read_parquet(tmp_path / "out.parquet")):
        assert table.to_dict("list") == {"prediction": [3.5, 2.0]}
