"""Requests become data as they do in MLflow's server."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gitml.models.mlmodel import Model
from gitml.models.schema import ColSpec, Schema
from gitml.models.serving import text
from gitml.models.serving.app import make_app
from gitml.models.serving.limits import Limits
from gitml.models.serving.payload import JSON, Reader, media_type
from gitml.models.serving.refused import RefusedError
from gitml.models.signature import ModelSignature
from gitml.models.types import Array, DataType, Map, Object, Property
from tests import serving
from tests.serving import Client
from tests.test_serving_hostile import asked

HERE = Path(__file__).parent
CASES = yaml.safe_load((HERE / "serving_requests.yaml").read_text(encoding="utf-8"))
ANSWERS = json.loads((HERE / "serving_answers.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Client]:
    """A client of a server for every model."""
    folder = tmp_path_factory.mktemp("models")
    names = sorted({case["model"] for case in CASES})
    return {name: Client(make_app(serving.load(name, folder / name))) for name in names}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_valid_request_is_answered_as_mlflow_does(
    case: dict[str, Any], clients: dict[str, Client]
) -> None:
    """The model is given the same, type by type, and the answer has the same values."""
    answer = asked(clients[case["model"]], case)
    if "differs" in case:
        return
    assert answer.status == 200, answer.body
    assert repr(answer.json) == repr(ANSWERS[case["name"]])


def test_every_answer_of_mlflow_has_a_request() -> None:
    """The answers that are kept are those of the requests, none more and none less."""
    asked_for = {case["name"] for case in CASES if "differs" not in case}
    assert len(CASES) >= 60
    assert asked_for <= set(ANSWERS) <= {case["name"] for case in CASES}


def model_of(*kinds: str) -> Model:
    """The description of a model with columns a, b ... of these types."""
    columns = [ColSpec(kind, chr(97 + at)) for at, kind in enumerate(kinds)]
    return Model({}, ModelSignature(Schema(columns)))


PLAIN = st.characters(exclude_categories=["Cs"])
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(rows=st.lists(st.tuples(FLOATS, st.integers(-(2**70), 2**70)), min_size=1, max_size=20))
def test_the_quick_way_is_the_long_way(rows: list[tuple[float, int]]) -> None:
    """A table of plain numbers, which is made at once, is the one that pandas makes."""
    table = {"dataframe_split": {"columns": ["a", "b"], "data": rows}}
    reader = Reader(model_of("double", "double"), Limits())
    found = reader.read(json.dumps(table).encode(), JSON).data
    wanted = pd.DataFrame(rows, columns=["a", "b"]).astype("float64")
    pd.testing.assert_frame_equal(found, wanted, check_column_type=False)


@given(rows=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_whole_numbers_of_64_bits_are_exact(rows: list[int]) -> None:
    """No whole number that a long can hold is rounded on its way."""
    records = [{"a": value} for value in rows]
    body = json.dumps({"dataframe_records": records}).encode()
    found = Reader(model_of("long"), Limits()).read(body, JSON).data
    assert found["a"].tolist() == rows
    assert found["a"].dtype == np.int64


@given(value=st.recursive(st.integers() | FLOATS | st.text(PLAIN), st.lists))
def test_json_is_what_the_standard_library_reads(value: Any) -> None:
    """A document means what it means to Python, whole numbers of any size included."""
    body = json.dumps([value], ensure_ascii=False).encode()
    found = text.parse(body, 1000)
    assert repr(found) == repr([value])


@pytest.mark.parametrize("digits", [18, 19, 20, 40, 999])
def test_long_whole_numbers_are_exact(digits: int) -> None:
    """A whole number of up to 1000 digits is not rounded, alone or among decimals."""
    number = int("9" * digits)
    body = f'{{"a": [{number}, 0.{"1" * 30}, -{number}]}}'.encode()
    assert text.parse(body, 1000)["a"][0] == number
    assert text.parse(body, 1000)["a"][2] == -number


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("application/json", "application/json"),
        ("Application/JSON; charset=UTF-8", "application/json"),
        ('text/csv;charset="utf-8"', "text/csv"),
        ("application/vnd.apache.parquet", "application/vnd.apache.parquet"),
    ],
)
def test_content_types(given: str, wanted: str) -> None:
    """Case and a charset of UTF-8 make no difference."""
    assert media_type(given) == wanted


def test_depth_is_counted_from_the_body() -> None:
    """64 levels are taken, the body's own included, and 65 are not."""
    reader = Reader(Model({}), Limits())
    for levels, good in ((63, True), (64, False)):
        body = b'{"messages": ' + b"[" * levels + b"]" * levels + b"}"
        if good:
            assert reader.read(body, JSON).is_bare
        else:
            with pytest.raises(RefusedError, match="more than 64 levels"):
                reader.read(body, JSON)


