"""A model that another process serves, asked over HTTP: predictions without loading anything.

Rows go in some at a time, as the scoring server takes them, and what comes back is JSON: an array,
or a table where the model names the columns. The server need not be trusted.
"""

from __future__ import annotations

import functools
import http.client
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gitml.errors import StorageError, UsageError, shown
from gitml.models import example
from gitml.models.flavor import Predict

_ADDRESS = re.compile(
    r"http://(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\])(?::(?P<port>\d{1,5}))?/?", re.ASCII
)
_ROWS = 1000  # of one request
_SECONDS = 600.0  # for the answer to one
_MOST = 1 << 26  # bytes of an answer


class _Server(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"http://{self.host}:{self.port}"


def predictor(url: str) -> Predict:
    """What asks the model that is served at a URL such as `http://127.0.0.1:5000`.

    It raises UsageError with what the server says against the data, StorageError when there is no
    answer that is one.
    """
    found = _ADDRESS.fullmatch(url)
    if found is None:
        raise UsageError(f"{shown(url)} is no address of a scoring server; write http://HOST:PORT")
    return functools.partial(_predict, _Server(found["host"].strip("[]"), int(found["port"] or 80)))


def _predict(server: _Server, data: Any, params: Mapping[str, Any] | None) -> Any:
    found: list[Any] = []
    for part, count in _parts(data):
        rows = _asked(server, part, params)
        if count is not None and not (isinstance(rows, list) and len(rows) == count):
            raise StorageError(f"the model at {server} does not predict one value for each row")
        if count is None:
            return _result(rows)
        found += rows
    return _result(found)


def _parts(data: Any) -> Iterator[tuple[Any, int | None]]:
    """The data, some rows at a time, and how many; what has no rows is one part."""
    if not isinstance(data, list) and not hasattr(data, "shape"):
        yield data, None
        return
    for start in range(0, max(len(data), 1), _ROWS):
        rows = data.iloc if hasattr(data, "iloc") else data
        part = rows[start : start + _ROWS]
        yield part, len(part)


def _asked(server: _Server, data: Any, params: Mapping[str, Any] | None) -> Any:
    given = data if params is None else (data, dict(params))
    body = example.example_of(given).body()
    try:
        status, answer = _posted(server, body)
        told = json.loads(answer)
    except (OSError, http.client.HTTPException) as error:
        raise StorageError(f"the model at {server} does not answer: {shown(error)}") from None
    except (ValueError, RecursionError):
        raise StorageError(f"what the model at {server} answers is no JSON") from None
    if status != 200:
        reason = told.get("message") if isinstance(told, dict) else None
        raise UsageError(f"the model at {server} does not predict: {shown(reason or status)}")
    if not isinstance(told, dict) or "predictions" not in told:
        raise StorageError(f"what the model at {server} answers has no predictions")
    return told["predictions"]


def _posted(server: _Server, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=_SECONDS)
    try:
        connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read(_MOST + 1)
    finally:
        connection.close()
    if len(data) > _MOST:
        raise StorageError(f"the model at {server} answers with more than {_MOST >> 20} MB")
    return answer.status, data


def _result(predictions: Any) -> Any:
    """A table for rows that are mappings, an array for others, where they are even."""
    if not isinstance(predictions, list) or not predictions:
        return predictions
    if all(isinstance(row, dict) for row in predictions):
        import pandas

        return pandas.DataFrame(predictions)
    import numpy

    try:
        return numpy.array(predictions)
    except ValueError:  # rows of different lengths
        return predictions
