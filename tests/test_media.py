"""Figures, images, tables and dictionaries become artifacts in the forms that MLflow gives them."""

from __future__ import annotations

import datetime
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gitml.errors import FormatError, GitmlError, UsageError
from gitml.tracking import media, names, tables
from gitml.tracking.tables import append_table, load_table


def opened(data: bytes) -> Any:
    """The image in these bytes."""
    return PIL.Image.open(io.BytesIO(data))


# -- dictionaries --------------------------------------------------------------------------

WEIRD = {
    "a": [1, None, True, "é\n"],
    "b": {"deep": {"n": 0.5}},
    "day": datetime.date(2026, 1, 31),
    "array": np.arange(3),
    "number": np.float32(0.5),
    "path": Path("x"),
}


@pytest.mark.parametrize("name", ["x.json", "dir/x.txt", "x", "x.JSON"])
def test_dict_as_json(name: str) -> None:
    """A dictionary is JSON unless its name says YAML; what JSON does not have is text."""
    read = json.loads(media.dict_bytes(WEIRD, name))
    assert read["a"] == WEIRD["a"]
    assert read["day"] == "2026-01-31"
    assert (read["array"], read["number"], read["path"]) == ([0, 1, 2], 0.5, "x")


@pytest.mark.parametrize("name", ["x.yaml", "x.yml", "x.YAML"])
def test_dict_as_yaml(name: str) -> None:
    """A name that ends in .yaml or .yml makes YAML, with the keys in their order."""
    plain = {"z": 1, 2: [1.5, "é"], "a": None}
    text = media.dict_bytes(plain, name).decode("utf-8")
    assert yaml.safe_load(text) == plain
    assert list(yaml.safe_load(text)) == list(plain)
    assert yaml.safe_load(media.dict_bytes(WEIRD, name))["array"] == [0, 1, 2]


# -- figures -------------------------------------------------------------------------------


