"""Digest, schema and profile of data in memory and in files: stable, and quick on big data.

A digest is md5 in 32 hex digits; that of a file or folder is DVC's (a folder's ends in `.dir`). It
depends on values, their order and the names of columns, not on the machine or on the
library's version (from pandas 2 on). Data above a limit is sampled at fixed places over its whole
length; such a digest says so: `sampled-` and 16 digits.

Schemas and profiles have MLflow's form: `mlflow_colspec` of tables, `mlflow_tensorspec` of arrays.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitml.tracking.record import Json

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Arrays = np.ndarray | Mapping[str, np.ndarray]

MAX_CELLS = 500_000  # of a table; strings take half a microsecond each
MAX_ARRAY = 64 << 20  # bytes
MAX_BYTES = 256 << 20  # of a file or folder: about half a second
_SAMPLES = 64
_CHUNK = 1 << 20


def _digest(parts: Iterable[bytes | memoryview], *, sampled: bool) -> str:
    """One digest of many parts, each marked off by its length."""
    total = hashlib.md5(usedforsecurity=False)
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return f"sampled-{total.hexdigest()[:16]}" if sampled else total.hexdigest()


# -- tables --------------------------------------------------------------------------------


def table_digest(table: pd.DataFrame) -> str:
    """The digest of a DataFrame: names and values of columns, and the index."""
    rows, columns = table.shape
    most = max(1000, MAX_CELLS // max(1, columns))
    sampled = rows > most
    shown = table.iloc[_spread(rows, most)] if sampled else table
    return _digest(_table_parts(shown, rows), sampled=sampled)


def _spread(length: int, count: int) -> np.ndarray:
    import numpy as np

    places: np.ndarray = np.linspace(0, length - 1, count).astype(np.int64)
    return places


def _table_parts(table: pd.DataFrame, rows: int) -> Iterator[bytes]:
    yield rows.to_bytes(8, "little")
    for part in (table.index.to_frame(index=False), table):
        for at, name in enumerate(part.columns):
            yield str(name).encode("utf-8", "surrogatepass") if part is table else b"index"
            yield _column_hashes(part.iloc[:, at])


def _column_hashes(column: Any) -> bytes:
    import pandas as pd

    if column.dtype.kind in "mM":  # the unit of times differs between versions of pandas
        column = pd.Series(column.to_numpy(dtype=f"{column.dtype.kind}8[us]").view("i8"))
    try:
        hashes = pd.util.hash_pandas_object(column, index=False)
    except TypeError:  # lists, dictionaries, arrays
        hashes = pd.util.hash_pandas_object(column.map(repr), index=False)
    return bytes(hashes.to_numpy(dtype="<u8").tobytes())


_COLUMN_TYPES = {"b": "boolean", "f4": "float", "f2": "float", "S": "binary", "M": "datetime"}
_OBJECT_TYPES = {"string": "string", "bytes": "binary", "boolean": "boolean", "date": "datetime"}


def table_schema(table: pd.DataFrame) -> Json:
    """The columns of a DataFrame in MLflow's types; `any` for one that has none of them."""
    columns = []
    for at, name in enumerate(table.columns):
        column = table.iloc[:, at]
        required = not bool(column.isna().any())
        columns.append({"type": _column_type(column), "name": str(name), "required": required})
    return {"mlflow_colspec": columns}


def _column_type(column: Any) -> str:
    from pandas.api.types import infer_dtype

    kind, size = getattr(column.dtype, "kind", "O"), getattr(column.dtype, "itemsize", 8)
    if kind in "iu":
        wide = size > 4 or (kind == "u" and size == 4)
        return "any" if (kind, size) == ("u", 8) else "long" if wide else "integer"
    if kind == "f":
        return "double" if size == 8 else "float"
    if kind == "O":
        if hasattr(column, "cat"):
            return _column_type(column.cat.categories)
        return _OBJECT_TYPES.get(infer_dtype(column, skipna=True), "any")
    return _COLUMN_TYPES.get(kind, "any")


def table_profile(table: pd.DataFrame) -> dict[str, Json]:
    """How many rows and values a DataFrame has."""
    return {"num_rows": len(table), "num_elements": int(table.size)}


# -- arrays --------------------------------------------------------------------------------


