"""Columns as they come in JSON and CSV, turned into what their type in the signature means.

Only what the format can't express is converted here: text that is a date or base64, whole numbers
where fractions are meant, and the other way round. What can't be converted without changing a
value is passed on as it is; the enforcement of the signature names it.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from typing import TYPE_CHECKING, Any

from gitml.errors import shown
from gitml.models.schema import Schema
from gitml.models.serving.refused import invalid
from gitml.models.serving.times import NoTimeError, read_times
from gitml.models.types import Array, DataType, Map, Object

if TYPE_CHECKING:
    import pandas as pd

_SPACE = re.compile(r"\s+")
_FAILS = (TypeError, ValueError, OverflowError)


def cast_frame(frame: pd.DataFrame, schema: Schema | None) -> pd.DataFrame:
    """The table with its columns converted; those that the schema does not know stay."""
    if schema is None:
        return frame
    wanted = _wanted(frame, schema)
    columns = {at: cast(frame.iloc[:, at], kind) for at, kind in wanted.items()}
    changed = {at: column for at, column in columns.items() if column is not None}
    return _with_columns(frame, changed) if changed else frame


def _with_columns(frame: pd.DataFrame, changed: dict[int, pd.Series]) -> pd.DataFrame:
    import pandas as pd

    columns = {
        at: changed[at] if at in changed else frame.iloc[:, at] for at in range(frame.shape[1])
    }
    table = pd.DataFrame(columns, index=frame.index)
    table.columns = frame.columns
    return table


def _wanted(frame: pd.DataFrame, schema: Schema) -> dict[int, Any]:
    """The type, or dtype of a tensor, of each column of the table, by its number."""
    names = frame.columns.tolist()
    types = schema.input_types()
    if schema.has_input_names():
        known = dict(zip(schema.input_names(), types, strict=True))
        return {at: known[name] for at, name in enumerate(names) if name in known}
    if schema.is_tensor_spec():
        return dict.fromkeys(range(len(names)), types[0])
    return dict(enumerate(types[: len(names)]))


def cast(values: pd.Series, kind: Any) -> pd.Series | None:
    """The column in another form, None when it is to stay as it is."""
    if not isinstance(kind, DataType):
        return None if not hasattr(kind, "kind") else _as_tensor(values, kind)
    if kind is DataType.binary:
        return _decoded(values)
    if kind is DataType.string:
        return None if _is_text(values.dtype) else values.astype(object)
    if kind is DataType.datetime:
        return _as_time(values)
    if values.dtype == kind.to_numpy():
        return None
    if kind is DataType.boolean:
        return _as_flags(values)
    if kind in (DataType.integer, DataType.long):
        return _as_whole(values, kind.to_numpy())
    return _attempt(values, kind.to_numpy())


def _is_text(dtype: Any) -> bool:
    return dtype == "object" or not hasattr(dtype, "kind") or str(dtype) in ("str", "string")


def _attempt(values: pd.Series, dtype: Any) -> pd.Series | None:
    """The column as numbers, None when one is none or beyond what the dtype can hold."""
    import numpy as np

    try:
        with np.errstate(over="raise"):
            return values.astype(dtype)
    except (*_FAILS, FloatingPointError):
        return None


def _as_tensor(values: pd.Series, dtype: Any) -> pd.Series | None:
    """Single values in the dtype of the tensor; lists are left to the enforcement."""
    if values.dtype == dtype or (len(values) and isinstance(values.iloc[0], list)):
        return None
    if dtype.kind in "iu":
        return _as_whole(values, dtype)
    return _attempt(values, dtype)


def _as_whole(values: pd.Series, dtype: Any) -> pd.Series | None:
    """Numbers as whole ones of this dtype, if none is changed by that."""
    import numpy as np

    kind = getattr(values.dtype, "kind", "O")
    if kind == "b":
        return values.astype(dtype)
    if kind == "O" and bool(values.isna().all()):
        return values.astype("float64")  # which is how missing whole numbers come else
    if kind == "O" or _is_text(values.dtype):
        if not all(type(item) in (str, int) for item in values):
            return None
        return _attempt(values.astype(object), dtype)
    numbers = values.to_numpy()
    if not len(numbers):
        return values.astype(dtype)
    if kind == "f" and not (np.isfinite(numbers) & (numbers == np.trunc(numbers))).all():
        return None
    info = np.iinfo(dtype)
    inside = info.min <= int(numbers.min()) and int(numbers.max()) <= info.max
    return values.astype(dtype) if inside else None


def _as_flags(values: pd.Series) -> pd.Series | None:
    kind = getattr(values.dtype, "kind", "O")
    if kind in "iuf" and bool(values.isin((0, 1)).all()):
        return values.astype(bool)
    return None


def _as_time(values: pd.Series) -> pd.Series | None:
    if getattr(values.dtype, "kind", "O") == "M":
        return None
    try:
        times = read_times(values.tolist())
    except NoTimeError as error:
        raise invalid(f"column {shown(str(values.name))}: {error}") from None
    if times.dt.tz is not None:
        name = shown(str(values.name))
        raise invalid(f"column {name}: expected datetime without a time zone, got one with it")
    return times.set_axis(values.index).rename(values.name)


def _decoded(values: pd.Series) -> pd.Series:
    import pandas as pd

    name = shown(str(values.name))
    try:
        cells = [_bytes(item) for item in values]
    except (binascii.Error, ValueError):
        raise invalid(f"column {name}: expected binary as base64, got other text") from None
    except TypeError:
        raise invalid(f"column {name}: expected binary as base64, which is text") from None
    return pd.Series(cells, index=values.index, name=values.name, dtype=object)


def _bytes(item: Any) -> bytes | None:
    if item is None or isinstance(item, bytes) or item != item:
        return item if isinstance(item, bytes) else None
    if not isinstance(item, str):
        raise TypeError
    return base64.b64decode(_SPACE.sub("", item), validate=True)


def cast_value(value: Any, kind: Any) -> Any:
    """A nested value whose texts are times and base64 where its type has times and bytes."""
    if isinstance(kind, Array) and isinstance(value, list):
        return [cast_value(item, kind.dtype) for item in value]
    if isinstance(kind, Map) and isinstance(value, dict):
        return {name: cast_value(item, kind.value_type) for name, item in value.items()}
    if isinstance(kind, Object) and isinstance(value, dict):
        types = {item.name: item.dtype for item in kind.properties}
        return {name: cast_value(item, types.get(name)) for name, item in value.items()}
    if not isinstance(value, str) or kind not in (DataType.binary, DataType.datetime):
        return value
    try:
        return _bytes(value) if kind is DataType.binary else dt.datetime.fromisoformat(value)
    except ValueError:  # base64's errors, too
        wanted = "binary as base64" if kind is DataType.binary else "datetime"
        raise invalid(f"inputs: expected {wanted}, got other text") from None