def test_matplotlib() -> None:
    """A matplotlib figure is written in the format of the suffix, with savefig's options."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 2])
    assert b"<svg" in media.figure_bytes(figure, "plots/x.SVG")
    assert opened(media.figure_bytes(figure, "x.png", {"dpi": 50})).size == (100, 50)
    assert opened(media.figure_bytes(figure, "without-suffix", {"dpi": 50})).size == (100, 50)
    assert media.figure_bytes(figure, "x.png", {"format": "pdf"}).startswith(b"%PDF")


def test_plotly() -> None:
    """A plotly figure is a page that loads plotly from its CDN, or holds it when asked to."""
    import plotly.graph_objects

    figure = plotly.graph_objects.Figure(plotly.graph_objects.Scatter(x=[1], y=[2]))
    page = media.figure_bytes(figure, "x.html")
    whole = media.figure_bytes(figure, "whole.html", {"include_plotlyjs": True})
    assert len(page) < 100_000 < len(whole)
    with pytest.raises(UsageError, match=r"'x\.gif'; use \.html"):
        media.figure_bytes(figure, "x.gif")


def test_no_figure() -> None:
    """What is no figure is refused."""
    with pytest.raises(UsageError, match="not dict"):
        media.figure_bytes({}, "x.png")


# -- images --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1), (2, 3, 3), (2, 3, 4)])
@pytest.mark.parametrize("kind", ["uint8", "int64", "float32", "float64", "bool"])
def test_array_as_image(shape: tuple[int, ...], kind: str) -> None:
    """Arrays of bool, integers or floats, grey or with 1, 3 or 4 channels, keep their pixels."""
    full = 255 if kind in ("uint8", "int64") else 1
    array: Any = np.zeros(shape, dtype=kind)
    array[0] = full
    image = opened(media.image_bytes(array, "x.png"))
    assert (image.width, image.height) == (3, 2)
    expected: Any = np.zeros(shape, dtype="uint8")
    expected[0] = 255
    assert np.array_equal(np.array(image), expected.squeeze())


@given(
    arrays.arrays("uint8", arrays.array_shapes(min_dims=2, max_dims=2, max_side=5))
    | arrays.arrays(
        "uint8", st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([3, 4]))
    )
)
def test_png_keeps_every_pixel(array: Any) -> None:
    """What PNG gives back is what was logged."""
    assert np.array_equal(np.array(opened(media.image_bytes(array, "x.png"))), array)


def test_floats_are_scaled() -> None:
    """Floats beyond 0 to 1 are scaled to that range, missing ones are black."""
    array = np.array([[-1.0, 0.0], [1.0, math.nan]])
    assert np.array(opened(media.image_bytes(array, "x.png"))).tolist() == [[0, 127], [255, 127]]
    assert np.array(opened(media.image_bytes(np.full((1, 1), 5.0), "x.png"))).tolist() == [[0]]


@pytest.mark.parametrize(
    ("array", "rule"),
    [
        (np.array([[256]]), "0 to 255, not 256 to 256"),
        (np.array([[-1]]), "0 to 255"),
        (np.zeros(3), "H x W or H x W x 1, 3 or 4, not 3"),
        (np.zeros((2, 2, 2)), "not 2 x 2 x 2"),
        (np.zeros((0, 2)), "not 0 x 2"),
        (np.float64(1), "not one number"),
        (np.zeros((2, 2), dtype=complex), "not complex128"),
        (np.array([["a"]]), "integers or floats"),
        ([[1]], "not list"),
        ("x.png", "not str"),
    ],
)
def test_no_image(array: Any, rule: str) -> None:
    """What is no image is refused with the rule that it breaks."""
    with pytest.raises(UsageError, match=rule):
        media.image_bytes(array, "x.png")


def test_formats_of_images() -> None:
    """The suffix tells the format; JPEG has no transparency; other suffixes are refused."""
    image = PIL.Image.new("RGBA", (3, 2), (255, 0, 0, 128))
    formats = {
        name: opened(media.image_bytes(image, name)).format for name in ("x.jpg", "x.webp", "x")
    }
    assert formats == {"x.jpg": "JPEG", "x.webp": "WEBP", "x": "PNG"}
    with pytest.raises(UsageError, match=r"'x\.txt'"):
        media.image_bytes(image, "x.txt")


def test_image_class(tmp_path: Path) -> None:
    """`Image` takes arrays, lists, PIL images and files, and gives all of them back."""
    pixels = [[0, 255], [255, 0]]
    image = media.Image(pixels)
    image.save(tmp_path / "x.png")
    for same in (np.array(pixels), image.to_pil(), str(tmp_path / "x.png"), tmp_path / "x.png"):
        assert media.Image(same).to_array().tolist() == pixels
    assert image.to_list() == [0, 255, 255, 0]
    assert media.Image(np.zeros((1, 2, 3), "uint8")).to_list() == [(0, 0, 0), (0, 0, 0)]
    assert image.resize((4, 6)).size == (4, 6)
    assert opened(media.image_bytes(image, "x.png")).size == (2, 2)


def test_series() -> None:
    """An image of a series is named by key, step and time, under a path that git takes."""
    path = media.series_path("dogs/first one", 3, 1700)
    assert path.startswith("images/dogs~first one+step+3+timestamp+1700+")
    assert path.endswith(".png")
    assert names.check_artifact_path(path) == path
    assert media.series_path("a", 0, 1) != media.series_path("a", 0, 1)
    assert media.series_path("a").startswith("images/a+step+0+timestamp+1")
    for wrong in ("a+b", "", "ü", "a\n"):
        with pytest.raises(UsageError, match="may have letters"):
            media.series_path(wrong)
    with pytest.raises(UsageError, match="needs artifact_file, or key"):
        media.series_path(None)


# -- tables --------------------------------------------------------------------------------

finite = st.floats(allow_nan=False, allow_infinity=False)
cells = st.one_of(st.none(), st.booleans(), st.integers(), finite, st.text())
columns = st.lists(st.text(), min_size=1, max_size=3, unique=True)


@st.composite
def some_tables(draw: st.DrawFn) -> dict[str, list[Any]]:
    """A dictionary of columns of one length."""
    rows = draw(st.integers(0, 3))
    column = st.lists(cells, min_size=rows, max_size=rows)
    return {name: draw(column) for name in draw(columns)}


@settings(deadline=None)
@given(some_tables(), some_tables())
def test_appending_keeps_every_value(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Rows logged later stand after those before; a column that one lacks is null there."""
    first = append_table(None, one)
    document = json.loads(append_table(first, other))
    rows = [dict(zip(document["columns"], row, strict=True)) for row in document["data"]]
    assert document["columns"] == list(dict.fromkeys([*one, *other]))
    split = len(next(iter(one.values())))
    for table, part in ((one, rows[:split]), (other, rows[split:])):
        expected = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
        missing = dict.fromkeys(document["columns"])
        assert part == [{**missing, **row} for row in expected]


