"""Types, columns, tensors and params: values with MLflow's names and MLflow's JSON."""

from __future__ import annotations

import copy
import datetime as dt
import inspect
import json
import math
import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from gitml import types as public
from gitml.documents import load_yaml
from gitml.errors import FormatError, UsageError
from gitml.models.schema import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from gitml.models.signature import ModelSignature, infer_signature
from gitml.models.types import AnyType, Array, DataType, Map, Object, Property, merge
from gitml.types import schema as public_schema
from tests import schemas
from tests.test_imports import loaded
from tests.test_layers import HEAVY

CORPUS = Path(__file__).with_name("hostile") / "signatures.yaml"
READERS: dict[str, Any] = {
    "schema": Schema.from_json,
    "params": ParamSchema.from_json,
    "signature": lambda text: ModelSignature.from_dict(load_yaml(text.encode(), "MLmodel")),
}

# What MLflow 3.17.2 writes.
SCHEMAS = [
    (
        Schema([ColSpec("double", "a"), ColSpec(DataType.string, "é", False)]),
        '[{"type": "double", "name": "a", "required": true},'
        ' {"type": "string", "name": "\\u00e9", "required": false}]',
    ),
    (Schema([ColSpec("long")]), '[{"type": "long", "required": true}]'),
    (Schema([ColSpec("long", 0)]), '[{"type": "long", "name": 0, "required": true}]'),
    (
        Schema([ColSpec("long", ("a", "b"))]),
        '[{"type": "long", "name": ["a", "b"], "required": true}]',
    ),
    (
        Schema([ColSpec(Array(Array("boolean")), "a")]),
        '[{"type": "array", "items": {"type": "array", "items": {"type": "boolean"}},'
        ' "name": "a", "required": true}]',
    ),
    (
        Schema([ColSpec(Object([Property("b", "long"), Property("a", AnyType(), False)]), "o")]),
        '[{"type": "object", "properties": {"a": {"type": "any", "required": false},'
        ' "b": {"type": "long", "required": true}}, "name": "o", "required": true}]',
    ),
    (
        Schema([ColSpec(Map(Array("datetime")), "m", False)]),
        '[{"type": "map", "values": {"type": "array", "items": {"type": "datetime"}},'
        ' "name": "m", "required": false}]',
    ),
    (
        Schema([TensorSpec(np.dtype("float32"), (-1, 3))]),
        '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}]',
    ),
    (
        Schema([TensorSpec(np.dtype("str"), [-1], "t"), TensorSpec(np.dtype("bool"), (), "u")]),
        '[{"name": "t", "type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}},'
        ' {"name": "u", "type": "tensor", "tensor-spec": {"dtype": "bool", "shape": []}}]',
    ),
]
PARAMS = [
    (ParamSchema([]), "[]"),
    (
        ParamSchema([ParamSpec("a", "double", 1), ParamSpec("b", "string", None)]),
        '[{"name": "a", "default": 1.0, "shape": null, "type": "double"},'
        ' {"name": "b", "default": null, "shape": null, "type": "string"}]',
    ),
    (
        ParamSchema([ParamSpec("a", DataType.long, np.array([1, 2]), (-1,))]),
        '[{"name": "a", "default": [1, 2], "shape": [-1], "type": "long"}]',
    ),
    (
        ParamSchema([ParamSpec("a", "datetime", dt.datetime(2020, 1, 2, 3))]),
        '[{"name": "a", "default": "2020-01-02T03:00:00", "shape": null, "type": "datetime"}]',
    ),
    (
        ParamSchema([ParamSpec("a", "datetime", [dt.date(2020, 1, 2)], [-1])]),
        '[{"name": "a", "default": ["2020-01-02"], "shape": [-1], "type": "datetime"}]',
    ),
    (
        ParamSchema([ParamSpec("a", Object([Property("x", "long")]), {"x": 1})]),
        '[{"name": "a", "default": {"x": 1}, "shape": null, "type": "object",'
        ' "properties": {"x": {"type": "long", "required": true}}}]',
    ),
]
OLD = [
    ('[{"type": "long", "name": "a"}]', Schema([ColSpec("long", "a")])),
    ('[{"type": "long", "name": "a", "optional": true}]', Schema([ColSpec("long", "a", False)])),
    ('[{"type": "any", "name": "a", "required": null}]', Schema([ColSpec(AnyType(), "a")])),
    ('[{"type": "array", "items": {"type": "long"}}]', Schema([ColSpec(Array("long"))])),
    (
        '[{"type": "sparkml_vector", "name": "v", "required": true}]',
        Schema([ColSpec(Array("double"), "v")]),
    ),
    (
        '[{"type": "object", "properties": {"v": {"type": "sparkml_vector"}}, "name": "o"}]',
        Schema([ColSpec(Object([Property("v", Array("double"))]), "o")]),
    ),
    (
        '[{"type": "tensor", "tensor-spec": {"dtype": "<f4", "shape": [-1]}}]',
        Schema([TensorSpec("float32", (-1,))]),
    ),
]


