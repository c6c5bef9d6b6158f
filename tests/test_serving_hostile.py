"""Hostile requests: refused with a short answer that names what is wrong."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitml.models.serving.app import make_app
from tests import serving
from tests.serving import Answer, Client

FILE = Path(__file__).with_name("hostile") / "requests.yaml"
CASES = yaml.safe_load(FILE.read_text(encoding="utf-8"))
FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")


def parquet(columns: dict[str, list[Any]], compression: str = "snappy") -> bytes:
    """A Parquet file of these columns."""
    import pyarrow
    import pyarrow.parquet

    target = io.BytesIO()
    table = pyarrow.table(columns)
    pyarrow.parquet.write_table(table, target, compression=compression)
    return target.getvalue()


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Client]:
    """A client of a server for every model."""
    folder = tmp_path_factory.mktemp("models")
    names = sorted({case.get("model", "numbers") for case in CASES} | {"free", "tensor", "all"})
    made = {name: serving.load(name, folder / name) for name in names}
    return {name: Client(make_app(model)) for name, model in made.items()}


def body_of(case: dict[str, Any]) -> bytes:
    """The body of a case."""
    if "columns" in case:
        return parquet(case["columns"])
    if "made" in case:
        made = eval(case["made"], {"parquet": parquet})
        assert isinstance(made, bytes)
        return made
    return str(case.get("body", "")).encode("utf-8", "surrogatepass")


def asked(client: Client, case: dict[str, Any]) -> Answer:
    """The answer to the request of a case."""
    headers = dict(case.get("headers", {}))
    if (kind := case.get("type", "application/json")) is not None:
        headers["Content-Type"] = kind
    path = case.get("path", "/invocations")
    return client(case.get("method", "POST"), path, body_of(case), headers)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_hostile_request_is_refused(case: dict[str, Any], clients: dict[str, Client]) -> None:
    """The status and the message are those of the corpus; the answer is short JSON."""
    answer = asked(clients[case.get("model", "numbers")], case)
    assert answer.status == case["status"], answer.body
    check_refusal(answer)
    assert case.get("says", "") in answer.json["message"]


def check_refusal(answer: Answer) -> None:
    """A refusal has a code and a message of one line, is short, and tells nothing of the inside."""
    assert answer.status < 500
    assert len(answer.body) <= 1000
    assert answer.fields["content-type"] == "application/json"
    document = answer.json
    assert set(document) == {"error_code", "message"}
    assert "\n" not in document["message"]
    for word in ("Traceback", 'File "', "site-packages", "secret"):
        assert word not in document["message"]


def test_there_are_enough_cases() -> None:
    """The corpus has more cases than what it is made from, each with a name of its own."""
    names = [case["name"] for case in CASES]
    assert len(names) == len(set(names)) >= 100


def test_a_refusal_does_not_echo_the_data(clients: dict[str, Client]) -> None:
    """Values that a client sent are not in the answer, wherever they stood."""
    word = "hunter2"
    table = {"columns": ["a", "b"], "data": [[word, 1.0]]}
    for document in (
        {"dataframe_split": table},
        {"dataframe_records": [{"a": word, "b": 1.0}]},
        {"inputs": {"a": [word], "b": [1.0]}},
        {"instances": [{"a": word, "b": 1.0}]},
        {"inputs": word},
        word,
    ):
        answer = clients["numbers"].post(document)
        assert answer.status == 400
        assert word not in answer.body.decode()


# -- fuzzing -------------------------------------------------------------------------------

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["a", "b", "2026-01-31", "AA==", 2**63, -(2**63) - 1, 1e308, "", "nan"])
)
NAMES = st.sampled_from(["a", "b", "x", "columns", "data", "index", "flag", "day"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
TABLES = st.fixed_dictionaries(
    {"data": st.lists(st.lists(LEAVES, min_size=1, max_size=3), max_size=3) | VALUES},
    optional={
        "columns": st.lists(NAMES, max_size=3) | VALUES,
        "index": st.lists(LEAVES, max_size=3) | VALUES,
    },
)
DOCUMENTS = (
    st.builds(lambda name, value: {name: value}, st.sampled_from(FORMATS), VALUES)
    | st.builds(lambda value: {"dataframe_split": value}, TABLES)
    | st.builds(lambda value, params: {"inputs": value, "params": params}, VALUES, VALUES)
    | VALUES
)
BODIES = DOCUMENTS.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60)
TYPES = st.sampled_from(
    [*["application/json"] * 4, "text/csv", "text/plain", "application/vnd.apache.parquet"]
)
MODELS = st.sampled_from(["numbers", "wholes", "all", "unnamed", "params", "nested", "tensor"])


@given(body=BODIES, kind=TYPES, name=MODELS | st.sampled_from(["tensors", "free", "floats"]))
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_is_an_error_of_the_server(
    body: bytes, kind: str, name: str, clients: dict[str, Client]
) -> None:
    """Whatever is sent, the answer is a prediction or a refusal."""
    answer = clients[name]("POST", "/invocations", body, {"Content-Type": kind})
    if answer.status != 200:
        check_refusal(answer)