def test_a_model_with_type_hints_gets_its_inputs_as_they_are() -> None:
    """A function that checks its input itself is given what stands under inputs."""
    model = Model({}, model_of("double").signature, is_signature_from_type_hint=True)
    reader = Reader(model, Limits())
    assert reader.read(b'{"inputs": [{"a": 1}]}', JSON).data == [{"a": 1}]
    with pytest.raises(RefusedError, match="under the key inputs"):
        reader.read(b'{"instances": [{"a": 1}]}', JSON)


def test_times_and_bytes_are_texts_for_a_function_with_type_hints() -> None:
    """JSON has neither: they are made of texts wherever the type has them."""
    moments = Object([Property("when", DataType.datetime), Property("raw", Array(DataType.binary))])
    signature = ModelSignature(inputs=Schema([ColSpec(Map(moments))]))
    reader = Reader(Model({}, signature, is_signature_from_type_hint=True), Limits())
    body = b'{"inputs": [{"k": {"when": "2026-01-31T12:30:00", "raw": ["AAE="], "x": "y"}}]}'
    expected = {"when": dt.datetime(2026, 1, 31, 12, 30), "raw": [b"\0\1"], "x": "y"}
    assert reader.read(body, JSON).data == [{"k": expected}]
    for wrong, wanted in ((b'"when": "x"', "datetime"), (b'"raw": ["x"]', "binary as base64")):
        with pytest.raises(RefusedError, match=f"expected {wanted}, got other text"):
            reader.read(b'{"inputs": [{"k": {' + wrong + b"}}]}", JSON)


def test_strict_refuses_what_the_model_has_no_use_for(tmp_path: Path) -> None:
    """With strict, extra columns and params are refused, in every format."""
    from gitml.models.serving.app import Options

    client = Client(make_app(serving.load("params", tmp_path / "model"), Options(strict=True)))
    for document, what in (
        ({"dataframe_split": {"columns": ["a", "x"], "data": [[1, 2]]}}, "'x'"),
        ({"dataframe_records": [{"a": 1, "x": 2}]}, "'x'"),
        ({"dataframe_records": [{"a": 1}], "params": {"other": 1}}, "'other'"),
    ):
        answer = client.post(document)
        assert answer.status == 400
        assert what in answer.json["message"]
    assert client.post({"dataframe_records": [{"a": 1}]}).status == 200


def test_strict_refuses_extra_columns_of_plain_numbers(tmp_path: Path) -> None:
    """The quick way through records does not lose a column unseen."""
    from gitml.models.serving.app import Options

    client = Client(make_app(serving.load("numbers", tmp_path / "model"), Options(strict=True)))
    row = {"a": 1, "b": 2}
    assert client.post({"dataframe_records": [row, row]}).status == 200
    assert client.post({"dataframe_records": [row, {**row, "x": 3}]}).status == 400


TIMES = [
    ("2026-01-31", "2026-01-31"),
    ("2026-01-31T12:30:15.123456789", "2026-01-31T12:30:15.123456789"),
    ("2026-01-31 12:30", "2026-01-31T12:30:00"),
    ("20260131T123000", "2026-01-31T12:30:00"),
    ("2026-01-31T12:30:00,5", "2026-01-31T12:30:00.5"),
    (1769862600000000000, "2026-01-31T12:30:00"),
    (None, "NaT"),
]


@pytest.mark.parametrize(("given", "meant"), TIMES)
def test_times(given: object, meant: str) -> None:
    """Text by ISO 8601 and nanoseconds mean in tables and arrays what they mean to MLflow."""
    reader = Reader(Model(flavors={}, signature=serving.KINDS["days"].signature), Limits())
    row, expected = {"day": given}, np.array([meant], "datetime64[ns]")
    for body in ({"dataframe_records": [row]}, {"instances": [row]}, {"inputs": {"day": [given]}}):
        data = reader.read(json.dumps(body).encode(), JSON).data
        np.testing.assert_array_equal(np.asarray(data["day"]), expected)
        assert data["day"].dtype == "datetime64[ns]"


def test_times_of_a_zone_become_utc_in_arrays() -> None:
    """So MLflow reads them there; in tables both refuse them."""
    reader = Reader(Model(flavors={}, signature=serving.KINDS["days"].signature), Limits())
    data = reader.read(b'{"inputs": {"day": ["2026-01-31T12:30:00+02:00"]}}', JSON).data
    assert data["day"].tolist() == np.array(["2026-01-31T10:30"], "datetime64[ns]").tolist()