@pytest.mark.parametrize(("schema", "text"), SCHEMAS)
def test_a_schema_is_written_and_read_as_in_mlflow(schema: Schema, text: str) -> None:
    """The JSON is MLflow's, byte for byte, and reading it gives the schema again."""
    assert schema.to_json() == text
    assert json.loads(json.dumps(schema.to_dict())) == json.loads(text)
    assert Schema.from_json(text) == schema


@pytest.mark.parametrize(("params", "text"), PARAMS)
def test_params_are_written_and_read_as_in_mlflow(params: ParamSchema, text: str) -> None:
    """The JSON is MLflow's, byte for byte, and reading it gives the params again."""
    assert params.to_json() == text
    assert ParamSchema.from_json(text) == params


@given(schemas.schemas)
def test_a_schema_survives_json(schema: Schema) -> None:
    """Whatever its types and names are, a schema is read as it was written."""
    again = Schema.from_json(schema.to_json())
    assert again == schema
    assert again.to_json() == schema.to_json()
    assert hash(again) == hash(schema)


@given(schemas.params)
def test_params_survive_json(params: ParamSchema) -> None:
    """Whatever their types and defaults are, params are read as they were written."""
    again = ParamSchema.from_json(params.to_json())
    assert again == params
    assert again.to_json() == params.to_json()
    assert hash(again) == hash(params)


def test_a_default_that_is_no_number_is_kept() -> None:
    """NaN is a default like another; the text is what Python's JSON has for it."""
    text = '[{"name": "a", "default": NaN, "shape": null, "type": "double"}]'
    params = ParamSchema.from_json(text)
    assert math.isnan(params.params[0].default)
    assert params.to_json() == text


@pytest.mark.parametrize(("text", "schema"), OLD)
def test_what_older_versions_wrote_is_read(text: str, schema: Schema) -> None:
    """A column is required when nothing is said; Spark's vectors are lists of numbers."""
    assert Schema.from_json(text) == schema


def test_params_of_older_versions_are_read() -> None:
    """The type of a param was called `dtype`, and a scalar had no shape."""
    text = '[{"name": "a", "dtype": "long", "default": 1}]'
    assert ParamSchema.from_json(text) == ParamSchema([ParamSpec("a", "long", 1)])


def cases() -> list[Any]:
    """The corpus as parameters, a case for each."""
    listed = load_yaml(CORPUS.read_bytes(), CORPUS.name)
    return [pytest.param(case, id=case["name"]) for case in listed]


@pytest.mark.parametrize("case", cases())
def test_a_damaged_document_is_refused_in_one_line(case: dict[str, Any]) -> None:
    """A FormatError says where in the document something is wrong, and what."""
    parts = case.get("parts", [case.get("text")])
    text = "".join(part if isinstance(part, str) else part[0] * part[1] for part in parts)
    with pytest.raises(FormatError) as refused:
        READERS[case["as"]](text)
    message = str(refused.value)
    assert message.isprintable()
    assert len(message) < 400
    if case["error"].endswith("..."):
        assert message.startswith(case["error"].removesuffix("..."))
    else:
        assert message == case["error"]


def test_the_place_is_named_as_the_caller_calls_it() -> None:
    """A reader of a file passes its name on."""
    with pytest.raises(FormatError, match=r"^model/MLmodel: inputs: item 0: 'type' must be text"):
        Schema.from_json("[{}]", "model/MLmodel: inputs")


