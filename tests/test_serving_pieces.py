"""Large JSON is parsed piece by piece, and is what it is in one."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from gitml.models.serving import pieces, text

WORDS = st.sampled_from(["a", "],[", "},{", '"', "\\", '"data":[[1', "]],", "é", ""])
NUMBERS = st.integers(-9, 9) | st.sampled_from([1.5, 1234567890123456789, 12345678901234567890])
CELLS = NUMBERS | WORDS | st.none() | st.lists(NUMBERS | WORDS, max_size=3)
LISTS = st.lists(CELLS, max_size=3)
ROWS = st.lists(LISTS | st.lists(LISTS, max_size=2), min_size=1, max_size=12) | st.lists(
    st.dictionaries(WORDS, CELLS | st.dictionaries(WORDS, CELLS, max_size=2), max_size=3),
    min_size=1,
    max_size=12,
)
KEYS = st.sampled_from(["instances", "inputs", "dataframe_records", "dataframe_split", "other"])
TABLES = ROWS | st.builds(
    lambda rows, more, late: {"data": rows, **more} if late else {**more, "data": rows},
    ROWS,
    st.dictionaries(st.sampled_from(["columns", "index"]), LISTS, max_size=2),
    st.booleans(),
)
DOCUMENTS = st.dictionaries(KEYS, TABLES | CELLS, min_size=1, max_size=3)
SPACES = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " : ")])


def value_of(body: bytes) -> Any:
    """The value of JSON, or why it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return ValueError


@given(DOCUMENTS, SPACES, st.integers(1, 20))
def test_the_value_is_that_of_the_whole(document: Any, spaces: tuple[str, str], size: int) -> None:
    """Wherever the cuts fall, in texts too."""
    body = json.dumps(document, separators=spaces).encode()
    assert pieces.parsed(body, json.loads, size) in (None, document)


@given(DOCUMENTS, st.integers(0, 200), st.sampled_from([b"", b"]", b"}", b"[", b'"', b",", b"1"]))
@example({"inputs": [[1], [2], [3], [4]]}, 15, b"]")
def test_what_is_no_json_is_none_in_pieces(document: Any, at: int, change: bytes) -> None:
    """A byte more, less or other is met as it is in the whole."""
    whole = json.dumps(document).encode()
    body = whole[:at] + change + whole[at + 1 :]
    found = pieces.parsed(body, json.loads, 4)
    assert found is None or repr(found) == repr(value_of(body))


def test_tables_are_cut() -> None:
    """The formats that have rows are parsed in pieces, the others are not."""
    rows, records = [[number, 0.5] for number in range(200)], [{"a": [1], "b": "],["}] * 200
    for document in (
        {"dataframe_split": {"columns": ["a", "b"], "data": rows}, "params": {"x": 1}},
        {"dataframe_split": {"data": rows, "columns": ["a", "b"]}},
        {"dataframe_records": records},
        {"instances": rows},
        {"inputs": rows},
    ):
        sizes: list[int] = []

        def parse(body: bytes, sizes: list[int] = sizes) -> Any:
            sizes.append(len(body))
            return json.loads(body)

        assert pieces.parsed(json.dumps(document).encode(), parse, 100) == document
        assert max(sizes) < 400
    assert pieces.parsed(json.dumps({"inputs": {"a": [1] * 999}}).encode(), json.loads, 100) is None


def test_whole_numbers_are_exact_in_a_large_body() -> None:
    """Those beyond 64 bits too, and one beyond all bounds is refused as in a small one."""
    number = 123456789012345678901234567890
    document = {"inputs": [[number, 0.25]] * 20_000}
    body = json.dumps(document).encode()
    assert len(body) > 4 * pieces.SIZE
    assert text.parse(body, 10**6) == document
