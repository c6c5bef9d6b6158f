"""Signatures: made of data or of type hints, written and read as in MLmodel."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Optional, TypeVar, Union  # noqa: UP035

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gitml.models
from gitml.errors import UsageError
from gitml.models.schema import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from gitml.models.signature import ModelSignature, infer_signature, signature_from_hints
from gitml.models.types import AnyType
from tests import schemas

if TYPE_CHECKING:
    from somewhere import Unknown

COLUMNS = Schema([ColSpec("double", "a"), ColSpec("string", "b", False)])
ANYTHING = Schema([ColSpec(AnyType())])
T = TypeVar("T")
maybe_schemas = st.none() | schemas.schemas


@given(maybe_schemas, maybe_schemas, st.none() | schemas.params)
def test_a_signature_survives_its_dictionary(inputs: Any, outputs: Any, params: Any) -> None:
    """What MLmodel holds is read as the signature that was written."""
    if inputs is None and outputs is None and not params:
        return
    signature = ModelSignature(inputs, outputs, params)
    again = ModelSignature.from_dict(signature.to_dict())
    assert again == ModelSignature(inputs, outputs, params or None)
    assert again.to_dict() == signature.to_dict()


def test_a_signature_is_written_as_in_mlflow() -> None:
    """Each part is JSON text, or None where there is none; the text form is MLflow's."""
    params = ParamSchema([ParamSpec("p", "long", 1)])
    signature = ModelSignature(COLUMNS, Schema([TensorSpec("float32", (-1,))]), params)
    assert signature.to_dict() == {
        "inputs": '[{"type": "double", "name": "a", "required": true},'
        ' {"type": "string", "name": "b", "required": false}]',
        "outputs": '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1]}}]',
        "params": '[{"name": "p", "default": 1, "shape": null, "type": "long"}]',
    }
    assert repr(signature) == (
        "inputs: \n  ['a': double (required), 'b': string (optional)]\n"
        "outputs: \n  [Tensor('float32', (-1,))]\n"
        "params: \n  ['p': long (default: 1)]\n"
    )
    assert ModelSignature(outputs=COLUMNS).to_dict()["inputs"] is None


def test_a_signature_is_a_value() -> None:
    """Signatures can be compared and be keys; where they come from makes no difference."""
    assert ModelSignature(COLUMNS) == ModelSignature(inputs=COLUMNS, from_hints=True)
    assert len({ModelSignature(COLUMNS), ModelSignature(COLUMNS), ModelSignature(ANYTHING)}) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "a signature needs inputs, outputs or params"),
        (([ColSpec("long")],), "inputs must be a Schema or a dataclass, not list"),
        ((None, "long"), "outputs must be a Schema or a dataclass, not str"),
        ((COLUMNS, None, {"p": 1}), "params must be a ParamSchema, not dict"),
    ],
)
def test_what_is_no_signature_is_refused(arguments: Any, message: str) -> None:
    """The parts are checked when the signature is made."""
    with pytest.raises(UsageError, match=message):
        ModelSignature(*arguments)


def test_a_signature_is_inferred_of_examples() -> None:
    """Inputs, outputs and params each have the schema of their example."""
    signature = infer_signature(pd.DataFrame({"a": [1.5]}), np.array([1]), {"p": 0.5})
    assert signature.inputs == Schema([ColSpec("double", "a")])
    assert signature.outputs == Schema([TensorSpec("int64", (-1,))])
    assert signature.params == ParamSchema([ParamSpec("p", "double", 0.5)])
    assert not signature.from_hints
    assert infer_signature(["a"]) == ModelSignature(Schema([ColSpec("string")]))
    assert infer_signature(["a"], params={}).params is None


def test_whole_numbers_give_a_hint_in_inputs_only() -> None:
    """Whole numbers that a model returns can't be missing."""
    with pytest.warns(UserWarning, match="^'a': whole numbers") as seen:
        infer_signature(pd.DataFrame({"a": [1]}))
    assert seen[0].filename == __file__
    assert infer_signature(model_output=pd.DataFrame({"a": [1]})).outputs is not None