def parameters(function: Any) -> str:
    """The parameters of a function as MLflow's are listed."""
    found = inspect.signature(function).parameters.values()
    known = [item for item in found if item.kind is not inspect.Parameter.KEYWORD_ONLY]
    return ", ".join(
        item.name if item.default is item.empty else f"{item.name}={item.default!r}"
        for item in known
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Array, "dtype"),
        (Map, "value_type"),
        (Object, "properties"),
        (AnyType, ""),
        (Property, "name, dtype, required=True"),
        (ColSpec, "type, name=None, required=True"),
        (TensorSpec, "type, shape, name=None"),
        (Schema, "inputs"),
        (ParamSpec, "name, dtype, default, shape=None"),
        (ParamSchema, "params"),
        (ModelSignature, "inputs=None, outputs=None, params=None"),
        (infer_signature, "model_input=None, model_output=None, params=None"),
    ],
)
def test_constructors_have_the_parameters_of_mlflow(kind: Any, expected: str) -> None:
    """The names, their order and the defaults are those that a script was written for."""
    assert parameters(kind) == expected


def test_scalar_types_have_the_dtypes_of_mlflow() -> None:
    """Each type says what it is in numpy, in pandas and in Python."""
    assert {kind.name: kind.value for kind in DataType} == {
        "boolean": 1, "integer": 2, "long": 3, "float": 4, "double": 5, "string": 6, "binary": 7,
        "datetime": 8,
    }  # fmt: skip
    assert [str(kind.to_numpy()) for kind in DataType] == [
        "bool", "int32", "int64", "float32", "float64", "<U0", "|S0", "datetime64[ns]",
    ]  # fmt: skip
    assert [kind.to_python() for kind in DataType] == [
        bool, int, int, float, float, str, bytes, dt.date,
    ]  # fmt: skip
    assert [kind for kind in DataType if kind.to_pandas() is object] == [
        DataType.string, DataType.binary,
    ]  # fmt: skip
    assert DataType.from_numpy_type(np.dtype("int32")) is DataType.integer
    assert DataType.from_numpy_type(np.dtype("int8")) is None
    assert DataType.all_types() == list(DataType)
    assert repr(DataType.double) == "double"


def test_a_schema_tells_names_and_types() -> None:
    """The methods are MLflow's; a column without a name has its number."""
    named = Schema([ColSpec("long", "a"), ColSpec("string", "", False), ColSpec("binary", 0)])
    assert named.input_names() == ["a", "", 0]
    assert named.required_input_names() == ["a", 0]
    assert named.optional_input_names() == [""]
    assert named.has_input_names()
    assert not named.is_tensor_spec()
    assert named.input_types() == [DataType.long, DataType.string, DataType.binary]
    assert named.input_types_dict()["a"] is DataType.long
    assert named.input_dict()[""] == named.inputs[1]
    assert named.numpy_types() == [np.dtype("int64"), np.dtype("str"), np.dtype("bytes")]
    assert named.pandas_types() == [np.dtype("int64"), object, object]
    assert len(named) == len(list(named)) == 3
    assert repr(named) == "['a': long (required), '': string (optional), 0: binary (required)]"

    unnamed = Schema([ColSpec("long"), ColSpec(Array("long"))])
    assert unnamed.input_names() == [0, 1]
    for method in (unnamed.input_dict, unnamed.numpy_types, unnamed.pandas_types):
        with pytest.raises(UsageError):
            method()


