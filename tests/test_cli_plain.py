"""Outside text on a terminal, tables, formats and figures."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from gitml.cli import figures, output
from gitml.cli.listing import csv_text
from gitml.cli.main import _show_traceback
from gitml.cli.plain import json_text, plain, plain_lines
from gitml.cli.table import Cell, Column, Table, fitted, markdown
from tests.cli import HOSTILE, UNSAFE
from tests.records import json_values

any_text = st.text(st.characters(codec=None), max_size=30) | st.just(HOSTILE)

DAY = 86_400_000


@given(any_text)
def test_plain_text_is_one_harmless_line(text: str) -> None:
    """Nothing that acts on a terminal is left, and nothing to encode fails."""
    shown = plain(text)
    assert not UNSAFE.search(shown)
    assert shown.isprintable()
    shown.encode()


@pytest.mark.parametrize(
    "text", ["::error::x", "  ::add-mask::x", "a ##[set-output name=b]c", "\n::a"]
)
def test_in_a_job_of_github_no_text_is_a_command(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is read for them; elsewhere it is as it was written."""
    assert plain(text) == text.replace("\n", " ")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert not plain(text).strip().startswith("::")
    assert "##[" not in plain(text)


COMMANDS = [
    "::error::x",
    "  ::add-mask::x",
    "a ##[set-output name=b]c",
    "x\r::a::b",
    "x\u2028::a::b",
]


@pytest.mark.parametrize("text", COMMANDS)
def test_nothing_that_is_written_is_a_command(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines, remarks, warnings, documents, tables, listings: in whatever way they come."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    output.say(text, Text(text), Text.assemble(text[:1], text[1:], style="bold"))
    output.remark(text)
    output.warn(text)
    output.say_json({text: [text]})
    output.say_raw(text.splitlines())
    output.say_text(csv_text([{"a": text, "b": text}, {"a": f"y\n{text}"}]))
    output.say_raw(Table.of([text, "B"], [[text, ""], [Cell(text), text]]).markdown())
    output.say(*Table.of([text, "B"], [[text, ""], ["", text]]).lines())
    for said in capsys.readouterr():
        lines = [line.strip() for line in re.split(r"\r\n|[\r\n\x85\u2028\u2029\v\f]", said)]
        assert not [line for line in lines if line.startswith("::") or "##[" in line]


def test_a_file_gets_what_it_is_to_hold(tmp_path: Path) -> None:
    """What is written to one is no log: CSV, say, stays as it is."""
    script = "from gitml.cli import output; output.say_text('::a\\n##[b]\\n')"
    env = {**os.environ, "GITHUB_ACTIONS": "true"}
    argv = (sys.executable, "-c", script)
    with (tmp_path / "file").open("w") as file:
        subprocess.run(argv, stdout=file, env=env, check=True)
    assert (tmp_path / "file").read_text() == "::a\n##[b]\n"
    said = subprocess.run(argv, capture_output=True, env=env, check=True).stdout.decode()
    assert said == "\u200b::a\n##\u200b[b]\n"


def test_json_that_github_reads_means_the_same() -> None:
    """A bracket is an escape of JSON's there."""
    assert json.loads(json_text(["##[error]x"])) == ["##[error]x"]
    assert "##[" not in json_text(["##[error]x"])


def test_a_traceback_is_no_command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Errors quote what was read."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")

    try:
        raise ValueError("x\n::add-mask::y")
    except ValueError:
        _show_traceback()
    said = capfd.readouterr().err
    assert "Traceback" in said
    assert not any(line.strip().startswith("::") for line in said.splitlines())


def test_plain_text_stays_as_it_is() -> None:
    """Letters of any language, combining marks and emoji are text."""
    text = "Précision ñ 数据 عربي é 🚀"
    assert plain(text) == text
    assert plain("a\tb\nc\u00a0d") == "a b c d"
    assert plain("\x1b[1m\u202e") == "\\x1b[1m\\u202e"
    assert plain_lines("a\n\tb\r\n\x1bc") == ["a", "    b", "\\x1bc"]


@given(st.dictionaries(any_text, json_values | any_text, max_size=3))
def test_json_is_escaped_and_means_the_same(document: dict[str, object]) -> None:
    """Every character that acts is an escape of JSON's, so that the value comes back."""
    text = json_text(document)
    assert not UNSAFE.search(text)
    assert json.loads(text) == document


# -- tables ------------------------------------------------------------------------------------


@given(st.lists(st.lists(any_text, min_size=3, max_size=3), max_size=4), st.integers(20, 100))
def test_a_table_lines_up(rows: list[list[str]], width: int) -> None:
    """Every line is harmless, no cell is wider than its column."""
    columns = [Column("A", widest=6), Column("B", right=True, widest=6), Column("C", widest=6)]
    table = Table.of(columns, rows)
    lines = [line.plain for line in table.lines()]
    assert len(lines) == len(rows) + 1
    for line in lines:
        assert not UNSAFE.search(line)
        assert cell_len(line) <= sum(table.widths()) + 4


def test_columns_are_aligned() -> None:
    """Texts stand left, numbers right, wide characters count twice, no line ends in blanks."""
    table = Table.of(["A", Column("B", right=True), "C"], [["数据", "1", ""], ["x", "234", "y"]])
    assert [line.plain for line in table.lines()] == [
        "A       B  C",
        "数据    1",
        "x     234  y",
    ]


