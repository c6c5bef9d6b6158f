"""Logged tables: MLflow's JSON, `columns` and `data` (pandas: orient="split"), or Parquet."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from gitml.errors import FormatError, UsageError, shown

if TYPE_CHECKING:
    import pandas as pd

_PARQUET = ".parquet"

Table = tuple[list[Any], list[list[Any]]]  # the columns' names, and the rows
SaveImage = Callable[[Any], Any]


def append_table(
    existing: bytes | None,
    data: Any,
    artifact_file: str = "table.json",
    save_image: SaveImage | None = None,
) -> bytes:
    """The rows of `data` (DataFrame or dictionary of columns) after those of a logged table.

    JSON, or Parquet where the name ends so. In columns that only one of the two has the other's
    values are null. `save_image` stores an image that a cell holds and returns what stands for it.
    """
    columns, rows = _rows(data, save_image)
    if PurePosixPath(artifact_file).suffix.lower() == _PARQUET:
        return _parquet(existing, columns, rows)
    if existing is not None:
        columns, rows = _united(_read_table(existing, artifact_file), (columns, rows))
    table = {"columns": columns, "data": rows}
    try:
        text = json.dumps(table, default=_cell, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the table can't be written as JSON: {error}") from None
    return text.encode("utf-8", "backslashreplace")  # half a surrogate pair as JSON escapes it


def image_saver(artifact_file: str, log: Callable[[Any, str], None]) -> SaveImage:
    """What `append_table` does with images: `log(image, path)` stores one beside the table."""
    folder = f"table_images/{PurePosixPath(artifact_file).with_suffix('')}"

    def save(image: Any) -> dict[str, str]:
        path = f"{folder}/{uuid.uuid4()}.png"
        log(image, path)
        return {"type": "image", "filepath": path, "compressed_filepath": path}

    return save


def _rows(data: Any, save_image: SaveImage | None) -> Table:
    if hasattr(data, "itertuples") and hasattr(data, "columns"):
        columns = [_named(name) for name in data.columns]
        rows = [list(row) for row in data.itertuples(index=False, name=None)]
    elif isinstance(data, Mapping):
        columns, rows = _columns_to_rows(data)
    else:
        kind = type(data).__name__
        raise UsageError(f"a table must be a DataFrame or a dictionary of columns, not {kind}")
    return columns, [[_value(cell, save_image) for cell in row] for row in rows]


def _columns_to_rows(data: Mapping[Any, Any]) -> Table:
    """A dictionary of columns; else its values are one row, as columns of unequal length are."""
    values = [column.tolist() if hasattr(column, "tolist") else column for column in data.values()]
    many = [isinstance(column, (list, tuple)) for column in values]
    lengths = {len(column) for column, is_many in zip(values, many, strict=True) if is_many}
    if len(lengths) != 1:
        return [_named(name) for name in data], [list(values)]
    length = lengths.pop()
    full = [v if is_many else [v] * length for v, is_many in zip(values, many, strict=True)]
    return [_named(name) for name in data], [list(row) for row in zip(*full, strict=True)]


def _named(column: Any) -> Any:
    """A column's name as JSON keeps it: a number stays one."""
    return column if type(column) is int else str(column)


def _value(cell: Any, save_image: SaveImage | None) -> Any:
    """A cell as JSON has it: missing values are null, and numpy's numbers numbers."""
    if save_image is not None and is_image(cell):
        return save_image(cell)
    if isinstance(cell, float):
        return cell if cell - cell == 0 else None
    if type(cell).__name__ in ("NaTType", "NAType"):
        return None
    if hasattr(cell, "tolist"):
        return _value(cell.tolist(), None)
    if isinstance(cell, dict):
        return {str(key): _value(item, save_image) for key, item in cell.items()}
    return [_value(item, save_image) for item in cell] if isinstance(cell, (list, tuple)) else cell


def is_image(cell: Any) -> bool:
    """Whether a cell of a table is an image of PIL or of `Image`."""
    return all(callable(getattr(cell, name, None)) for name in ("save", "resize")) and hasattr(
        cell, "size"
    )


def _cell(value: Any) -> Any:
    """What JSON does not have, as text or a list."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _united(one: Table, other: Table) -> Table:
    columns = list(dict.fromkeys((*one[0], *other[0])))
    rows = []
    for names, part in (one, other):
        places = [names.index(name) if name in names else None for name in columns]
        rows += [[None if at is None else row[at] for at in places] for row in part]
    return columns, rows


def _read_table(table: bytes, where: str) -> Table:
    try:
        document = json.loads(table)
        return list(document["columns"]), [list(row) for row in document["data"]]
    except (ValueError, KeyError, TypeError):
        raise FormatError(f"{where} is not a table that log_table wrote") from None


def _parquet(existing: bytes | None, columns: list[Any], rows: list[list[Any]]) -> bytes:
    import pandas as pd

    frame = pd.DataFrame(rows, columns=[str(name) for name in columns])
    if existing is not None:
        frame = pd.concat([pd.read_parquet(io.BytesIO(existing)), frame], ignore_index=True)
    target = io.BytesIO()
    frame.to_parquet(target, index=False)
    return target.getvalue()


def load_table(
    tables: Sequence[tuple[Any, bytes]], extra_columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """The rows of logged tables, each with its run's id, as one DataFrame.

    `extra_columns` may name `run_id`; instead of the id a mapping of names to values may come
    with a table, and then name any of these. A name that the table has already gets a `_`.
    """
    import pandas as pd

    frames = []
    for run, table in tables:
        frame = _frame(table)
        known = run if isinstance(run, Mapping) else {"run_id": run}
        for name in extra_columns or ():
            if name not in known:
                raise UsageError(f"extra column {shown(name)} is none of {', '.join(known)}")
            frame[f"{name}_" if name in frame else name] = known[name]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _frame(table: bytes) -> pd.DataFrame:
    import pandas as pd

    if table[:4] == b"PAR1":
        return pd.read_parquet(io.BytesIO(table))
    columns, rows = _read_table(table, "the artifact")
    return pd.DataFrame(rows, columns=columns)
