"""Predictions as a file of a table: CSV and Parquet."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gitml.errors import UsageError
from gitml.models.conversion import kind_of

if TYPE_CHECKING:
    import pandas

COLUMN = "prediction"  # of predictions that have no name


def as_csv(predictions: Any) -> bytes:
    """The predictions as UTF-8 CSV with a header; UsageError when they are no table."""
    text: str = table_of(predictions).to_csv(index=False)
    return text.encode()


def as_parquet(predictions: Any) -> bytes:
    """The predictions as Parquet; UsageError when they are no table, or of mixed types."""
    target = io.BytesIO()
    table = table_of(predictions)
    try:
        table.set_axis(map(str, table.columns), axis=1).to_parquet(target, index=False)
    except ImportError:
        raise UsageError("Parquet needs pyarrow; pip install pyarrow, or name a .csv") from None
    except (ValueError, TypeError, ArithmeticError) as error:  # pyarrow's errors are of these
        first = str(error).partition("\n")[0]
        raise UsageError(f"the predictions don't fit into Parquet: {first}; name a .json") from None
    return target.getvalue()


def table_of(predictions: Any) -> pandas.DataFrame:
    """The predictions as a table with a row for each of the input's.

    What has no columns becomes one called `prediction`, and the columns of an array are numbered.
    """
    import numpy
    import pandas

    if isinstance(predictions, pandas.DataFrame):
        return predictions
    if isinstance(predictions, pandas.Series):
        return predictions.to_frame(COLUMN if predictions.name is None else predictions.name)
    values = predictions
    if isinstance(values, list) and not all(isinstance(row, Mapping) for row in values):
        values = numpy.asarray(values) if _is_even(values) else values
    if isinstance(values, numpy.ndarray):
        if values.ndim not in (1, 2):
            raise _no_table(f"an array of {values.ndim} dimensions")
        return pandas.DataFrame(values, columns=[COLUMN] if values.ndim == 1 else None)
    try:
        if isinstance(values, list | Mapping):
            return pandas.DataFrame(values)
    except ValueError:
        pass
    raise _no_table(f"a {kind_of(predictions)}")


def _is_even(rows: list[Any]) -> bool:
    """Whether rows are values, or lists of one length."""
    return len({len(row) if isinstance(row, list | tuple) else -1 for row in rows}) <= 1


def _no_table(what: str) -> UsageError:
    return UsageError(f"the model predicts {what}, which is no table; name a .json file")
