"""Columns made to fit a scalar type, by MLflow's rules.

Only what can't change a value is converted: a number to a wider type of its kind, whole numbers of
at most 32 bits to double, dates to datetime. Anything else is a `SchemaError`. A message names
types and places, never the data.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gitml.errors import UsageError, shown
from gitml.models.types import DataType, Type

if TYPE_CHECKING:
    import pandas as pd

MAX_MESSAGE = 1000  # bytes
OBJECTS = (DataType.string, DataType.binary)
WHOLE = (DataType.integer, DataType.long)
FRACTIONS = (DataType.float, DataType.double)


class SchemaError(UsageError):
    """Data does not fit a schema: where, what was expected, and what came; never the data."""

    def __init__(self, problem: str, *place: str) -> None:
        self.problem = problem
        self.place = place
        super().__init__(_bounded(f"{', '.join(place)}: {problem}" if place else problem))

    def within(self, place: str) -> SchemaError:
        """The same error, seen from outside of `place`."""
        return SchemaError(self.problem, place, *self.place)


def _bounded(message: str) -> str:
    data = message.encode("utf-8", "replace")
    if len(data) <= MAX_MESSAGE:
        return message
    return data[:MAX_MESSAGE].decode("utf-8", "ignore") + "…"


def kind_of(value: object) -> str:
    """The type of a value as a message names it."""
    if value is None:
        return "None"
    kind = type(value)
    return "dict" if isinstance(value, dict) else shown(kind.__name__)[1:-1]


def listed(names: Iterable[object], most: int = 5) -> str:
    """Some names, and how many more there are."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(shown(name) for name in known[:most]) + more


def is_missing(value: object) -> bool:
    """Whether a value is None, NaN, NaT or pandas' NA."""
    if isinstance(value, float):
        return value != value
    if value is None:
        return True
    pandas = sys.modules.get("pandas")
    return pandas is not None and (value is pandas.NA or value is pandas.NaT)


# -- columns -------------------------------------------------------------------------------


def fit_column(values: pd.Series, wanted: DataType, required: bool = True) -> pd.Series:
    """The column in the dtype of the wanted type. Raises SchemaError.

    Whole numbers and booleans with missing values are taken only from an optional column, and
    stay in the dtype that can hold them. A categorical column stays one.
    """
    if values.dtype == "object" and wanted not in OBJECTS:
        values = values.infer_objects()
    dtype = values.dtype
    if dtype == "category":
        return _fit_categories(values, wanted)
    if _fits(dtype, wanted):
        return values
    if wanted is DataType.datetime and (dtype.kind == "M" or dtype == "object"):
        return _fit_datetime(values)
    if dtype == "object" and wanted is DataType.double:
        return _fit_number(values)
    if is_wider(wanted, dtype) or (wanted in FRACTIONS and _is_flag(values)):
        return _cast(values, wanted, required)
    if wanted in WHOLE and _is_whole_with_missing(values):
        return _missing(values, wanted, required)
    raise unfit(wanted, dtype)


def unfit(wanted: DataType, dtype: Any) -> SchemaError:
    """The error for a column of another type."""
    hint = ""
    if (wanted, str(dtype)) == (DataType.double, "int64"):
        hint = "; 64 bits don't always fit, convert the column to float64 if yours do"
    elif (wanted, str(dtype)) in ((DataType.float, "float64"), (DataType.integer, "int64")):
        hint = f"; convert the column to {wanted.to_numpy().name} if its values fit"
    return SchemaError(f"expected {described(wanted)}, got {_dtype_name(dtype)}{hint}")


def described(wanted: DataType) -> str:
    """A scalar type with the numpy name of its numbers, such as `long (int64)`."""
    return f"{wanted.name} ({wanted.to_numpy().name})" if wanted not in OBJECTS else wanted.name


def _dtype_name(dtype: Any) -> str:
    return "objects" if dtype == "object" else shown(str(dtype))[1:].removesuffix("'")


def _fits(dtype: Any, wanted: DataType) -> bool:
    """Whether a column of this dtype can stay as it is."""
    if dtype == "object":
        return wanted in (DataType.string, DataType.binary, DataType.boolean)
    if wanted in OBJECTS:
        return is_text(dtype)
    return bool(dtype == wanted.to_numpy())


def is_text(dtype: Any) -> bool:
    """Whether a dtype is pandas' or Arrow's type of text."""
    import pandas as pd

    return isinstance(dtype, pd.StringDtype) or str(dtype) in (
        "string[pyarrow]",
        "large_string[pyarrow]",
    )


def _fit_categories(values: pd.Series, wanted: DataType) -> pd.Series:
    """The column as it is: what it was trained with, if its categories have the wanted type."""
    import pandas as pd

    try:
        fit_column(pd.Series(values.dtype.categories), wanted)
    except SchemaError:
        raise SchemaError(
            f"expected {described(wanted)}, got categories of"
            f" {_dtype_name(values.dtype.categories.dtype)}"
        ) from None
    return values


def _fit_datetime(values: pd.Series) -> pd.Series:
    try:
        return values.astype("datetime64[ns]")
    except TypeError:
        if values.dtype.kind == "M":
            raise SchemaError(
                f"expected datetime without a time zone, got {_dtype_name(values.dtype)}; convert"
                " the column with dt.tz_convert(None)"
            ) from None
        raise SchemaError("expected datetime, got objects that are none") from None
    except (ValueError, OverflowError):
        raise SchemaError(
            f"expected datetime, got {_dtype_name(values.dtype)} that can't be read as one,"
            " or outside of the years 1678 to 2261"
        ) from None


def _fit_number(values: pd.Series) -> pd.Series:
    """Decimals, and texts of numbers, as floats."""
    import pandas as pd

    try:
        return pd.to_numeric(values).astype("float64")
    except (TypeError, ValueError, OverflowError):
        raise SchemaError("expected double (float64), got objects that are no numbers") from None


def is_wider(wanted: Type, dtype: Any) -> bool:
    """Whether every value of this numeric dtype is also one of the wanted type."""
    kind, size = dtype.kind, getattr(dtype, "itemsize", 99)
    if not isinstance(wanted, DataType) or wanted in OBJECTS or kind not in "biuf":
        return False
    target = wanted.to_numpy()
    if kind == target.kind:
        return bool(size <= target.itemsize)
    if kind == "u" and target.kind == "i":
        return bool(size < target.itemsize)
    return kind in "iu" and wanted is DataType.double and size <= 4


def _is_flag(values: pd.Series) -> bool:
    """Whether a column of int64 holds only 0 and 1, which every float can hold."""
    return bool(values.dtype == "int64") and bool(values.isin((0, 1)).all())


def _cast(values: pd.Series, wanted: DataType, required: bool) -> pd.Series:
    try:
        return values.astype(wanted.to_numpy())
    except (TypeError, ValueError):  # pandas' own types have missing values of every kind
        return _missing(values, wanted, required)


def _is_whole_with_missing(values: pd.Series) -> bool:
    if values.dtype != "float64" or not values.hasnans:
        return False
    known = values.dropna()
    return bool((known % 1 == 0).all())


def _missing(values: pd.Series, wanted: DataType, required: bool) -> pd.Series:
    if not required:
        return values
    advice = "double" if wanted in WHOLE else "string, or leave those rows out"
    raise SchemaError(
        f"expected {described(wanted)}, got {_dtype_name(values.dtype)} with missing values, which"
        f" {wanted.name} can't hold; declare the column as {advice}"
    )
