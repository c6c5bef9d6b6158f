"""The space of a sweep: ranges, lists and quotes, as they are written on a command line."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import UsageError
from gitml.projects.sweeps import space
from gitml.projects.sweeps.space import Choice, Dimension, Range, parse


def _range(low: str, high: str, step: str | None = None, **flags: bool) -> Range:
    return Range(Decimal(low), Decimal(high), Decimal(step) if step else None, **flags)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0.001..0.1:log", _range("0.001", "0.1", log=True)),
        ("1e-3..1e-1:log", _range("0.001", "0.1", log=True)),
        ("-1..-.5", _range("-1", "-0.5")),
        ("-3..+3", _range("-3", "3", whole=True)),
        ("2..8", _range("2", "8", whole=True)),
        ("2..8:2", _range("2", "8", "2", whole=True)),
        ("2..9:2", _range("2", "8", "2", whole=True)),
        ("2.0..8", _range("2", "8")),
        ("0.1..0.9:0.2", _range("0.1", "0.9", "0.2")),
        ("0..1:0.3", _range("0", "0.9", "0.3")),
        ("1e1..1e3:log:int", _range("10", "1000", log=True, whole=True)),
        ("1..100:int:log", _range("1", "100", log=True, whole=True)),
        ("1 .. 5", _range("1", "5", whole=True)),
        ("1...5", None),
        ("2,4,8", Choice(("2", "4", "8"))),
        ("a, b", Choice(("a", "b"))),
        ("5", Choice(("5",))),
        ("", Choice(("",))),
        ("'',x", Choice(("", "x"))),
        ('"a,b",c', Choice(("a,b", "c"))),
        ("'0..1'", Choice(("0..1",))),
        ('\'it\'\'s\',"say ""so"""', Choice(("it's", 'say "so"'))),
        ("../data,./more..", Choice(("../data", "./more.."))),
        ("v1..v2", Choice(("v1..v2",))),
        ('the "best" one', Choice(('the "best" one',))),
        ("runs:/latest/table.csv,dvc:data.csv", Choice(("runs:/latest/table.csv", "dvc:data.csv"))),
    ],
)
def test_what_is_written_means(text: str, meant: Dimension | None) -> None:
    """A range has two numbers and dots between them; all else is a list of texts."""
    if meant is None:
        with pytest.raises(UsageError):
            parse("x", text)
    else:
        assert parse("x", text) == meant


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("3..1", "the first number must be the smaller one"),
        ("1..1", "the first number must be the smaller one"),
        ("0..1:log", "begins above 0"),
        ("-1..1:log", "begins above 0"),
        ("0.1..1:log:0.1", "has no steps"),
        ("0..1:0", "a step is above 0"),
        ("1..2:1e-300", r"there are more than 1e\+15 steps"),
        ("1..1.0000000000000000000001", "the first number must be the smaller one"),
        ("0..1:2", "not longer than the range"),
        ("0..1:-0.1", "a step is above 0"),
        ("0..1:lgo", "'lgo' is neither log, int nor a step"),
        ("0..1:log:log", "each once"),
        ("0.5..2:int", "whole numbers have no fraction"),
        ("0..1e999", "out of range"),
        ("0..abc", "'abc' is no number"),
        ("0..1,5", "a range stands alone"),
        ("5,0..1", "a range stands alone"),
        ("a,,b", "a value is empty"),
        ("a,", "a value is empty"),
        ("'a", "a quote is not closed"),
        ("'a'b", "after a quoted value comes a comma"),
        ("a,b,a", "'a' is there twice"),
    ],
)
def test_what_is_written_wrong_is_told(text: str, why: str) -> None:
    """One line names the parameter, what was written, and what is wrong with it."""
    with pytest.raises(UsageError, match=why) as caught:
        parse("rate", text)
    assert "'rate'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_type_of_a_parameter_decides() -> None:
    """A float's range may be written without dots, an int's has whole numbers, a path has none."""
    assert parse("x", "2..8", "float") == _range("2", "8")
    assert parse("x", "1e1..1e2", "int") == _range("10", "100", whole=True)
    with pytest.raises(UsageError, match="no fraction"):
        parse("x", "0.5..2", "int")
    with pytest.raises(UsageError, match="type path has no range"):
        parse("x", "1..2", "path")


