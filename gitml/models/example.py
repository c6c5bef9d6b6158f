"""Input examples: the JSON files beside a model that show what it takes; MLflow's formats.

`input_example.json` holds the example itself, `serving_input_example.json` the request body that
asks a scoring server for its prediction.
"""

from __future__ import annotations

import base64
import datetime
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitml.documents import load_json
from gitml.errors import FormatError, UsageError, shown
from gitml.files import disk
from gitml.models.schema import Schema
from gitml.models.serving.cast import cast_frame
from gitml.models.serving.refused import RefusedError
from gitml.models.serving.tensors import ArrayReader

EXAMPLE_FILE = "input_example.json"
SERVING_FILE = "serving_input_example.json"
_SCALARS = (str, bytes, bool, int, float, datetime.datetime)


@dataclass(frozen=True, slots=True)
class Example:
    """An input example: the data as it was given, params that go with it, and its JSON forms.

    `info` is what MLmodel says of the files.
    """

    data: Any
    params: Mapping[str, Any] | None
    info: Mapping[str, Any]
    content: Any
    request: Any

    def write(self, folder: Path) -> None:
        """Write both files."""
        (folder / EXAMPLE_FILE).write_text(_json(self.content), encoding="utf-8")
        (folder / SERVING_FILE).write_text(_json(self.request, indent=2), encoding="utf-8")

    def body(self) -> bytes:
        """The body of a request that asks a scoring server for its prediction."""
        return _json(self.request).encode()


def example_of(given: Any) -> Example:
    """The example that `input_example` gives: data, or a tuple of data and a dict of params."""
    data, params = given, None
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], dict):
        data, params = given
    kind, content = _described(data)
    info: dict[str, Any] = {"artifact_path": EXAMPLE_FILE, "serving_input_path": SERVING_FILE}
    key = "inputs"
    if kind == "dataframe":
        key = "dataframe_split"
        info["pandas_orient"] = "split" if "columns" in content else "values"
    request = {key: _dense(data) if kind.startswith("sparse") else content}
    if params is not None:
        info["params"] = "true"
        content = {"inputs": content, "params": params}
        request["params"] = params
    return Example(data, params, {**info, "type": kind}, content, request)


def _described(data: Any) -> tuple[str, Any]:
    """The kind of an example as MLmodel names it, and its JSON form."""
    module = type(data).__module__.partition(".")[0]
    name = type(data).__name__
    if module == "pandas" and name == "Series":
        data, name = data.to_frame(), "DataFrame"
    if module == "pandas" and name == "DataFrame":
        return "dataframe", _frame(data)
    if module == "scipy" and hasattr(data, "indptr"):
        return f"sparse_matrix_{data.format}", {
            "data": _plain_array(data.data),
            "indices": data.indices.tolist(),
            "indptr": data.indptr.tolist(),
            "shape": list(data.shape),
        }
    if name == "ndarray":
        return "ndarray", _plain_array(data)
    if isinstance(data, dict) and data:
        arrays = [type(item).__name__ == "ndarray" for item in data.values()]
        if all(arrays):
            return "ndarray", {key: _plain_array(item) for key, item in data.items()}
    if isinstance(data, (dict, list, *_SCALARS)) or module == "numpy":
        return "json_object", data
    raise UsageError(
        f"input_example can't be a {type(data).__name__}; give a DataFrame, an array, a dict, a"
        " list or a single value, alone or in a tuple with a dict of params"
    )


def _frame(frame: Any) -> dict[str, Any]:
    plain = frame.astype(object).where(frame.notna(), None)
    content = {"data": plain.to_numpy().tolist()}
    if list(frame.columns) == list(range(len(frame.columns))):
        return content
    return {"columns": list(frame.columns), **content}


def _plain_array(array: Any) -> Any:
    if array.dtype.kind == "f":
        array = array.astype(object).copy()
        array[array != array] = None
    return array.tolist()


def _dense(matrix: Any) -> Any:
    return matrix.toarray().tolist()


def _json(value: Any, indent: int | None = None) -> str:
    try:
        return json.dumps(value, default=_plain, indent=indent, allow_nan=True)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the input example can't be written as JSON: {error}") from None


def _plain(value: Any) -> Any:
    """A value that JSON does not know, as MLflow writes it."""
    if isinstance(value, (bytes, bytearray)):
        return base64.encodebytes(value).decode("ascii")
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    for method in ("tolist", "item", "isoformat"):
        if hasattr(value, method):
            return getattr(value, method)()
    raise TypeError(f"a {type(value).__name__} is not JSON")


# -- reading -------------------------------------------------------------------------------


def read(
    folder: Path, info: Mapping[str, Any], schema: Schema | None = None
) -> tuple[Any, Mapping[str, Any] | None]:
    """The data and params of a model's example; `info` is what MLmodel says of it.

    JSON has no dtypes, times or bytes: the data get those of `schema`, that of the model's inputs.
    Raises FormatError for a file that is not what `info` says, StorageError for none.
    """
    name = str(info.get("artifact_path", EXAMPLE_FILE))
    with disk(f"read the input example {shown(name)}"):
        content = load_json((folder / name).read_bytes(), name)
    params = None
    if info.get("params"):
        if not isinstance(content, dict) or "inputs" not in content:
            raise FormatError(f"{name} does not hold 'inputs' and 'params'")
        content, params = content["inputs"], content.get("params")
    try:
        return _known(content, info, schema), params
    except (TypeError, ValueError, LookupError, AttributeError):
        raise FormatError(f"{name} is not what MLmodel says: {shown(info.get('type'))}") from None


def _known(content: Any, info: Mapping[str, Any], schema: Schema | None) -> Any:
    try:
        return _restored(content, info, schema)
    except RefusedError:  # an example that is none of this schema is still one
        return _restored(content, info, None)


def _restored(content: Any, info: Mapping[str, Any], schema: Schema | None) -> Any:
    kind = str(info.get("type"))
    if kind == "dataframe":
        import pandas

        table = content if isinstance(content, dict) else {"data": content}
        return cast_frame(pandas.DataFrame(table["data"], columns=table.get("columns")), schema)
    if kind == "ndarray":
        return (
            _arrays(content) if schema is None else ArrayReader(schema, sys.maxsize).inputs(content)
        )
    if kind.startswith("sparse_matrix_"):
        import scipy.sparse

        make = scipy.sparse.csc_matrix if kind.endswith("csc") else scipy.sparse.csr_matrix
        parts = (content["data"], content["indices"], content["indptr"])
        return make(parts, shape=tuple(content["shape"]))
    return content


def _arrays(content: Any) -> Any:
    import numpy

    if isinstance(content, dict):
        return {key: numpy.array(item) for key, item in content.items()}
    return numpy.array(content)


def request(folder: Path, info: Mapping[str, Any] | None, most: int) -> bytes | None:
    """The request body that asks a scoring server about the example.

    None without one, and for one of more than `most` bytes.
    """
    name = (info or {}).get("serving_input_path")
    path = folder / str(name)
    is_small = name and path.is_file() and path.stat().st_size <= most
    return path.read_bytes() if is_small else None
