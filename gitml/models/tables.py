"""Tables made of whatever a caller has, and made to fit the columns of a schema."""

from __future__ import annotations

import datetime as dt
import functools
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gitml.errors import UsageError, shown
from gitml.models.conversion import SchemaError, fit_column, is_wider, kind_of
from gitml.models.nested import fit_value, is_ndarray
from gitml.models.schema import ColSpec, Schema
from gitml.models.types import AnyType, DataType, Type

if TYPE_CHECKING:
    import pandas as pd

_MOST_PROBLEMS = 3
# What pandas raises for data that is no table.
_NO_TABLE = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)


def is_frame(data: object) -> bool:
    """Whether data is a DataFrame; pandas is not imported for the answer."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def is_series(data: object) -> bool:
    """Whether data is a Series; pandas is not imported for the answer."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.Series)


# -- from other data -----------------------------------------------------------------------


def as_frame(data: Any, schema: Schema) -> pd.DataFrame:
    """The DataFrame that data is or stands for. Raises SchemaError.

    A dictionary is one row when its values are scalars, or the schema has nested columns; else its
    values are the columns. The items of a list are rows, a scalar is a row of one column.
    """
    try:
        import pandas as pd
    except ImportError:
        raise UsageError("columns are kept in pandas; run: pip install pandas") from None

    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, pd.Series):
        return data.to_frame()
    if isinstance(data, (dt.date, bytearray)):
        return one_column([data])
    if isinstance(data, list) and data and _is_ragged(data):
        raise SchemaError("expected a table, got rows of different lengths")
    try:
        if isinstance(data, dict):
            return _of_dict(data, schema)
        if isinstance(data, list) or is_ndarray(data):
            return pd.DataFrame(data)
        if _is_scalar(data):
            return pd.DataFrame([data])
    except _NO_TABLE:
        pass
    raise SchemaError(f"expected a table, got {kind_of(data)} that can't be made one")


def _is_ragged(rows: list[Any]) -> bool:
    """Whether rows have different lengths, which pandas would fill up."""
    first = rows[0]
    if isinstance(first, (str, bytes, dict)) or not hasattr(first, "__len__"):
        return False
    return len({len(row) if hasattr(row, "__len__") else 1 for row in rows}) > 1


def one_column(data: list[Any]) -> pd.DataFrame:
    """A table of one column, whose rows are the items: also where they are lists."""
    import pandas as pd

    return pd.DataFrame({0: pd.Series(data, dtype=object)})


def _is_scalar(value: object) -> bool:
    import numpy as np

    return bool(np.isscalar(value)) or isinstance(value, (dt.date, bytearray))


def _of_dict(data: dict[Any, Any], schema: Schema) -> pd.DataFrame:
    import pandas as pd

    values = data.values()
    nested = any(not isinstance(kind, (DataType, AnyType)) for kind in schema.input_types())
    nested = nested or any(isinstance(value, dict) and not value for value in values)
    if nested or all(map(_is_cell, values)) or all(map(_is_text_array, values)):
        return pd.DataFrame([data])
    columns = {
        name: _lists(value) if is_ndarray(value) and value.ndim > 1 else value
        for name, value in data.items()
    }
    return pd.DataFrame(columns)


def _lists(array: Any) -> Any:
    """A column of lists: pandas takes no array of several dimensions.

    It is made row by row, so that other threads get their turn.
    """
    import numpy as np

    column: Any = np.empty(len(array), dtype=object)
    for at, row in enumerate(array):
        column[at] = row.tolist()
    return column


def _is_cell(value: object) -> bool:
    """Whether a value of a dictionary is that of one row."""
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return value is None or _is_scalar(value)


def _is_text_array(value: Any) -> bool:
    return is_ndarray(value) and value.dtype.kind == "U" and not value.ndim


# -- fitting -------------------------------------------------------------------------------


def fit_columns(
    frame: pd.DataFrame, specs: Sequence[ColSpec], dtypes: Sequence[Any]
) -> pd.DataFrame:
    """The table, whose columns are those of `specs` in their order, with values that fit.

    `dtypes` are those of columns that need no conversion. Raises SchemaError.
    """
    found = frame.dtypes.tolist()
    if found == dtypes:
        return _copy(frame)
    if _is_one_upcast(found, specs):
        return frame.astype(dtypes[0])
    fitted, problems = {}, []
    for at, spec in enumerate(specs):
        if found[at] == dtypes[at]:
            continue
        try:
            fitted[at] = _fit(frame.iloc[:, at], spec)
        except SchemaError as error:
            name = frame.columns.tolist()[at] if spec.name is None else spec.name
            problems.append(error.within(f"column {shown(name)}"))
    if problems:
        raise _all_of(problems)
    return _with_columns(frame, fitted)


def _is_one_upcast(found: list[Any], specs: Sequence[ColSpec]) -> bool:
    """Whether all columns are of one numpy dtype, and declared as one wider type."""
    import numpy as np

    kind, dtype = specs[0].type, found[0]
    return (
        isinstance(dtype, np.dtype)
        and is_wider(kind, dtype)
        and all(spec.type == kind for spec in specs)
        and found.count(dtype) == len(found)
    )


def _fit(column: pd.Series, spec: ColSpec) -> pd.Series:
    import pandas as pd

    kind: Type = spec.type
    if isinstance(kind, AnyType):
        return column.infer_objects()
    if isinstance(kind, DataType):
        return fit_column(column, kind, spec.required)
    # A column without a name can't be declared optional; it is as a list, which may have gaps.
    required = spec.required and spec.name is not None
    cells = []
    for row, value in enumerate(column):
        try:
            cells.append(fit_value(value, kind, required))
        except SchemaError as error:
            raise error.within(f"row {row}") from None
    return pd.Series(cells, index=column.index, name=column.name, dtype=object)


def _all_of(problems: list[SchemaError]) -> SchemaError:
    if len(problems) == 1:
        return problems[0]
    more = len(problems) - _MOST_PROBLEMS
    texts = "; ".join(str(problem) for problem in problems[:_MOST_PROBLEMS])
    return SchemaError(texts + (f"; and {more} more" if more > 0 else ""))


def _with_columns(frame: pd.DataFrame, fitted: dict[int, pd.Series]) -> pd.DataFrame:
    import pandas as pd

    columns = {
        at: (fitted[at] if at in fitted else frame.iloc[:, at]).array
        for at in range(len(frame.columns))
    }
    table = pd.DataFrame(columns, index=frame.index)
    table.columns = frame.columns
    return table


def _copy(frame: pd.DataFrame) -> pd.DataFrame:
    """The table for a model, which may change it without changing the caller's."""
    return frame.copy(deep=not _copies_on_write())


@functools.cache
def _copies_on_write() -> bool:
    import pandas as pd

    return int(pd.__version__.partition(".")[0]) >= 3