def test_table_has_mlflows_form() -> None:
    """pandas reads a table with orient="split", which is how MLflow reads it."""
    frame = pd.DataFrame(
        {"n": [1, 2], "x": [0.1, None], "s": ["a", None], "t": pd.to_datetime(["2026", None])},
        index=[5, 6],
    )
    data = append_table(None, frame)
    assert json.loads(data) == {
        "columns": ["n", "x", "s", "t"],
        "data": [[1, 0.1, "a", "2026-01-01T00:00:00"], [2, None, None, None]],
    }
    read = pd.read_json(io.BytesIO(data), orient="split")
    assert read["n"].tolist() == [1, 2]
    written = frame.to_json(orient="split", index=False, date_format="iso").encode()
    assert json.loads(append_table(written, frame))["data"][0][:3] == [1, 0.1, "a"]


def test_values_of_tables() -> None:
    """Numbers of numpy are numbers, NaN is null at any depth, the rest is text."""
    table = {
        "a": [np.int64(1), np.float32(0.5), math.inf],
        "b": [[1, math.nan], {"k": np.arange(2)}, {3}],
        "c": [b"x", datetime.date(2026, 1, 2), pd.NA],
        "d": np.array([1.0, math.nan, 3]),
    }
    assert json.loads(append_table(None, table))["data"] == [
        [1, [1, None], "x", 1.0],
        [0.5, {"k": [0, 1]}, "2026-01-02", None],
        [None, [3], None, 3.0],
    ]


def test_single_values_are_one_row() -> None:
    """A dictionary of single values is one row; a single value beside columns fills its column."""
    assert json.loads(append_table(None, {"a": 1, "b": "x"}))["data"] == [[1, "x"]]
    assert json.loads(append_table(None, {"a": [1, 2], "b": "x"}))["data"] == [[1, "x"], [2, "x"]]


@pytest.mark.parametrize(
    ("existing", "data", "kind", "rule"),
    [
        (None, [1], UsageError, "not list"),
        (b"{}", {"a": 1}, FormatError, "not a table"),
        (b"[1", {"a": 1}, FormatError, "not a table"),
    ],
)
def test_no_table(existing: bytes | None, data: Any, kind: type[GitmlError], rule: str) -> None:
    """What is no table is refused, and so is what stands at the table's place."""
    with pytest.raises(kind, match=rule):
        append_table(existing, data)


def test_images_in_tables() -> None:
    """An image in a cell is stored beside the table, and its path stands in the cell."""
    stored: dict[str, Any] = {}
    image = media.Image([[1, 2]])
    save = tables.image_saver("eval/gen.json", lambda image, path: stored.update({path: image}))
    table = {"prompt": ["a", "b"], "image": [image, PIL.Image.new("L", (1, 1))]}
    rows = json.loads(append_table(None, table, "eval/gen.json", save))["data"]
    assert [row[1]["filepath"] for row in rows] == list(stored)
    assert stored[rows[0][1]["filepath"]] is image
    assert rows[0][1]["type"] == "image"
    assert all(path.startswith("table_images/eval/gen/") for path in stored)


def test_load_table() -> None:
    """Tables of several runs come as one DataFrame, with the run's id where it is wanted."""
    one, other = append_table(None, {"a": [1, 2]}), append_table(None, {"a": [3], "run_id": ["x"]})
    plain = load_table([("r1", one), ("r2", one)])
    assert plain.to_dict("list") == {"a": [1, 2, 1, 2]}
    frame = load_table([("r1", one), ("r2", other)], ["run_id"])
    assert frame["a"].tolist() == [1, 2, 3]
    assert frame["run_id"].tolist() == ["r1", "r1", "x"]
    assert frame["run_id_"].tolist()[2] == "r2"
    more = load_table([({"run_id": "r1", "status": "FINISHED"}, one)], ["status"])
    assert more["status"].tolist() == ["FINISHED", "FINISHED"]
    with pytest.raises(UsageError, match="'status' is none of run_id"):
        load_table([("r1", one)], ["status"])
    assert load_table([]).empty


def test_parquet() -> None:
    """A name that ends in .parquet makes Parquet, appended to and loaded in the same way."""
    first = append_table(None, {"a": [1]}, "x.parquet")
    both = append_table(first, pd.DataFrame({"a": [2], "b": ["x"]}), "x.parquet")
    assert load_table([("r", both)])["a"].tolist() == [1, 2]