_numbers = st.decimals(-(10**6), 10**6, places=4, allow_nan=False)
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def _ranges(draw: st.DrawFn) -> Range:
    """Any range that can be meant."""
    whole, log = draw(st.booleans()), draw(st.booleans())
    number = st.integers(-(10**6), 10**6).map(Decimal) if whole else _numbers
    low, high = sorted(draw(st.tuples(number, number).filter(lambda two: two[0] != two[1])))
    if log:
        low, high = abs(low) + 1, abs(low) + 1 + (high - low)
    step = None
    if not log and draw(st.booleans()):
        count = draw(st.integers(1, 20))
        step = Decimal(1) if whole else (high - low)
        high = low + step * count
    return Range(low, high, step, log, whole)


@given(_ranges() | st.lists(_texts, min_size=1, max_size=4, unique=True).map(tuple).map(Choice))
def test_what_is_shown_can_be_written(dimension: Dimension) -> None:
    """The text of any dimension means that dimension."""
    kind = "float" if isinstance(dimension, Range) and not dimension.whole else "string"
    assert parse("x", str(dimension), kind) == dimension


@given(st.text(max_size=30))
def test_no_text_is_a_surprise(text: str) -> None:
    """Whatever is written is understood, or refused in one line."""
    problem = None
    try:
        parse("x", text)
    except UsageError as error:
        problem = str(error)
    assert "\n" not in (problem or "")


@given(_ranges())
def test_points_are_exact_and_inside(dimension: Range) -> None:
    """The points of a range are its numbers without errors of binary; both ends are among them."""
    count = dimension.count()
    if count is None or count > 1000:
        return
    points = [Decimal(point) for point in dimension.points()]
    assert (points[0], points[-1]) == (dimension.low, dimension.high)
    assert len(points) == count
    assert {b - a for a, b in itertools.pairwise(points)} <= {dimension.step or 1}
    assert [dimension.text(float(point)) for point in points] == list(dimension.points())


@given(_ranges(), st.floats(0, 1))
def test_a_number_that_is_drawn_is_short_and_inside(dimension: Range, share: float) -> None:
    """It can be read and typed, and is nearer to what was drawn than the ten-thousandth part."""
    low, high = float(dimension.low), float(dimension.high)
    drawn = min(max(low + share * (high - low), low), high)
    text = dimension.text(drawn)
    assert dimension.low <= Decimal(text) <= dimension.high
    if not dimension.whole and dimension.step is None:
        assert abs(float(text) - drawn) <= (high - low) / 10_000
        assert len(text) <= 25


def test_numbers_that_are_drawn_have_six_digits() -> None:
    """More only where the range needs them."""
    assert _range("0.001", "0.1", log=True).text(0.018834963325070612) == "0.018835"
    assert _range("1e-9", "1", log=True).text(1.2345678e-9) == "1.23457E-9"
    assert _range("1000000", "1000001").text(1000000.1234567891) == "1000000.12346"


def test_a_grid_has_every_combination_once() -> None:
    """The last parameter varies fastest; a parameter with one value is no part of it."""
    spaces = {"a": parse("a", "1,2"), "same": parse("same", "x"), "b": parse("b", "0..0.2:0.1")}
    points = space.grid(spaces, 99)
    assert [(p["a"], p["b"]) for p in points] == [
        ("1", "0"), ("1", "0.1"), ("1", "0.2"), ("2", "0"), ("2", "0.1"), ("2", "0.2"),
    ]  # fmt: skip
    assert space.size(spaces) == len(points)
    assert space.fixed(spaces) == {"same": "x"}
    assert space.grid(spaces, 2) == points[:2]


def test_a_grid_needs_values_that_can_be_counted() -> None:
    """A range without steps, or with very many, has no grid; the error says what to write."""
    for text in ("0.1..0.2", "1..10:log", "1..1000000000000"):
        with pytest.raises(UsageError, match="give a step"):
            space.grid({"x": parse("x", text)}, 5)


@given(st.dictionaries(st.sampled_from("abc"), _ranges() | st.just(Choice(("u", "v", "w")))))
def test_corners_show_every_value_that_a_type_may_refuse(found: dict[str, Dimension]) -> None:
    """Each listed value, and both ends of each range, are in some corner."""
    corners = list(space.corners(found))
    for name, dimension in found.items():
        assert {corner[name] for corner in corners} == set(dimension.ends())
