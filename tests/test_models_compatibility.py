"""What a client of a model's old version notices: the level of a change, and why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from gitml.models.compatibility import Compatibility, compare
from gitml.models.enforce import SchemaError, enforce_inputs
from gitml.models.schema import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from gitml.models.signature import ModelSignature
from gitml.models.types import AnyType, Array, DataType, Map, Object, Property, Type
from tests import schemas

A = ColSpec("double", "a")
B = ColSpec("string", "b")
B_OPTIONAL = ColSpec("string", "b", False)
X = Property("x", "long")
Y = Property("y", "long")
Y_OPTIONAL = Property("y", "long", False)


def col(kind: Any, name: str | None = "a") -> list[ColSpec]:
    """One column."""
    return [ColSpec(kind, name)]


def tensor(dtype: str, *shape: int, name: str | None = None) -> list[TensorSpec]:
    """One tensor."""
    return [TensorSpec(dtype, shape, name)]


# The old columns, the new ones, whether the change is compatible in inputs and in outputs, and
# the reason in inputs.
SPECS = [
    ([A], [A, B_OPTIONAL], True, True, "The input 'b' was added and is optional."),
    ([A], [A, B], False, True, "The input 'b' was added and is required."),
    ([A, B], [A], True, False, "The input 'b' was removed."),
    ([A, B], [A, B_OPTIONAL], True, False, "The input 'b' became optional."),
    ([A, B_OPTIONAL], [A, B], False, True, "The input 'b' became required."),
    ([A, B], [B, A], True, True, "The order of the inputs changed."),
    (col("integer"), col("long"), True, False, "The input 'a' changed from integer to long."),
    (col("integer"), col("double"), True, False, "changed from integer to double."),
    (col("float"), col("double"), True, False, "changed from float to double."),
    (col("long"), col("integer"), False, True, "from long to integer: not every long is integer."),
    (col("double"), col("float"), False, True, "from double to float: not every"),
    (col("long"), col("double"), False, False, "from long to double: not every"),
    (col("integer"), col("float"), False, False, "from integer to float: not every"),
    (col("string"), col("binary"), False, False, "from string to binary: not every"),
    (col("boolean"), col("long"), False, False, "from boolean to long: not every"),
    (col("string"), col(AnyType()), True, False, "changed from string to Any."),
    (col(AnyType()), col("string"), False, True, "to string: not every Any is string."),
    (col("long"), col(Array("long")), False, False, "from long to Array(long): not"),
    (col(Array("integer")), col(Array("long")), True, False, "to Array(long)."),
    (col(Array("long")), col(Array(AnyType())), True, False, "to Array(Any)."),
    (col(Map("float")), col(Map("double")), True, False, "to Map(str -> double)."),
    (col(Map("double")), col(Map("float")), False, True, "not every double is float."),
    (col(Map("long")), col(Object([X])), False, False, "not every Map(str -> long) is {x: long (r"),
    (col(Object([X])), col(Object([X, Y_OPTIONAL])), True, True, "(optional)}."),
    (col(Object([X])), col(Object([X, Y])), False, True, ": the field 'y' may be missing."),
    (col(Object([X, Y])), col(Object([X])), False, False, ": the field 'y' is not known."),
    (col(Object([X, Y])), col(Object([X, Y_OPTIONAL])), True, False, "(optional)}."),
    (col(Object([X, Y_OPTIONAL])), col(Object([X, Y])), False, True, "'y' may be missing."),
    (
        col(Array(Object([Property("x", "long")]))),
        col(Array(Object([Property("x", "string")]))),
        False, False, ": in the field 'x' not every long is string.",
    ),
    (col("double", None), col("double", None) * 2, False, False, "The input 1 was added"),
    (col("double", None) * 2, col("double", None), True, False, "The input 1 was removed."),
    (col("double", None), col("double"), False, False, "were columns without names, now they are"),
    (col("double"), col("double", None), False, False, "now they are columns without names."),
    (col("double"), tensor("float64", -1), False, False, "now they are tensors without names."),
    (tensor("float64", -1), tensor("float64", -1, name="a"), False, False, "tensors with names."),
    (tensor("float32", -1), tensor("float64", -1), False, False, "from float32 to float64."),
    (tensor("float64", 2, 3), tensor("float64", -1, 3), True, False, "from (2, 3) to (-1, 3)."),
    (tensor("float64", -1, 3), tensor("float64", 2, 3), False, True, "from (-1, 3) to (2, 3)."),
    (tensor("float64", -1, 3), tensor("float64", -1, 4), False, False, "from (-1, 3) to (-1, 4)."),
    (tensor("float64", -1), tensor("float64", -1, 1), False, False, "from (-1,) to (-1, 1)."),
    (tensor("float64", -1, 2), tensor("object", -1), True, False, "from float64 to object."),
    (
        tensor("bool", name="a"), tensor("bool", name="a") + tensor("bool", name="b"),
        False, True, "The input 'b' was added and is required.",
    ),
    (
        tensor("bool", name="a") + tensor("bool", name="b"), tensor("bool", name="a"),
        True, False, "The input 'b' was removed.",
    ),
    (col("double"), col(AnyType(), None), True, False, "were columns with names, now they are any"),
    (col(AnyType(), None), col("double"), False, True, "were anything, now they are columns with"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "as_input", "as_output", "reason"), SPECS)
def test_inputs_may_become_wider_and_outputs_narrower(
    old: Any, new: Any, as_input: bool, as_output: bool, reason: str
) -> None:
    """The same change is judged from the other side where the model answers."""
    levels = {True: "compatible", False: "incompatible"}
    before, after = Schema(old), Schema(new)
    inputs = compare(ModelSignature(before), ModelSignature(after))
    assert inputs.level == levels[as_input]
    assert any(reason in found for found in inputs.reasons)
    outputs = compare(ModelSignature(outputs=before), ModelSignature(outputs=after))
    assert outputs.level == levels[as_output]
    assert all(found.endswith(".") and "input" not in found for found in outputs.reasons)


PERSON = Object([Property("age", "long")])
PARAMS = [
    ([], [ParamSpec("p", "long", 1)], True, "The param 'p' was added and has a default."),
    ([ParamSpec("p", "long", 1)], [], False, "The param 'p' was removed."),
    ([ParamSpec("p", "long", 1)], [ParamSpec("p", "long", 2)], True, "The param 'p' has another d"),
    ([ParamSpec("p", "long", 1)], [ParamSpec("p", "double", 1)], True, "from long to double."),
    ([ParamSpec("p", "double", 1)], [ParamSpec("p", "long", 1)], False, "from double to long: not"),
    ([ParamSpec("p", "string", "a")], [ParamSpec("p", "long", 1)], False, "from string to long"),
    ([ParamSpec("p", "long", 1)], [ParamSpec("p", PERSON, {"age": 1})], False, "from long to {"),
    (
        [ParamSpec("p", PERSON, {"age": 1})],
        [ParamSpec("p", Object([Property("age", "long", False)]), {"age": 1})],
        True, "from {age: long (required)} to {age: long (optional)}.",
    ),
    (
        [ParamSpec("p", "long", 1)], [ParamSpec("p", "long", [1], (-1,))],
        False, "The param 'p' was a scalar, now it is a list.",
    ),
    (
        [ParamSpec("p", "datetime", "2020-01-01")], [ParamSpec("p", "datetime", "2020-01-02")],
        True, "The param 'p' has another default.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "is_compatible", "reason"), PARAMS)
def test_params_may_be_added_and_become_wider(
    old: Any, new: Any, is_compatible: bool, reason: str
) -> None:
    """A client that sends what it sent before is understood as before."""
    columns = Schema([A])
    found = compare(
        ModelSignature(columns, params=ParamSchema(old)),
        ModelSignature(columns, params=ParamSchema(new)),
    )
    assert found.level == ("compatible" if is_compatible else "incompatible")
    assert found.reasons[0].startswith("The param 'p'")
    assert reason in found.reasons[0]


def test_the_order_of_params_does_not_matter() -> None:
    """They go by their names; no params are an empty list of them, and NaN is a value."""
    specs = [ParamSpec("p", "double", float("nan")), ParamSpec("q", "long", 1)]
    other = [ParamSpec("q", "long", 1), ParamSpec("p", "double", float("nan"))]
    columns = Schema([A])
    one, two = (ModelSignature(columns, params=ParamSchema(items)) for items in (specs, other))
    assert compare(one, two) == Compatibility("same")
    none, empty = ModelSignature(columns), ModelSignature(columns, params=ParamSchema([]))
    assert compare(none, empty) == Compatibility("same")


def test_no_signature_accepts_anything_and_promises_nothing() -> None:
    """So a first signature may refuse what was sent before, and to drop it breaks readers."""
    inputs, outputs = ModelSignature(Schema([A])), ModelSignature(outputs=Schema([A]))
    assert compare(None, None) == Compatibility("same")
    assert compare(None, inputs) == Compatibility(
        "incompatible", ("The inputs were anything, now they are columns with names.",)
    )
    assert compare(inputs, None).level == "compatible"
    assert compare(None, outputs).level == "compatible"
    assert compare(outputs, None) == Compatibility(
        "incompatible", ("The outputs were columns with names, now they are anything.",)
    )
    both = ModelSignature(Schema([A]), Schema([A]))
    assert compare(inputs, both).level == "compatible"
    assert compare(both, inputs).level == "incompatible"


def test_what_breaks_clients_comes_first() -> None:
    """All changes are told, each in a sentence with the name of the field."""
    old = ModelSignature(Schema([A]), Schema([B]), ParamSchema([ParamSpec("p", "long", 1)]))
    new = ModelSignature(Schema([A, B_OPTIONAL]), Schema([A, B]))
    assert compare(old, new) == Compatibility(
        "incompatible",
        (
            "The param 'p' was removed.",
            "The input 'b' was added and is optional.",
            "The output 'a' was added.",
        ),
    )


# -- laws ----------------------------------------------------------------------------------

signatures = st.builds(
    ModelSignature, schemas.schemas, st.none() | schemas.schemas, st.none() | schemas.params
)


@given(signatures)
def test_a_signature_is_the_same_as_itself(signature: ModelSignature) -> None:
    """Also when it was written and read; there is no reason then."""
    again = ModelSignature.from_dict(signature.to_dict())
    assert compare(signature, again) == compare(again, signature) == Compatibility("same")


@given(signatures, signatures)
def test_every_level_has_its_reasons(old: ModelSignature, new: ModelSignature) -> None:
    """A change has at least one reason, of one line; `same` has none."""
    found = compare(old, new)
    assert bool(found.reasons) == (found.level != "same")
    assert all(reason.isprintable() and reason.endswith(".") for reason in found.reasons)


small = st.sampled_from(
    [
        *(*DataType, AnyType(), Array("integer"), Array("long"), Array("double")),
        *(Array(AnyType()), Map("float"), Map("double"), Object([X]), Object([X, Y])),
        *(Object([X, Y_OPTIONAL]), Array(Object([X])), Array(Object([X, Y_OPTIONAL]))),
        Object([Property("x", AnyType())]),
    ]
)
columns = st.lists(
    st.builds(ColSpec, small, st.sampled_from("abc"), st.booleans()),
    min_size=1, max_size=3, unique_by=lambda item: item.name,
).map(Schema)  # fmt: skip


def values(kind: Type) -> st.SearchStrategy[Any]:
    """Values that a column of the type takes."""
    if isinstance(kind, DataType):
        return {
            DataType.integer: st.integers(-9, 9).map(np.int32),
            DataType.float: st.floats(width=32).map(np.float32),
            **schemas.VALUES,
        }[kind]
    if isinstance(kind, Array):
        return st.lists(values(kind.dtype), max_size=2).map(lambda items: as_array(items, kind))
    if isinstance(kind, Map):
        return st.dictionaries(st.sampled_from("xy"), values(kind.value_type), max_size=2)
    if isinstance(kind, Object):
        return (
            schemas.values_of(kind)
            if kind != Object([Property("x", AnyType())])
            else (st.fixed_dictionaries({"x": st.none() | st.integers(-9, 9)}))
        )
    return st.none() | st.integers(-9, 9) | st.text(max_size=2)


def as_array(items: list[Any], kind: Array) -> Any:
    """Numbers of 32 bits are in an array: a list does not keep them."""
    narrow = {DataType.integer: "int32", DataType.float: "float32"}
    found = narrow.get(kind.dtype)  # type: ignore[call-overload]
    return items if found is None else np.array(items, dtype=found)


@st.composite
def tables(draw: Any, schema: Schema) -> pd.DataFrame:
    """A table that a schema of named columns takes, some optional columns left out."""
    series = {}
    for spec in schema:
        if spec.required or draw(st.booleans()):
            cells = draw(st.lists(values(spec.type), min_size=2, max_size=2))
            scalar = isinstance(spec.type, DataType)
            dtype = spec.type.to_pandas() if scalar else object
            series[spec.name] = pd.Series(cells, dtype=dtype)
    return pd.DataFrame(series, index=[0, 1])


WIDER: dict[Type, Type] = {
    DataType.integer: DataType.double,
    DataType.float: DataType.double,
    Array("integer"): Array("long"),
    Map("float"): Map("double"),
    Object([X]): Object([X, Y_OPTIONAL]),
    Object([X, Y]): Object([X, Y_OPTIONAL]),
}


@st.composite
def successors(draw: Any, old: Schema) -> Schema:
    """The columns of a next version: some dropped, some wider or optional, one new, reordered."""
    kept = draw(st.lists(st.sampled_from(old.inputs), min_size=1, unique_by=lambda spec: spec.name))
    specs = [
        ColSpec(
            draw(st.sampled_from([spec.type, WIDER.get(spec.type, AnyType())]) | small),
            spec.name,
            spec.required and draw(st.booleans()),
        )
        for spec in kept
    ]
    return Schema(
        [*specs, ColSpec(draw(small), "new", draw(st.sampled_from([False, False, True])))]
    )


@given(st.data(), columns)
def test_what_the_old_version_took_a_compatible_one_takes(data: st.DataObject, old: Schema) -> None:
    """A table that fits the old inputs fits the new ones, unless the change is incompatible."""
    new, table = data.draw(successors(old)), data.draw(tables(old))
    enforce_inputs(table, old)
    try:
        enforce_inputs(table, new)
        fits = True
    except SchemaError:
        fits = False
    level = compare(ModelSignature(old), ModelSignature(new)).level
    event(f"{level}, {'fits' if fits else 'is refused'}")
    assert fits or level == "incompatible"


@given(small, small)
def test_outputs_are_inputs_seen_from_the_other_side(one: Type, two: Type) -> None:
    """What widens an input narrows an output; only unknown fields are no burden to a reader."""
    there = compare(ModelSignature(Schema(col(one))), ModelSignature(Schema(col(two))))
    back = compare(
        ModelSignature(outputs=Schema(col(two))), ModelSignature(outputs=Schema(col(one)))
    )
    if "is not known" in "".join(there.reasons):
        return
    assert there.level == back.level