def test_optional_columns_go_from_the_right() -> None:
    """What has no room is left out, the last first, and named."""
    titles = ["aaaa", Column("bbbb", optional=True), Column("cccc", optional=True), "dddd"]
    table = Table.of(titles, [["1", "2", "3", "4"]])
    assert table.fitting(22)[1] == []
    fitting, dropped = table.fitting(16)
    assert [line.plain for line in fitting.lines()] == ["aaaa  bbbb  dddd", "1     2     4"]
    assert dropped == ["cccc"]
    assert table.fitting(5)[1] == ["bbbb", "cccc"]


@given(any_text, st.integers(2, 20))
def test_a_text_is_cut_to_its_room(text: str, width: int) -> None:
    """A cell never takes more room than it has; what was cut ends in an ellipsis."""
    shown = fitted(text, width)
    assert cell_len(shown) <= width
    assert shown == plain(text) or shown.endswith("…")


def test_markdown_shows_text_and_does_nothing() -> None:
    """No link, no image, no mention, no further cell comes out of outside text."""
    table = Table.of(
        ["A", Column("B", right=True)], [[Cell("a|b"), "<b>`x`</b> [l](http://e) @all"]]
    )
    lines = list(table.markdown())
    assert lines[:2] == ["| A | B |", "|---|---:|"]
    assert lines[2] == ("| a\\|b | \\<b\\>\\`x\\`\\</b\\> \\[l\\](http:\u2060//e) @\u2060all |")
    assert markdown("val_auc _x_") == "val_auc \\_x\\_"


# -- CSV ---------------------------------------------------------------------------------------


def test_csv_has_a_column_for_every_key() -> None:
    """Nested keys are joined by a dot, the user's own come last and sorted; lists are JSON."""
    documents = [
        {"name": "a", "params": {"b.c": 1, "x": {"y": 2}}, "code": {"dirty": True, "drift": ["m"]}},
        {"name": None, "params": {"a": 'say "hi", you\n'}, "code": {"dirty": False, "drift": []}},
    ]
    rows = list(csv.reader(io.StringIO(csv_text(documents))))
    assert rows == [
        ["name", "code.dirty", "code.drift", "params.a", "params.b.c", "params.x"],
        ["a", "true", '["m"]', "", "1", '{"y": 2}'],
        ["", "false", "", 'say "hi", you\n', "", ""],
    ]


# -- figures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.91, 0.9234567, None], ["0.9100", "0.9235", ""]),
        ([0.5], ["0.5"]),
        ([3.0, 12.0], ["3", "12"]),
        ([0.001234, 1.5], ["0.001234", "1.500000"]),
        ([0.00001234, 1.5], ["1.234e-05", "1.5"]),
        ([1e12], ["1e+12"]),
        ([math.nan, math.inf, -math.inf, 0.5], ["NaN", "inf", "-inf", "0.5"]),
        ([0.0], ["0"]),
        ([-0.25, 100.0], ["-0.25", "100.00"]),
        ([], []),
    ],
)
def test_numbers_of_a_column(values: list[float | None], texts: list[str]) -> None:
    """They have as many decimals as the smallest needs for four digits, zeros cut together."""
    assert figures.numbers(values) == texts


@given(st.lists(st.floats() | st.none(), max_size=5))
def test_any_number_has_a_text(values: list[float | None]) -> None:
    """Whatever was logged can be shown."""
    texts = figures.numbers(values)
    assert [text == "" for text in texts] == [value is None for value in values]


@pytest.mark.parametrize(
    ("past", "text"),
    [
        (0, "just now"), (9_999, "just now"), (10_000, "10 s ago"), (60_000, "1 min ago"),
        (3_600_000, "1 hour ago"), (7_200_000, "2 hours ago"), (DAY, "1 day ago"),
        (29 * DAY, "29 days ago"), (-30_000, "just now"),
    ],
)  # fmt: skip
def test_an_age(past: int, text: str) -> None:
    """The largest unit tells; a clock that is a little behind is now."""
    assert figures.age(100 * DAY - past, 100 * DAY) == text


def test_what_is_long_ago_is_a_date() -> None:
    """After a month, or in the future, the day itself; a time that no clock knows is no error."""
    assert figures.age(0, 30 * DAY)[:3] in ("197", "196")
    assert figures.age(10**9, 0).startswith("1970-01-1")
    assert figures.date(10**18)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (None, ""), (-5_000, "?"), (17, "17ms"), (1_500, "1.5s"), (59_400, "59s"),
        (151_000, "2m31s"), (3_900_000, "1h05m"), (4 * 3_600_000 + 3 * DAY, "3d04h"),
    ],
)  # fmt: skip
def test_a_duration(length: int | None, text: str) -> None:
    """Two units at most."""
    assert figures.duration(length) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (999_999, "1.0 MB"),
     (31_000_000_000, "31 GB")],
)  # fmt: skip
def test_a_size(count: int, text: str) -> None:
    """Decimal units, as disks and clouds count."""
    assert figures.size(count) == text


@pytest.mark.parametrize(
    ("old", "new", "text", "brief"),
    [
        (0.5, 0.75, "+0.25 (+50.0%)", "+50.0%"),
        (0.5, 0.25, "-0.25 (-50.0%)", "-50.0%"),
        (-2.0, -1.0, "+1 (+50.0%)", "+50.0%"),
        (0.0, 1.0, "+1", "+1"),
        (0.001, 1000.0, "+1000", "+1000"),
        (1.0, 1.0, "=", "="),
        (None, 1.0, "", ""),
        (1.0, math.nan, "", ""),
        (math.inf, math.inf, "", ""),
    ],
)
def test_a_change(old: float | None, new: float | None, text: str, brief: str) -> None:
    """The difference and its share of the old value, where they mean something."""
    assert figures.change(old, new) == text
    assert figures.change(old, new, brief=True) == brief
