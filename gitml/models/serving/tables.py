"""Tables of a request: `dataframe_split` and `dataframe_records`, as MLflow reads them.

A table whose columns are all numbers of one type, which most are, becomes one array at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from gitml.documents import unknown_key
from gitml.errors import shown
from gitml.models.schema import Schema
from gitml.models.serving.cast import cast_frame
from gitml.models.serving.refused import RefusedError, invalid
from gitml.models.serving.text import check_depth
from gitml.models.types import DataType

if TYPE_CHECKING:
    import pandas as pd

SPLIT, RECORDS = "dataframe_split", "dataframe_records"
_FLOATS = (DataType.double, DataType.float)
CHUNK = 256  # rows that are converted without letting another thread run


class TableReader:
    """Makes DataFrames of parsed JSON for one schema; `rows` is how many a table may have."""

    def __init__(self, schema: Schema | None, rows: int, *, strict: bool = False) -> None:
        self.schema = schema
        self.rows = rows
        self._strict = strict
        self._dtype = _common_dtype(schema)
        named = self._dtype is not None and schema is not None and schema.has_input_names()
        self._names: list[Any] = schema.input_names() if schema is not None and named else []
        self._picked = itemgetter(*self._names) if len(self._names) > 1 else None

    def split(self, table: Any) -> pd.DataFrame:
        """The table that has its columns, its data and maybe its index apart."""
        columns, rows, index = self._parts(table)
        if index is None and self._dtype is not None and columns == (self._names or None):
            frame = self._plain(rows)
            if frame is not None:
                return frame
        check_depth(table)
        return self._frame(_of_rows(columns, rows, index))

    def records(self, table: Any) -> pd.DataFrame:
        """The table that is a list of rows, each a dictionary."""
        if not isinstance(table, list):
            raise RefusedError(f"{RECORDS} must be a list of rows, not {kind_of(table)}")
        self._check_rows(table, RECORDS)
        frame = self._plain_records(table)
        if frame is not None:
            return frame
        check_depth(table)
        for number, row in enumerate(table):
            if not isinstance(row, dict):
                raise RefusedError(
                    f"{RECORDS}: row {number} must be a dictionary, not {kind_of(row)}"
                )
        return self._frame(_made(table, RECORDS))

    def _parts(self, table: Any) -> tuple[list[Any] | None, list[Any], list[Any] | None]:
        if not isinstance(table, dict):
            raise RefusedError(f"{SPLIT} must be a dictionary with 'columns' and 'data'")
        if strange := next((key for key in table if key not in _PARTS), None):
            raise RefusedError(f"{SPLIT}: {unknown_key(strange, _PARTS)}")
        columns, rows, index = table.get("columns"), table.get("data"), table.get("index")
        for name, part in (("data", rows), ("columns", columns), ("index", index)):
            if not isinstance(part, list) and (part is not None or name == "data"):
                missing = name not in table
                raise RefusedError(
                    f"{SPLIT} has no '{name}'" if missing else f"{SPLIT}: {name} must be a list"
                )
        assert isinstance(rows, list)
        self._check_rows(rows, f"{SPLIT}: data")
        return columns, rows, index

    def _check_rows(self, rows: Sequence[Any], where: str) -> None:
        check_rows(len(rows), self.rows, where)

    def _plain(self, rows: list[Any]) -> pd.DataFrame | None:
        """The table as one array of numbers; None when it is not that simple."""
        import numpy as np

        width = len(self.schema or ())
        try:
            with np.errstate(over="raise"):
                parts = [
                    np.array(rows[at : at + CHUNK], dtype=self._dtype)
                    for at in range(0, len(rows), CHUNK)
                ]
        except (TypeError, ValueError, OverflowError, FloatingPointError):
            return None
        if any(part.ndim != 2 or part.shape[1] != width for part in parts):
            return None
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if self._dtype == "float32" and not np.isfinite(values).all():
            return None  # too large for it, or missing: seen to with care
        return self._of_array(values)

    def _of_array(self, values: Any) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(values, columns=self._index(), copy=False)

    def _index(self) -> Any:
        """The names of the columns as pandas keeps them, made once."""
        if not hasattr(self, "_columns"):
            import pandas as pd

            # objects: as pandas' own type of text they would bring in pyarrow
            self._columns = pd.Index(self._names, dtype=object) if self._names else None
        return self._columns

    def _plain_records(self, table: list[Any]) -> pd.DataFrame | None:
        if self._picked is None or (self._strict and _has_others(table, len(self._names))):
            return None
        try:
            return self._plain(list(map(self._picked, table)))
        except (KeyError, TypeError):
            return None

    def _frame(self, frame: pd.DataFrame) -> pd.DataFrame:
        if not len(frame.columns):
            raise invalid("the table has no columns")
        return cast_frame(frame, self.schema)


_PARTS = ("columns", "data", "index")


def _has_others(table: list[Any], width: int) -> bool:
    return any(not isinstance(row, dict) or len(row) != width for row in table)


def _common_dtype(schema: Schema | None) -> str | None:
    """The dtype of all columns when they are fractions of one type.

    Whole numbers take the long way: one array would round those that come as fractions.
    """
    if schema is None or schema.is_tensor_spec():
        return None
    kinds = set(schema.input_types()) if all(item.required for item in schema.inputs) else set()
    if len(kinds) != 1 or (kind := kinds.pop()) not in _FLOATS:
        return None
    return str(kind.to_numpy().name)


def check_rows(count: int, most: int, where: str) -> None:
    """Refuse a table without rows, or with too many."""
    if not count:
        raise invalid(f"{where}: there are no rows")
    if count > most:
        raise RefusedError(f"{where}: {count} rows are more than {most}; send fewer at a time", 413)


def _of_rows(columns: list[Any] | None, rows: list[Any], index: list[Any] | None) -> pd.DataFrame:
    _check_names(columns)
    width = len(rows[0]) if isinstance(rows[0], list) else 1
    for number, row in enumerate(rows):
        if isinstance(row, list) is not isinstance(rows[0], list):
            raise RefusedError(f"{SPLIT}: data: row {number} must be a list, as others are")
        if isinstance(row, list) and len(row) != width:
            raise invalid(f"{SPLIT}: data: row {number} has {len(row)} values, row 0 has {width}")
    if columns is not None and len(columns) != width:
        raise invalid(f"{SPLIT}: there are {len(columns)} columns, row 0 has {width} values")
    if index is not None and len(index) != len(rows):
        raise invalid(f"{SPLIT}: index: there are {len(index)} of {len(rows)} rows")
    return _made(rows, SPLIT, columns, index)


def _check_names(columns: list[Any] | None) -> None:
    seen = set()
    for name in columns or ():
        if isinstance(name, (list, dict)):
            raise RefusedError(
                f"{SPLIT}: columns: a name must be text or a number, not {kind_of(name)}"
            )
        if name in seen:
            raise invalid(f"{SPLIT}: columns: {shown(name)} stands there twice")
        seen.add(name)


def _made(
    rows: list[Any],
    where: str,
    columns: list[Any] | None = None,
    index: list[Any] | None = None,
) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.DataFrame(rows, columns=columns, index=index)
    except (TypeError, ValueError, OverflowError, KeyError, IndexError, AttributeError):
        raise invalid(f"{where} can't be made a table") from None


def kind_of(value: object) -> str:
    """The kind of a value, which itself is not shown."""
    names = {dict: "a dictionary", list: "a list", str: "text", bool: "true or false"}
    return names.get(type(value), "nothing" if value is None else "a number")
