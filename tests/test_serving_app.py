"""The routes of the scoring server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest

from gitml import pyfunc
from gitml.models.params import ParamSchema, ParamSpec
from gitml.models.schema import ColSpec, Schema, TensorSpec
from gitml.models.serving import metrics, openapi, sample
from gitml.models.serving.app import Options, make_app
from gitml.models.serving.guard import is_loopback
from gitml.models.serving.limits import Limits
from gitml.models.serving.metrics import Metrics
from gitml.models.signature import ModelSignature
from gitml.version import __version__
from tests import serving
from tests.deployments import save
from tests.serving import Client, Kind

ROW = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.5, 2.0]]}}
ROW_OF_NUMBERS = {"a": [1.0], "b": [2.0]}
EVIL = "</script><img src=x onerror=alert(1)>\"'"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    """A client of a server whose model adds numbers."""
    folder = tmp_path_factory.mktemp("model") / "total"
    example = pd.DataFrame(ROW_OF_NUMBERS)
    return Client(make_app(serving.load("total", folder, input_example=example)))


def client_of(name: str, folder: Path, **options: Any) -> Client:
    """A client of a server of one of the models."""
    return Client(make_app(serving.load(name, folder / name), Options(**options)))


def test_a_prediction(client: Client) -> None:
    """A request for predictions is answered with JSON."""
    answer = client.post(ROW)
    assert answer.status == 200
    assert answer.json == {"predictions": [{"0": 3.5}]}
    assert answer.fields["content-type"] == "application/json"
    assert answer.fields["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/ping", "/health"])
def test_the_server_says_that_it_is_there(client: Client, path: str) -> None:
    """Both paths have MLflow's answer."""
    answer = client.get(path)
    assert (answer.status, answer.body) == (200, b"\n")


def test_a_model_is_ready_once_it_has_predicted(tmp_path: Path) -> None:
    """For its own example, if it has one; what it says instead is in the answer."""
    assert client_of("total", tmp_path).get("/ready").status == 200
    for number, code in ((1, "pass"), (2, "raise RuntimeError('no')")):
        folder = save(tmp_path / f"v{number}", number, code)
        client = Client(make_app(pyfunc.load_model(folder, allow_code=True)))
        assert client.get("/ping").status == 200
        answer = client.get("/ready")
        assert answer.status == (200 if number == 1 else 503)
    assert "it does not predict for the model's own example" in answer.json["message"]


def test_the_version_is_json_or_text(client: Client) -> None:
    """By default all that is known of the model; as plain text the version of gitml alone."""
    document = client.get("/version").json
    assert document["gitml_version"] == __version__
    assert set(document) == {
        "gitml_version", "model", "version", "run_id", "digest", "model_uuid",
    }  # fmt: skip
    assert document["digest"].startswith("sha256:")
    plain = client.get("/version", Accept="text/plain")
    assert plain.body.decode() == __version__
    assert plain.fields["content-type"].startswith("text/plain")


def test_methods_that_a_path_has_not(client: Client) -> None:
    """405 says which method there is."""
    assert client("GET", "/invocations").fields["allow"] == "POST"
    assert client("POST", "/ping").fields["allow"] in ("GET, HEAD", "HEAD, GET")


