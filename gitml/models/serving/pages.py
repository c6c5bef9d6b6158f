"""The columns and pages of a Parquet file: how they are packed, and what they come to unpacked.

pyarrow believes what the end of a file says of that, and ends the process where it is nonsense.
Format: parquet.thrift of Apache Parquet. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from gitml.models.serving.thrift import BINARY, I32, I64, LIST, STRUCT, Fields, Known, Reader

UNCOMPRESSED, SNAPPY, LZ4, LZ4_RAW = 0, 1, 5, 7  # the numbers of CompressionCodec

_MAGIC = b"PAR1"
_END = 8  # bytes behind the footer: its length, and the magic word
_HEADER_STEPS = 200
_PADDING = 100  # bytes behind a column in which readers look too, as old writers counted wrong

# The lists in ColumnMetaData, and those above it: RowGroup, FileMetaData.
_IN_CHUNK: Known = {2: I32, 3: BINARY, 8: {}, 13: {}, 16: {2: I64, 3: I64}, 17: {2: I32}}
_IN_GROUP: Known = {1: {3: _IN_CHUNK}, 4: {}}
_IN_FILE: Known = {2: {}, 4: _IN_GROUP, 5: {}, 7: {}}

# Fields, by number and type: of FileMetaData, RowGroup, ColumnChunk and ColumnMetaData,
_GROUPS, _COLUMNS, _CHUNK = (4, LIST), (1, LIST), (3, STRUCT)
_CODEC, _VALUES, _LENGTH = (4, I32), (5, I64), (7, I64)
_DATA_AT, _DICTIONARY_AT = (9, I64), (11, I64)
# of PageHeader, and of the headers for data in it.
_TYPE, _UNPACKED, _PACKED, _HELD = (1, I32), (2, I32), (3, I32), (1, I32)
_DICTIONARY = 2  # a type of page
_DATA = {0: ((5, STRUCT), (2, I32)), 3: ((8, STRUCT), (4, I32))}  # header and encoding, by type
_BY_DICTIONARY, _BY_PREFIX = (2, 8), 7  # encodings


class Column(NamedTuple):
    """A part of a column: how it is packed, how many values it has, and where its bytes are."""

    codec: int
    values: int
    start: int
    length: int


class Page(NamedTuple):
    """A page: its bytes once it is unpacked, its values, and the bytes that these can come to.

    A value that is stored once may stand in many places.
    """

    unpacked: int
    values: int
    reach: int


def columns(data: bytes, most: int) -> list[list[Column]]:
    """The columns of each group of rows in a file whose footer says at most so many things.

    Raises ValueError for what is no such file.
    """
    footer = len(data) - _END - int.from_bytes(data[-_END:-4], "little")
    if not data.startswith(_MAGIC) or not data.endswith(_MAGIC) or footer < len(_MAGIC):
        raise ValueError("it is no Parquet file")
    groups = _structs(Reader(data, footer, most).struct(_IN_FILE), _GROUPS)
    return [[_column(chunk) for chunk in _structs(group, _COLUMNS)] for group in groups]


def _column(chunk: Fields) -> Column:
    fields = chunk.get(_CHUNK, {})
    start = _count(fields, _DATA_AT)
    if fields.get(_DICTIONARY_AT, 0) > 0:
        start = min(start, fields[_DICTIONARY_AT])
    return Column(_count(fields, _CODEC), _count(fields, _VALUES), start, _count(fields, _LENGTH))


def pages(data: bytes, column: Column) -> Iterator[Page]:
    """The pages of a column. Raises ValueError for what are no pages."""
    at, end = column.start, min(column.start + column.length + _PADDING, len(data))
    values, dictionary = column.values, 0
    while values > 0 and at < end:
        reader = Reader(data, at, _HEADER_STEPS)
        fields = reader.struct({})
        kind, unpacked = _count(fields, _TYPE), _count(fields, _UNPACKED)
        if kind == _DICTIONARY:
            dictionary = unpacked
        held, encoding = _data(fields, kind)
        each = {_BY_PREFIX: unpacked, **dict.fromkeys(_BY_DICTIONARY, dictionary)}.get(encoding, 0)
        yield Page(unpacked, held, max(unpacked, held * each))
        values -= held
        at = reader.at + _count(fields, _PACKED)


def _data(fields: Fields, kind: int) -> tuple[int, int]:
    """How many values a page of this type has, and their encoding; of other pages none."""
    if kind not in _DATA:
        return 0, -1
    header, encoding = _DATA[kind]
    data = fields.get(header, {})
    return _count(data, _HELD), _count(data, encoding)


def _count(fields: Fields, key: tuple[int, int]) -> int:
    value: Any = fields.get(key)
    if value is None or not 0 <= value < 1 << (31 if key[1] == I32 else 63):
        raise ValueError("a number is missing, or is too large")
    return int(value)


def _structs(fields: Fields, key: tuple[int, int]) -> list[Fields]:
    if key not in fields:
        raise ValueError("a list is missing")
    found: list[Fields] = fields[key]
    return found
