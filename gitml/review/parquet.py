"""Rows of runs as an Apache Parquet file, each column with a type of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from gitml.errors import UsageError
from gitml.review.rows import flat_rows
from gitml.tracking.moments import time_from_text
from gitml.tracking.record import number_from_json


def parquet(documents: Sequence[Mapping[str, Any]]) -> bytes:
    """The rows as a file: times are timestamps, metrics doubles, mixed columns text.

    UsageError, naming the extra, when pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow.parquet import write_table
    except ImportError:
        raise UsageError(
            "writing Parquet needs pyarrow; run: pip install 'gitml[parquet]'"
        ) from None
    names, rows = flat_rows(documents)
    columns = {name: _column(pyarrow, name, [row.get(name) for row in rows]) for name in names}
    target = BytesIO()
    write_table(pyarrow.table(columns), target)
    return target.getvalue()


def _column(pyarrow: Any, name: str, values: Sequence[Any]) -> Any:
    if name in ("start_time", "end_time"):
        times = [None if value is None else time_from_text(value) for value in values]
        return pyarrow.array(times, pyarrow.timestamp("ms", tz="UTC"))
    if name.startswith("metrics."):
        numbers = [None if value is None else number_from_json(value) for value in values]
        return pyarrow.array(numbers, pyarrow.float64())
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return pyarrow.array([None if value is None else float(value) for value in values])
    if len(kinds) == 1 and kinds <= {bool, float, str}:
        return pyarrow.array(values)
    if kinds == {int} and all(value is None or abs(value) < 1 << 63 for value in values):
        return pyarrow.array(values, pyarrow.int64())
    return pyarrow.array([_text(value) for value in values], pyarrow.string())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, (list, dict)) else str(value)