def test_a_tensor_has_the_dtype_of_numpy() -> None:
    """The spec holds a name, and makes the dtype of it when it is asked."""
    spec = TensorSpec(np.dtype(">f4"), [-1, 28], "pixels")
    assert (spec.dtype, spec.type, spec.shape) == ("float32", np.dtype("float32"), (-1, 28))
    assert spec.required
    assert repr(spec) == "'pixels': Tensor('float32', (-1, 28))"
    schema = Schema([spec])
    assert schema.is_tensor_spec()
    assert schema.numpy_types() == [np.dtype("float32")]
    with pytest.raises(UsageError, match="tensors have no pandas types"):
        schema.pandas_types()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ColSpec("lnog"), "unknown type 'lnog'; did you mean 'long'?"),
        (lambda: ColSpec(int), "a type must be a DataType"),
        (lambda: Array(None), "a type must be a DataType"),
        (lambda: Map(3), "a type must be a DataType"),
        (lambda: Property(1, "long"), "the name of a property must be text, not 1"),
        (lambda: Object([]), "at least one Property"),
        (lambda: Object({"a": "long"}), "at least one Property"),
        (lambda: Object(["a"]), "Property values, not 'a'"),
        (lambda: Object([Property("a", "long")] * 2), "the property 'a' stands twice"),
        (lambda: Schema([]), "at least one ColSpec"),
        (lambda: Schema(ColSpec("long")), "at least one ColSpec"),
        (lambda: Schema(["long"]), "ColSpec or TensorSpec values, not 'long'"),
        (lambda: Schema([ColSpec("long")] * 10_001), "at most 10000 are possible, use an array"),
        (lambda: Schema([TensorSpec("bool", ())] * 2), "several tensors need names"),
        (lambda: TensorSpec("str5", (-1,)), "text and bytes have no length here"),
        (lambda: TensorSpec(np.dtype([("a", "i4")]), (-1,)), "a tensor can't have the dtype"),
        (lambda: TensorSpec("datetime64[eons]", ()), "a tensor can't have the dtype"),
        (lambda: TensorSpec("float96", ()).type, "numpy has no float96 on this machine"),
        (lambda: TensorSpec("bool", 3), "the shape of a tensor must be a tuple, not 3"),
        (lambda: TensorSpec("bool", (-2,)), "whole numbers from -1 on, not -2"),
        (lambda: TensorSpec("bool", (True,)), "whole numbers from -1 on, not True"),
        (lambda: ParamSpec("a", "binary", b""), "a scalar or an Object, not binary"),
        (lambda: ParamSpec("a", Array("long"), []), "a scalar or an Object, not Array"),
        (lambda: ParamSpec("a", "long", [1], (2,)), "must be None or (-1,)"),
        (lambda: ParamSpec("a", "long", "1"), "param 'a': expected long, got str"),
        (lambda: ParamSchema([1]), "ParamSpec values"),
        (lambda: ParamSchema([ParamSpec("a", "long", 1)] * 2), "the param 'a' stands twice"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, message: str) -> None:
    """A value is checked when it is made, and the error says what to write."""
    with pytest.raises(UsageError) as refused:
        make()
    assert message in str(refused.value)


def test_what_json_does_not_have_is_not_written() -> None:
    """A name or default that JSON can't hold is refused when it is written."""
    with pytest.raises(UsageError, match="a name in the schema can't be written as JSON"):
        Schema([ColSpec("long", dt.date(2020, 1, 1))]).to_json()
    moment = ParamSpec("a", Object([Property("x", "datetime")]), {"x": dt.datetime(2020, 1, 1)})
    with pytest.raises(UsageError, match="a default of the params can't be written as JSON"):
        ParamSchema([moment]).to_json()


@given(schemas.schemas)
def test_values_are_frozen_and_travel(schema: Schema) -> None:
    """A schema can be a key, be copied and sent to another process, and never changes."""
    assert pickle.loads(pickle.dumps(schema)) == schema
    assert copy.deepcopy(schema) == schema
    assert {schema: 1}[Schema(list(schema))] == 1
    with pytest.raises(FrozenInstanceError):
        schema.inputs[0].name = "other"


@given(schemas.types, schemas.types)
def test_merging_types_does_not_depend_on_the_order(one: Any, two: Any) -> None:
    """Two types have one common type, or none, whichever comes first."""
    try:
        merged = merge(one, two)
    except UsageError:
        with pytest.raises(UsageError):
            merge(two, one)
        return
    assert merge(two, one) == merged
    assert merge(merged, one) == merged
    assert merge(one, one) == one


def test_merged_objects_have_the_fields_of_both() -> None:
    """A field that one of them lacks, or has not always, is optional."""
    one = Object([Property("a", "long"), Property("b", AnyType(), False), Property("c", "long")])
    two = Object([Property("a", "long"), Property("b", "string"), Property("d", "double")])
    assert merge(Array(one), Array(two)) == Array(
        Object(
            [
                Property("a", "long"),
                Property("b", "string", False),
                Property("c", "long", False),
                Property("d", "double", False),
            ]
        )
    )


def test_the_types_are_where_mlflow_has_them() -> None:
    """A script's imports from `mlflow.types` work with gitml's name."""
    assert public.ColSpec is public_schema.ColSpec is ColSpec
    for module in (public, public_schema):
        assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_reading_a_signature_loads_no_heavy_library() -> None:
    """The signature of a model can be shown where numpy is not installed."""
    texts = {"inputs": SCHEMAS[0][1], "outputs": SCHEMAS[7][1], "params": PARAMS[1][1]}
    statement = (
        "from gitml.types import Schema, ColSpec\n"
        "from gitml.models import ModelSignature\n"
        f"ModelSignature.from_dict({texts!r}).to_dict()"
    )
    assert loaded(statement) & (HEAVY | {"scipy"}) == set()
