"""Tables of a request in the formats of files: CSV and Parquet."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from gitml.errors import shown
from gitml.models.schema import Schema
from gitml.models.serving.cast import cast_frame
from gitml.models.serving.limits import Limits
from gitml.models.serving.pages import LZ4, LZ4_RAW, SNAPPY, UNCOMPRESSED, Column, columns, pages
from gitml.models.serving.refused import RefusedError, invalid
from gitml.models.serving.tables import check_rows

if TYPE_CHECKING:
    import pandas as pd

_MAX_COLUMNS = 10_000
# Their content is at most some 250 times longer than they are; that of others can be endless.
_CODECS = {UNCOMPRESSED, SNAPPY, LZ4, LZ4_RAW}
_TEXTS = ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")  # as Parquet calls them
_LEAST = 10  # values of a page in the mean


def read_csv(body: bytes, schema: Schema | None, limits: Limits) -> pd.DataFrame:
    """The table that CSV holds, UTF-8 with a line of names. Raises RefusedError."""
    import pandas as pd

    _check_text(body)
    lines = body.count(b"\n") + body.count(b"\r")
    if lines > 2 * limits.rows + 2 or body.count(b",") > limits.values:
        raise RefusedError(
            f"the CSV has more than {limits.rows} rows or {limits.values} values; send fewer rows"
            " at a time",
            413,
        )
    _check_names(body)
    try:
        frame = pd.read_csv(io.BytesIO(body), dtype=_texts(schema))
    except (ValueError, OverflowError, KeyError, IndexError, TypeError):
        # ParserError and EmptyDataError are ValueErrors too
        raise RefusedError("the body is not CSV: a line of names, and rows as long") from None
    if not isinstance(frame.index, pd.RangeIndex):
        raise invalid("the rows of the CSV are longer than its line of names")
    check_rows(len(frame), limits.rows, "CSV")
    return cast_frame(frame, schema)


def _check_text(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError:
        raise RefusedError("the body is not UTF-8") from None


def _check_names(body: bytes) -> None:
    """Refuse names that stand twice, which pandas would change."""
    first = body.lstrip(b"\r\n")[:1_000_000].decode("utf-8", "ignore").removeprefix("\ufeff")
    try:
        names = next(csv.reader(io.StringIO(first)), [])
    except csv.Error:
        raise RefusedError("the first line of the CSV can't be read as names") from None
    if len(names) > _MAX_COLUMNS:
        raise RefusedError(f"the CSV has more than {_MAX_COLUMNS} columns", 413)
    seen = set()
    for name in names:
        if name in seen:
            raise invalid(f"CSV: the column {shown(name)} stands there twice")
        seen.add(name)


def _texts(schema: Schema | None) -> dict[Any, Any] | None:
    """The columns that are text, whatever their values look like."""
    if schema is None or schema.is_tensor_spec() or not schema.has_input_names():
        return None
    from gitml.models.types import DataType

    texts = (DataType.string, DataType.binary, DataType.datetime)
    pairs = zip(schema.input_names(), schema.input_types(), strict=True)
    return {name: "object" for name, kind in pairs if kind in texts}


def read_parquet(body: bytes, limits: Limits) -> pd.DataFrame:
    """The table that a Parquet file holds. Raises RefusedError."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise RefusedError("this server can't read Parquet: it lacks pyarrow", 415) from None
    try:
        parts = columns(body, limits.body // 8)
        _check_codecs(parts)
        file = parquet.ParquetFile(io.BytesIO(body))
        _check_claims(file.metadata, limits)
        table = _bounded(file, _longest(body, parts, file.schema, limits), limits)
        check_rows(table.num_rows, limits.rows, "Parquet")
        return table.to_pandas()
    except (pyarrow.ArrowException, ValueError, OSError, TypeError, KeyError, OverflowError):
        raise RefusedError("the body is not a Parquet file that holds a table") from None


def _check_codecs(groups: list[list[Column]]) -> None:
    if {column.codec for group in groups for column in group} - _CODECS:
        raise RefusedError("the Parquet is packed by what is not taken; write it with snappy")


def _check_claims(metadata: Any, limits: Limits) -> None:
    """Refuse too many rows, columns and groups of rows."""
    check_rows(metadata.num_rows, limits.rows, "Parquet")
    if metadata.num_columns > _MAX_COLUMNS:
        raise RefusedError(f"the Parquet has more than {_MAX_COLUMNS} columns", 413)
    if metadata.num_columns * max(metadata.num_rows, metadata.num_row_groups) > limits.values:
        raise _too_many(limits)


def _longest(body: bytes, groups: list[list[Column]], schema: Any, limits: Limits) -> int:
    """How many bytes the texts of a row have at most; refuses pages that come to too much."""
    kinds = [schema.column(at) for at in range(len(schema))]
    values = unpacked = count = 0
    longest: list[int] = [sum(max(kind.length, 0) for kind in kinds)]  # those of a fixed length
    for group in groups:
        texts = 0
        for kind, column in zip(kinds, group, strict=True):
            is_text, in_lists = kind.physical_type in _TEXTS, kind.max_repetition_level > 0
            for page in pages(body, column):
                values, count = values + page.values, count + 1
                fixed = page.values * max(kind.length, 0)  # a missing one takes as much
                unpacked += max(page.reach, fixed) if is_text and in_lists else page.unpacked
                texts += page.unpacked if is_text else 0
                if values > limits.values or count > limits.values // _LEAST:
                    raise _too_many(limits)
        longest.append(texts)
    if max(unpacked, *longest) > 4 * limits.body:
        raise RefusedError("the table is too large once it is unpacked", 413)
    return max(longest)


def _too_many(limits: Limits) -> RefusedError:
    return RefusedError(f"the table has more than {limits.values} values", 413)


def _bounded(file: Any, longest: int, limits: Limits) -> Any:
    """The table, read in parts so small that none can fill the memory.

    A text that is stored once may stand in every row; a part has so few rows that even the
    longest text that there can be does no harm.
    """
    import pyarrow

    most = 4 * limits.body
    parts, size = [], 0
    for part in file.iter_batches(batch_size=max(1, most // max(longest, 1))):
        size += part.nbytes
        if size > most:
            raise RefusedError("the table is too large once it is unpacked", 413)
        parts.append(part)
    return pyarrow.Table.from_batches(parts, schema=file.schema_arrow)