def array_digest(features: Arrays, targets: Arrays | None = None) -> str:
    """The digest of arrays, or of dictionaries of them, of any shape and type."""
    parts = [(name, array) for name, array in _named(features, targets)]
    sampled = any(array.nbytes > MAX_ARRAY for _, array in parts)
    return _digest((part for item in parts for part in _array_parts(*item)), sampled=sampled)


def _named(features: Arrays, targets: Arrays | None) -> Iterator[tuple[str, np.ndarray]]:
    for role, value in (("features", features), ("targets", targets)):
        if isinstance(value, Mapping):
            for key in sorted(value, key=str):
                yield f"{role} {key}", value[key]
        elif value is not None:
            yield role, value


def _array_parts(name: str, array: np.ndarray) -> Iterator[bytes | memoryview]:
    import numpy as np

    yield f"{name} {array.dtype.kind} {array.shape}".encode("utf-8", "surrogatepass")
    if array.nbytes > MAX_ARRAY:
        array = np.take(array, _spread(array.size, MAX_CELLS))
    if array.dtype.hasobject:
        yield repr(array.tolist()).encode("utf-8", "surrogatepass")
    else:
        plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        yield plain.reshape(-1).view(np.uint8).data


def array_schema(features: Arrays, targets: Arrays | None = None) -> Json:
    """The types and shapes of arrays as MLflow writes them, as JSON text; -1 for the rows."""
    roles = {"features": features, "targets": targets}
    specs = {name: None if v is None else json.dumps(_tensors(v)) for name, v in roles.items()}
    return {"mlflow_tensorspec": specs}


def _tensors(value: Arrays) -> list[dict[str, Json]]:
    if isinstance(value, Mapping):
        return [{"name": str(key), **_tensor(array)} for key, array in value.items()]
    return [_tensor(value)]


def _tensor(array: np.ndarray) -> dict[str, Json]:
    shape = [-1, *array.shape[1:]] if array.ndim else []
    kind = {"U": "str", "S": "bytes"}.get(array.dtype.kind, array.dtype.name)
    return {"type": "tensor", "tensor-spec": {"dtype": kind, "shape": shape}}


def array_profile(features: Arrays, targets: Arrays | None = None) -> dict[str, Json]:
    """The shapes, numbers of elements and of bytes of arrays."""
    profile: dict[str, Json] = {}
    for role, value in (("features", features), ("targets", targets)):
        if value is not None:
            profile[f"{role}_shape"] = _each(value, lambda array: list(array.shape))
            profile[f"{role}_size"] = _each(value, lambda array: int(array.size))
            profile[f"{role}_nbytes"] = _each(value, lambda array: int(array.nbytes))
    return profile


def _each(value: Arrays, measure: Callable[[np.ndarray], Json]) -> Json:
    if isinstance(value, Mapping):
        return {str(key): measure(array) for key, array in value.items()}
    return measure(value)


# -- files ---------------------------------------------------------------------------------


def file_digest(path: Path, limit: int = MAX_BYTES) -> str:
    """The digest of a file: the md5 of its bytes, as DVC has it, up to `limit` bytes."""
    size = path.stat().st_size
    if size > limit:
        return _digest(_file_samples(path, size), sampled=True)
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            digest.update(part)
    return digest.hexdigest()


def _file_samples(path: Path, size: int) -> Iterator[bytes]:
    yield size.to_bytes(8, "little")
    with path.open("rb") as file:
        for number in range(_SAMPLES):
            file.seek((size - _CHUNK) * number // (_SAMPLES - 1))
            yield file.read(_CHUNK)


def folder_digest(folder: Path) -> tuple[str, int, int]:
    """The digest of a folder, the number of its files, and of their bytes.

    Links are followed to files, not to folders. Above the limit only names and sizes count.
    """
    found = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    sizes = {name: found[name].stat().st_size for name in sorted(found)}
    total = sum(sizes.values())
    if total > MAX_BYTES:
        parts = (part for item in sizes.items() for part in _name_and_size(*item))
        return _digest(parts, sampled=True), len(found), total
    listing = [{"md5": file_digest(found[name]), "relpath": name} for name in sizes]
    return text_digest(json.dumps(listing)) + ".dir", len(found), total


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        for name in names:
            if (path := Path(place, name)).is_file():
                yield path


def _name_and_size(name: str, size: int) -> tuple[bytes, bytes]:
    return os.fsencode(name), size.to_bytes(8, "little")


def text_digest(text: str) -> str:
    """The digest of a text."""
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