@pytest.mark.parametrize(
    "host", ["localhost:5000", "127.0.0.1", "[::1]:80", "LOCALHOST", "127.9.9.9"]
)
def test_the_names_of_this_machine(client: Client, host: str) -> None:
    """A server on the loopback answers to all of its names."""
    assert client.get("/ping", Host=host).status == 200


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1.evil.example", "[::1", "1.2.3.4"])
def test_other_names_are_refused(client: Client, host: str) -> None:
    """A name that someone pointed at this machine is no way in."""
    assert client.get("/ping", Host=host).status in (400, 403)


def test_a_server_for_others_answers_to_any_name(tmp_path: Path) -> None:
    """Where the network is meant to reach it, the name is not the server's concern."""
    client = client_of("total", tmp_path, local=False)
    assert client.get("/ping", Host="models.example").status == 200
    answer = client.post(ROW, Host="models.example", Origin="http://evil.example")
    assert answer.status == 403


def test_its_own_page_may_ask(client: Client) -> None:
    """The page of this server is no other site."""
    headers = {"Host": "localhost:5000", "Origin": "http://localhost:5000"}
    assert client.post(ROW, **headers, **{"Sec-Fetch-Site": "same-origin"}).status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_addresses_of_this_machine_alone(host: str) -> None:
    """What is the loopback."""
    assert is_loopback(host)
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("::")
    assert not is_loopback("example.org")


def test_a_slow_prediction_is_given_up(tmp_path: Path) -> None:
    """504, and the server goes on."""
    client = client_of("slow", tmp_path, limits=Limits(seconds=0.3))
    assert client.post({"inputs": [1.0]}).status == 504
    assert client.post({"inputs": [0.0]}).json == {"predictions": [0.0]}


def test_rows_and_bytes_have_the_bounds_that_are_set(tmp_path: Path) -> None:
    """The limits are those of the options, to the row and to the byte."""
    client = client_of("total", tmp_path, limits=Limits(body=200, rows=2))
    rows = [[1, 2]] * 2
    table = {"columns": ["a", "b"], "data": rows}
    assert client.post({"dataframe_split": table}).status == 200
    assert client.post({"dataframe_split": {**table, "data": [*rows, [1, 2]]}}).status == 413
    body = [b"x" * 100, b"x" * 100]
    kind = {"Content-Type": "application/json"}
    assert client("POST", "/invocations", body, kind).status == 400
    assert client("POST", "/invocations", [*body, b"x"], kind).status == 413


def test_a_model_that_fails_tells_its_log_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The client learns the kind of the error; its text, which may hold data, is in the log."""
    client = client_of("failing", tmp_path)
    answer = client.post({"inputs": [1.0]})
    assert answer.status == 400
    assert "RuntimeError" in answer.json["message"]
    assert b"secret" not in answer.body
    assert "the secret is" in caplog.text
    assert "gitml_model_failures_total 1" in client.get("/metrics").body.decode()


# -- metrics -------------------------------------------------------------------------------


def samples(text: str) -> dict[str, float]:
    """The samples of a text in Prometheus' format, each line of which is one or a comment."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_requests_are_counted(tmp_path: Path) -> None:
    """By path and status, with how long they took."""
    client = client_of("total", tmp_path)
    for _ in range(3):
        client.post(ROW)
    client.post({})
    client.get("/ping")
    client.get("/nothing")
    found = samples(client.get("/metrics").body.decode())
    name = "gitml_request_duration_seconds"
    assert found['gitml_requests_total{path="/invocations",status="200"}'] == 3
    assert found['gitml_requests_total{path="/invocations",status="400"}'] == 1
    assert found['gitml_requests_total{path="other",status="404"}'] == 1
    assert found["gitml_requests_in_flight"] == 1
    assert found[f"{name}_count"] == found[f'{name}_bucket{{le="+Inf"}}'] == 4
    buckets = [value for key, value in found.items() if "_bucket" in key]
    assert buckets == sorted(buckets)
    assert found[f"{name}_sum"] > 0


def test_labels_are_escaped() -> None:
    """A name can't end its label."""
    text = Metrics().text({"model": 'a"\\b\nc'})
    assert r'gitml_model_info{model="a\"\\b\nc"} 1' in text


def test_workers_count_together(tmp_path: Path) -> None:
    """Whichever worker is asked tells the sum, also of those that are gone."""
    one, other = Metrics(tmp_path), tmp_path / "7-x.counts"
    one.start()
    one.start()
    one.end("/invocations", 200, 0.003)
    (own,) = tmp_path.glob("*.counts")
    other.write_bytes(own.read_bytes())
    assert samples(one.text({}))["gitml_requests_in_flight"] == 2
    metrics.bury(tmp_path, 7)
    found = samples(one.text({}))
    assert found['gitml_requests_total{path="/invocations",status="200"}'] == 2
    assert found["gitml_requests_in_flight"] == 1


# -- OpenAPI -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(serving.KINDS))
def test_every_model_has_a_description(name: str, tmp_path: Path) -> None:
    """The document is there for every kind of signature, and its example fits its own schema."""
    document = openapi.document(serving.load(name, tmp_path / "model"), name, "1")
    assert document["openapi"] == "3.1.0"
    content = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    example = content["application/json"]["example"]
    check(document, "Request", example)


@pytest.mark.parametrize("name", sorted(set(serving.KINDS) - {"failing", "slow", "total"}))
def test_the_example_is_answered(name: str, tmp_path: Path) -> None:
    """What the description gives as an example is a valid request."""
    client = client_of(name, tmp_path)
    document = client.get("/openapi.json").json
    content = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    answer = client.post(content["application/json"]["example"])
    assert answer.status == 200, answer.body


def test_the_description_refuses_what_the_server_refuses(tmp_path: Path) -> None:
    """Columns that are missing or of another type do not fit the schema."""
    document = openapi.document(serving.load("all", tmp_path / "model"), "all", "1")
    row = document["components"]["schemas"]["Row"]
    assert row["required"] == [
        "flag", "small", "large", "half", "whole", "word", "data", "day",
    ]  # fmt: skip
    assert row["properties"]["maybe"] == {"type": ["integer", "null"], "format": "int64"}
    with pytest.raises(jsonschema.ValidationError):
        check(document, "Request", {"dataframe_records": [{"flag": True}]})
    with pytest.raises(jsonschema.ValidationError):
        check(document, "Request", {"rows": []})


def check(document: dict[str, Any], name: str, value: Any) -> None:
    """Validate a value against one of the document's schemas."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


EXAMPLES = {
    "NaN and infinity": b'{"dataframe_split": {"columns": ["a", "b"], "data": [[NaN, 1e999]]}}',
    "half a surrogate pair": b'{"inputs": {"\\ud800": ["\\udfff"]}}',
    "no columns": b'{"dataframe_split": {"columns": 5, "data": [[1]]}}',
    "names that are lists": b'{"dataframe_split": {"columns": [["a"], {}], "data": [[1, 2]]}}',
    "no rows": b'{"dataframe_split": {"columns": ["a", "b"], "data": [5]}}',
    "deeper than a request may be": b'{"inputs": ' + b"[" * 300 + b"]" * 300 + b"}",
    "deeper than Python can read": b"[" * 20_000 + b"]" * 20_000,
    "too long to be shown": b'{"inputs": ' + b" " * sample.MAX_BYTES + b"[]}",
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_a_strangers_is_shown_or_another(name: str, tmp_path: Path) -> None:
    """Whatever lies in the file of the example, the page and the description are there."""
    model = serving.load("total", tmp_path / "model", input_example=pd.DataFrame(ROW_OF_NUMBERS))
    (tmp_path / "model/serving_input_example.json").write_bytes(EXAMPLES[name])
    client = Client(make_app(model))
    assert client.get("/").status == 200
    assert client.get("/openapi.json").json["openapi"] == "3.1.0"


def test_a_signature_of_a_strangers_is_described(tmp_path: Path) -> None:
    """Names that are no Unicode, and params that are no numbers, are written as JSON can."""
    columns = Schema([ColSpec("double", "\ud800"), ColSpec("double", EVIL)])
    params = ParamSchema([ParamSpec("p", "double", float("nan"))])
    signature = ModelSignature(columns, params=params)
    serving.KINDS["strange"] = Kind(serving.seen, signature)
    try:
        client = Client(make_app(serving.load("strange", tmp_path / "model")))
    finally:
        del serving.KINDS["strange"]
    assert EVIL.encode() not in client.get("/").body
    schemas = client.get("/openapi.json").json["components"]["schemas"]
    assert list(schemas["Row"]["properties"]) == ["?", EVIL]
    assert schemas["Params"]["properties"]["p"]["default"] is None


def test_the_example_of_a_vast_tensor_is_small(tmp_path: Path) -> None:
    """A shape in the signature costs a line there, and no more here."""
    tensors = [TensorSpec("float64", (-1, *[10**6] * 20), name) for name in "xy"]
    found = sample.made_up(Schema(tensors))
    assert len(json.dumps(found)) < 1_000_000


# -- the page ------------------------------------------------------------------------------


def test_the_page_loads_nothing_but_itself(client: Client) -> None:
    """Its policy allows no script, style or frame of others, and no code in its text."""
    answer = client.get("/")
    policy = answer.fields["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    text = answer.body.decode()
    assert " on" not in "".join(text.split('"')[::2]).replace(" only", "")
    assert "style=" not in text
    assert "://" not in text
    for path in ("/page.css", "/page.js"):
        assert client.get(path).status == 200
        assert b"http" not in client.get(path).body
