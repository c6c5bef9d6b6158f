"""Parquet of strangers: what is small in the file and huge in memory, and files that lie."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping
from typing import Any

import pytest

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

import pandas as pd  # noqa: E402

from gitml.models.serving.files import read_parquet  # noqa: E402
from gitml.models.serving.limits import Limits  # noqa: E402
from gitml.models.serving.refused import RefusedError  # noqa: E402

SMALL = Limits(body=100_000)  # 6250 values, 400 kB unpacked


def written(columns: Mapping[str, Any], **options: Any) -> bytes:
    """A Parquet file of these columns."""
    target = io.BytesIO()
    parquet.write_table(pyarrow.table(dict(columns)), target, **options)
    return target.getvalue()


TABLES: dict[str, dict[str, Any]] = {
    "numbers": {"a": [1.5, 2.0] * 100, "b": list(range(200))},
    "texts": {"a": ["x", "yy", None] * 40, "b": [b"z" * 50] * 120},
    "lists": {"a": [[1.0, 2.0], [], None], "b": [["x", "x"], ["y"], []]},
    "things": {"a": [{"x": 1, "y": "t"}, None], "b": [True, None]},
    "of a fixed length": {"a": pyarrow.array([b"ab", None], pyarrow.binary(2))},
    "nothing but missing values": {"a": pyarrow.nulls(50), "b": [1] * 50},
}
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"compression": "lz4", "row_group_size": 7},
    {"compression": "none", "data_page_size": 10, "dictionary_pagesize_limit": 10},
    {"data_page_version": "2.0", "use_dictionary": False, "write_page_checksum": True},
)


@pytest.mark.parametrize("options", OPTIONS, ids=range(len(OPTIONS)))
@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_read_however_it_was_written(name: str, options: dict[str, Any]) -> None:
    """Every form of page that pyarrow writes comes out as pandas reads it."""
    data = written(TABLES[name], **options)
    pd.testing.assert_frame_equal(read_parquet(data, SMALL), pd.read_parquet(io.BytesIO(data)))


FEW, TEXT = {"compression": "lz4"}, "x" * 10_000
BOMBS: dict[str, bytes] = {
    "a list of many numbers in one row": written({"a": [[0] * 10_000]}),
    "a list of many things in one row": written({"a": [[{"x": 0}] * 10_000]}),
    "a list of many missing values": written({"a": [[None] * 10_000]}),
    "a text that stands often in one row": written({"a": [[TEXT] * 100]}),
    "a text whose parts stand often": written(
        {"a": [[TEXT] * 100]},
        **FEW,
        use_dictionary=False,
        column_encoding={"a.list.element": "DELTA_BYTE_ARRAY"},
    ),
    "a text in every row": written({"a": [TEXT] * 100}),
    "a text that is long once it is unpacked": written({"a": ["x" * 500_000]}, **FEW),
    "missing values of a fixed length": written({"a": pyarrow.nulls(50, pyarrow.binary(50_000))}),
    "lists of those": written(
        {"a": pyarrow.array([[None] * 50], pyarrow.list_(pyarrow.binary(50_000)))}
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_small_in_the_file_only_is_refused(name: str) -> None:
    """A file of a few bytes does not fill the memory."""
    assert len(BOMBS[name]) < 20_000
    with pytest.raises(RefusedError, match=r"too large once it is unpacked|more than 6250") as told:
        read_parquet(BOMBS[name], SMALL)
    assert told.value.status == 413


def test_a_table_of_too_many_columns_is_refused() -> None:
    """As in CSV, whatever the number of rows."""
    data = written({str(number): [1] for number in range(10_001)})
    with pytest.raises(RefusedError, match="more than 10000 columns"):
        read_parquet(data, Limits())


# -- lies ----------------------------------------------------------------------------------


def varint(number: int, width: int = 0) -> bytes:
    """A whole number as Thrift writes it, in as many bytes as are asked for."""
    left, parts = number << 1, []
    while left or len(parts) < max(width, 1):
        parts.append(left & 0x7F)
        left >>= 7
    return bytes([*(part | 0x80 for part in parts[:-1]), parts[-1]])


def lying(data: bytes, true: int, told: int) -> bytes:
    """The file with another number in its footer."""
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    old = varint(true)
    assert old in data[start:]
    return data[:start] + data[start:].replace(old, varint(told, len(old)))


def test_sizes_are_those_of_the_pages() -> None:
    """A footer that calls a page small, or a list short, deceives nobody."""
    text = written({"a": ["x" * 500_000]}, **FEW, use_dictionary=False, write_statistics=False)
    size = parquet.ParquetFile(io.BytesIO(text)).metadata.row_group(0).total_byte_size
    many = written({"a": [[0] * 10_000]}, write_statistics=False)
    for data in (lying(text, size, 10), lying(many, 10_000, 10)):
        with pytest.raises(RefusedError) as told:
            read_parquet(data, SMALL)
        assert told.value.status == 413


@pytest.mark.parametrize("codec", [2, 3, 6, 17, 63])
def test_only_packing_with_bounds_is_read(codec: int) -> None:
    """Other codecs are refused; at those that there are not, pyarrow ends the process."""
    data = written({"a": [1.0]}, compression="none", column_encoding={"a": "PLAIN"},
                   use_dictionary=False)  # fmt: skip
    place = data.rindex(b"\x19\x18\x01a\x15\x00") + 5  # the path, and after it the codec
    with pytest.raises(RefusedError, match="write it with snappy"):
        read_parquet(data[:place] + varint(codec) + data[place + 1 :], SMALL)


@pytest.mark.parametrize("seed", range(20))
def test_damaged_files_are_refused(seed: int) -> None:
    """Whatever bytes are changed, the answer is a table or a refusal."""
    chance = random.Random(seed)
    data = written(TABLES["lists"], **chance.choice(OPTIONS))
    for _ in range(100):
        damaged = bytearray(data)
        for _ in range(chance.choice((1, 1, 3))):
            damaged[-chance.randrange(1, min(len(data), 700))] = chance.randrange(256)
        try:
            read_parquet(bytes(damaged), SMALL)
        except RefusedError:
            pass