def test_an_example_without_a_schema_counts_as_anything() -> None:
    """A warning says why the values will not be checked; wrong params are refused."""
    with pytest.warns(UserWarning, match="inputs count as anything.*double and string") as seen:
        signature = infer_signature([1.5, "a"])
    assert signature.inputs == ANYTHING
    assert seen[0].filename == __file__
    with pytest.raises(UsageError, match="param 'p'"):
        infer_signature(["a"], params={"p": object()})


def test_pydantic_objects_tell_no_schema() -> None:
    """They are refused with advice, not taken as anything."""
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Model", a=(int, ...))
    with pytest.raises(UsageError, match="type hint such as"):
        infer_signature([model(a=1)])
    with pytest.raises(UsageError, match=r"column 'x'.*type hint such as"):
        infer_signature([{"x": model(a=1)}])


def test_the_names_are_where_mlflow_has_them() -> None:
    """`from gitml.models import infer_signature` works, and nothing else is there."""
    assert gitml.models.infer_signature is infer_signature
    assert gitml.models.ModelSignature is ModelSignature
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gitml.models.nothing  # noqa: B018


# -- type hints ----------------------------------------------------------------------------

HINTS = [
    (list[str], "string"),
    (list[int], "long"),
    (list[float], "double"),
    (list[bool], "boolean"),
    (list[bytes], "binary"),
    (list[dt.datetime], "datetime"),
    (list[Any], "Any"),
    (list[list[str]], "Array(string)"),
    (list[dict[str, float]], "Map(str -> double)"),
    (List[Dict[str, List[int]]], "Map(str -> Array(long))"),  # noqa: UP006
    (list[dict[str, Any]], "Map(str -> Any)"),
    (list[list[Optional[int]]], "Array(long)"),  # noqa: UP045
    (list[dict[str, int | None]], "Map(str -> long)"),
    (list[Union[int, str]], "Any"),  # noqa: UP007
    (list[dict[str, int | str | None]], "Map(str -> Any)"),
    ("list[str]", "string"),
    ("List[Dict[str, str]]", "Map(str -> string)"),
]
NO_HINTS = [
    pd.DataFrame, pd.Series, np.ndarray, str, int, dict[str, int], list, dict, Any, None, T,
    list[dict], list[dict[int, str]], list[pd.DataFrame], list[np.ndarray], list[set[int]],
    list[tuple[int, int]], list[dt.date], list[complex], list[np.int64],
    list[str] | None, list[str | None], "list[Unknown]", "list[", list[T],
]  # fmt: skip


def predictor(hint: Any, result: Any = None) -> Callable[..., Any]:
    """A function with these hints."""

    def predict(model_input, params=None):  # type: ignore[no-untyped-def]
        return model_input

    predict.__annotations__ = {"model_input": hint, "params": "Unknown"}
    if result is not None:
        predict.__annotations__["return"] = result
    return predict


@pytest.mark.parametrize(("hint", "expected"), HINTS)
def test_a_list_as_hint_declares_the_input(hint: Any, expected: str) -> None:
    """The items of the list are the rows of a column without a name."""
    signature = signature_from_hints(predictor(hint, hint))
    assert signature is not None
    assert repr(signature.inputs) == repr(signature.outputs) == f"[{expected} (required)]"
    assert signature.from_hints
    assert signature.params is None


@pytest.mark.parametrize("hint", NO_HINTS)
def test_other_hints_declare_nothing(hint: Any) -> None:
    """A table or an array may have any columns, and what no schema describes is left alone."""
    assert signature_from_hints(predictor(hint)) is None


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (None, "Any"),
        (list[str], "string"),
        (str, "string"),
        (dict[str, int], "Map(str -> long)"),
        (pd.DataFrame, "Any"),
        (list, "Any"),
        (int | None, "Any"),
        ("Unknown", "Any"),
    ],
)
def test_a_result_without_a_known_hint_is_anything(result: Any, expected: str) -> None:
    """The result need not be a list."""
    signature = signature_from_hints(predictor(list[int], result))
    assert signature is not None
    assert repr(signature.outputs) == f"[{expected} (required)]"


