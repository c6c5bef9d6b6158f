"""Values that a run may hold; the odd ones are in `hostile/values.yaml`."""

from __future__ import annotations

import enum
import json
import struct
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml import documents
from gitml.errors import UsageError
from gitml.tracking import values

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(json_values)
def test_a_param_that_is_json_is_kept_exactly(value: Any) -> None:
    """What JSON and 64 bits can hold comes back as it was, anything else as its text."""
    kept = values.check_param_value("k", value)
    again = json.loads(documents.dump_json(kept))
    assert again == kept
    assert type(again) is type(kept)
    assert str(again) == str(kept)
    if type(kept) is type(value) and not isinstance(value, str):
        assert kept is value
    elif not isinstance(value, str):
        assert kept == str(value)
    elif value.encode(errors="ignore").decode() == value:
        assert kept == value


@given(st.floats())
def test_a_metric_is_kept_bit_for_bit(value: float) -> None:
    """A float is stored as it is."""
    assert struct.pack(">d", values.check_metric_value("k", value)) == struct.pack(">d", value)


@given(st.integers() | st.integers(0, 1100).map(lambda power: 2**power))
def test_an_integer_metric_is_exact_or_refused(value: int) -> None:
    """No integer is rounded without a word, and none that a float holds is refused."""
    exact = abs(value) < 2**1024 and int(float(value)) == value
    if exact:
        assert values.check_metric_value("k", value) == value
    else:
        with pytest.raises(UsageError, match="no float holds this int"):
            values.check_metric_value("k", value)


def test_a_fraction_is_a_number() -> None:
    """Every real number is accepted."""
    assert values.check_metric_value("k", Fraction(1, 4)) == 0.25


class Tensor:
    """What PyTorch, JAX and others offer: `item`, which fails for more than one element."""

    def __init__(self, *numbers: float) -> None:
        self.numbers, self.shape = numbers, (len(numbers),)

    def item(self) -> float:
        """The only element."""
        if len(self.numbers) != 1:
            raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")
        return self.numbers[0]


def test_a_tensor_of_one_element_is_a_number() -> None:
    """A loss need not be converted by hand; a vector is refused with its shape."""
    assert values.check_metric_value("k", Tensor(0.5)) == 0.5
    with pytest.raises(UsageError, match=r"Tensor of shape \(2,\)"):
        values.check_metric_value("k", Tensor(0.5, 1.5))


def test_a_param_of_another_kind_is_its_text() -> None:
    """As in MLflow: enumerations, paths, classes are what `str` makes of them."""
    colour = enum.Enum("colour", ["RED"])
    assert values.check_param_value("k", colour.RED) == "colour.RED"
    assert values.check_param_value("k", Tensor) == str(Tensor)


def test_numpy_scalars_are_numbers() -> None:
    """A param that numpy computed keeps its type; an array is text."""
    numpy = pytest.importorskip("numpy")
    assert values.check_param_value("k", numpy.float64(0.1)) == 0.1
    assert type(values.check_param_value("k", numpy.float64(0.1))) is float
    assert values.check_param_value("k", numpy.bool_(True)) is True
    assert values.check_param_value("k", numpy.array([1])) == "[1]"
    assert values.check_param_value("k", numpy.float32("nan")) == "nan"
    assert values.check_step(numpy.int32(4)) == 4
    assert values.check_timestamp(numpy.int64(4)) == 4


class Broken:
    """An object whose text can't be had."""

    def __str__(self) -> str:
        raise ValueError("no\ntext")


def test_a_value_without_text_is_refused_in_one_line() -> None:
    """The object's own complaint is shown, escaped."""
    with pytest.raises(UsageError, match=r"can't be written as text: 'no\\ntext'"):
        values.check_param_value("k", Broken())


def test_a_time_of_numpy_is_no_step() -> None:
    """A date is not the number of its nanoseconds."""
    numpy = pytest.importorskip("numpy")
    with pytest.raises(UsageError, match="step must be an integer"):
        values.check_step(numpy.datetime64("2026-01-31", "ns"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1e-3", 0.001, True), (5, "+5", True), (5, 5.0, True), (True, "true", True),
        ("a", "a", True), ("1e-3", "0.001", False), ("a", 1, False), (True, 1, False),
        ("None", None, True), ([1], "[1]", True), ([1], 1, False), ("nan", 1.0, False),
    ],
)  # fmt: skip
def test_a_param_is_the_same_number_in_another_form(one: Any, other: Any, same: bool) -> None:
    """Two texts are compared as texts; a number's text is the number."""
    assert values.is_same(one, other) is values.is_same(other, one) is same
