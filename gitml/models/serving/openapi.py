"""The OpenAPI description of a served model, made of its signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitml.models.mlmodel import Model
from gitml.models.pyfunc import PyFuncModel
from gitml.models.schema import Schema, TensorSpec
from gitml.models.serving import sample
from gitml.models.serving.payload import CSV, JSON, PARQUET
from gitml.models.serving.tables import RECORDS, SPLIT
from gitml.models.serving.tensors import INPUTS, INSTANCES
from gitml.models.types import Array, DataType, Map, Object

Json = dict[str, Any]

_SCALARS: Mapping[DataType, Json] = {
    DataType.boolean: {"type": "boolean"},
    DataType.integer: {"type": "integer", "format": "int32"},
    DataType.long: {"type": "integer", "format": "int64"},
    DataType.float: {"type": "number", "format": "float"},
    DataType.double: {"type": "number", "format": "double"},
    DataType.string: {"type": "string"},
    DataType.binary: {"type": "string", "contentEncoding": "base64"},
    DataType.datetime: {"type": "string", "format": "date-time"},
}
_REFUSALS = {
    400: "The request is wrong, or the model failed; the message names what.",
    408: "The body came too slowly.",
    413: "The body, or its number of rows, is too large.",
    415: "The body's type is none of those that are taken.",
    503: "Too many requests wait; Retry-After says when to send it again.",
    504: "The prediction took too long.",
}


def document(model: PyFuncModel, name: str, version: str) -> Json:
    """The OpenAPI 3.1 document, as values for JSON."""
    found: Json = sample.plain(_document(model, name, version))
    return found


def _document(model: PyFuncModel, name: str, version: str) -> Json:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": name,
            "version": version,
            "description": "Predictions of a model, by the protocol of MLflow's scoring server.",
        },
        "paths": {
            "/invocations": {"post": _invocations(model)},
            "/ping": _get("The server is there and its model is loaded.", JSON),
            "/health": _get("The same as /ping.", JSON),
            "/ready": _get("The model has predicted for its own example.", JSON),
            "/version": _get("What is served.", JSON, "text/plain"),
            "/metrics": _get("Counts and durations, for Prometheus.", "text/plain"),
        },
        "components": {"schemas": _schemas(model.metadata)},
    }


def _get(what: str, *types: str) -> Json:
    content: Json = {kind: {} for kind in types}
    return {
        "get": {"summary": what, "responses": {"200": {"description": what, "content": content}}}
    }


def _invocations(model: PyFuncModel) -> Json:
    body = {"schema": {"$ref": "#/components/schemas/Request"}, "example": sample.request(model)}
    error = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    done = {JSON: {"schema": {"$ref": "#/components/schemas/Answer"}}}
    return {
        "operationId": "predict",
        "summary": "Predictions for some rows.",
        "requestBody": {
            "required": True,
            "content": {JSON: body, CSV: {"schema": {"type": "string"}}, PARQUET: {}},
        },
        "responses": {
            "200": {"description": "The predictions.", "content": done},
            **{
                str(status): {"description": why, "content": error}
                for status, why in _REFUSALS.items()
            },
        },
    }


def _schemas(model: Model) -> Json:
    inputs, params = model.get_input_schema(), model.get_params_schema()
    common: Json = {}
    if params:
        common["params"] = {"$ref": "#/components/schemas/Params"}
    schemas: Json = {
        "Request": {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {key: form, **common},
                    "required": [key],
                }
                for key, form in _forms(inputs).items()
            ]
        },
        "Answer": {
            "type": "object",
            "properties": {"predictions": _data(model.get_output_schema())},
            "required": ["predictions"],
        },
        "Error": {
            "type": "object",
            "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
            "required": ["error_code", "message"],
        },
    }
    if params:
        schemas["Params"] = {
            "type": "object",
            "properties": {item.name: _param(item.to_dict(), item) for item in params},
        }
    if inputs is not None and not inputs.is_tensor_spec():
        schemas["Row"] = _row(inputs)
    return schemas


def _param(document: Json, spec: Any) -> Json:
    kind = type_schema(spec.dtype)
    if spec.shape is not None:
        kind = {"type": "array", "items": kind}
    return {**kind, "default": document["default"]}


def _forms(inputs: Schema | None) -> Json:
    """The keys under which the data may come, and how it looks there."""
    anything: Json = {"type": "array"}
    if inputs is not None and inputs.is_tensor_spec():
        return {INPUTS: _tensors(inputs), INSTANCES: anything}
    records = anything if inputs is None else {**anything, "items": {"$ref": _ROW}}
    split: Json = {"type": "array", "items": {"type": "array"}}
    names: Json = {"type": "array"}
    if inputs is not None and inputs.has_input_names():
        names["items"] = {"type": "string"}
        names["examples"] = [inputs.input_names()]
    columns = {"columns": names, "index": {"type": "array"}, "data": split}
    return {
        SPLIT: {"type": "object", "properties": columns, "required": ["data"]},
        RECORDS: records,
        INSTANCES: anything,
        INPUTS: {},
    }


_ROW = "#/components/schemas/Row"


def _row(schema: Schema) -> Json:
    """A row of a table: by the names of its columns, or their numbers."""
    specs: list[Any] = list(schema.inputs)
    if not schema.has_input_names():
        return {"type": "array", "prefixItems": [type_schema(item.type) for item in specs]}
    return {
        "type": "object",
        "properties": {
            str(item.name): type_schema(item.type, optional=not item.required) for item in specs
        },
        "required": [str(item.name) for item in specs if item.required],
    }


def _data(schema: Schema | None) -> Json:
    if schema is None:
        return {}
    if schema.is_tensor_spec():
        return _tensors(schema)
    if not schema.has_input_names():
        return {"type": "array"}
    return {"type": "array", "items": _row(schema)}


def _tensors(schema: Schema) -> Json:
    arrays: dict[Any, Json] = {item.name: _tensor(item) for item in schema.inputs}
    if not schema.has_input_names():
        return arrays[None]
    names = [str(name) for name in arrays]
    return {
        "type": "object",
        "properties": dict(zip(names, arrays.values(), strict=True)),
        "required": names,
    }


def _tensor(spec: Any) -> Json:
    found: Json = _number(spec)
    for size in reversed(spec.shape):
        found = {"type": "array", "items": found}
        if size != -1:
            found |= {"minItems": size, "maxItems": size}
    return found


def _number(spec: TensorSpec) -> Json:
    if spec.dtype.startswith(("int", "uint")):
        return {"type": "integer"}
    if spec.dtype.startswith("float"):
        return {"type": "number"}
    if spec.dtype == "bool":
        return {"type": "boolean"}
    return {"type": "string"} if spec.dtype in ("str", "bytes") else {}


def type_schema(kind: Any, *, optional: bool = False) -> Json:
    """The JSON Schema of a column's type."""
    if isinstance(kind, DataType):
        found = dict(_SCALARS[kind])
    elif isinstance(kind, Array):
        found = {"type": "array", "items": type_schema(kind.dtype)}
    elif isinstance(kind, Map):
        found = {"type": "object", "additionalProperties": type_schema(kind.value_type)}
    elif isinstance(kind, Object):
        found = {
            "type": "object",
            "properties": {item.name: type_schema(item.dtype) for item in kind.properties},
            "required": [item.name for item in kind.properties if item.required],
        }
    else:
        return {}
    return {**found, "type": [found["type"], "null"]} if optional else found