def test_the_input_comes_after_self_and_context() -> None:
    """The parameter is found in functions, methods, classes' functions and callable objects."""

    class Model:
        def predict(self, context: Any, model_input: list[str], params: Any = None) -> list[int]:
            return []

        def plain(self, rows: list[str], params: dict[str, int] | None = None) -> list[int]:
            return []

        def __call__(self, rows: list[str]) -> list[int]:
            return []

    def with_context(ctx: Unknown, rows: list[str]) -> list[int]:
        return []

    model = Model()
    for function in (Model.predict, model.predict, Model.plain, model.plain, model, with_context):
        signature = signature_from_hints(function)
        assert signature is not None, function
        assert repr(signature.inputs) == "[string (required)]"
        assert repr(signature.outputs) == "[long (required)]"
    assert signature_from_hints(lambda rows: rows) is None
    assert signature_from_hints(lambda: 1) is None
    assert signature_from_hints(len) is None


def test_models_of_pydantic_declare_their_fields() -> None:
    """A model's fields are those of an Object; one that may be None must have a default."""
    pydantic = pytest.importorskip("pydantic")
    inner = pydantic.create_model("Inner", a=(int, ...), b=(str | None, None))
    outer = pydantic.create_model("Outer", items=(list[inner], ...), more=(dict[str, float], ...))
    signature = signature_from_hints(predictor(list[outer]))
    assert repr(signature and signature.inputs) == (
        "[{items: Array({a: long (required), b: string (optional)}) (required),"
        " more: Map(str -> double) (required)} (required)]"
    )
    for hint in (
        pydantic.create_model("Demanding", a=(int | None, ...)),
        pydantic.create_model("Empty"),
        pydantic.create_model(
            "Other", a=(np.ndarray, None), __config__={"arbitrary_types_allowed": True}
        ),
    ):
        assert signature_from_hints(predictor(list[hint])) is None


class Endless:
    """Looks like a model of pydantic, with itself as a field."""


Endless.model_fields = {"again": type("Info", (), {"annotation": Endless})}  # type: ignore[attr-defined]


def test_a_model_that_contains_itself_declares_nothing() -> None:
    """A type without an end has no schema."""
    assert signature_from_hints(predictor(list[Endless])) is None


# -- dataclasses ---------------------------------------------------------------------------


@dataclass
class Message:
    """A message of a chat."""

    role: str
    sent: dt.date | None = None


@dataclass
class Chat:
    """A chat."""

    messages: list[Message]
    last: Message
    tags: Optional[list[str]]  # noqa: UP045
    temperature: float = 0.5
    count: int = 1


@dataclass
class Again:
    """A class that contains itself."""

    inner: list[Again]


@dataclass
class Foreign:
    """A class with a field whose type is there for type checkers only."""

    inner: Unknown


@dataclass
class Odd:
    """A class with a field that no schema describes."""

    size: int | str


def test_a_dataclass_stands_for_its_fields() -> None:
    """Each field is a column; numbers with fractions have 32 bits here, as in MLflow."""
    message = "{role: string (required), sent: datetime (optional)}"
    expected = (
        f"['messages': Array({message}) (required), 'last': {message} (required),"
        " 'tags': Array(string) (optional), 'temperature': float (required),"
        " 'count': long (required)]"
    )
    assert repr(ModelSignature(Chat).inputs) == expected
    chat = Chat([], Message("user"), None)
    assert repr(infer_signature(chat, Message).inputs) == expected
    assert repr(infer_signature(chat, Message).outputs) == "['role': string (required)," + (
        " 'sent': datetime (optional)]"
    )


def test_a_dataclass_that_no_schema_describes_is_refused() -> None:
    """The error names the field; as an example it counts as anything."""
    with pytest.raises(UsageError, match=r"the field 'Odd\.size' has a type that no schema"):
        ModelSignature(Odd)
    with pytest.raises(UsageError, match="the types of Foreign are not known: name 'Unknown'"):
        ModelSignature(Foreign)
    with pytest.raises(UsageError, match="Again contains itself"):
        ModelSignature(Again)
    with pytest.warns(UserWarning, match="outputs count as anything"):
        assert infer_signature(["a"], Odd(1)).outputs == ANYTHING
