"""Requests for predictions: bytes and a content type become data and params, as in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitml.models.mlmodel import Model
from gitml.models.serving import files
from gitml.models.serving.cast import cast_value
from gitml.models.serving.limits import Limits
from gitml.models.serving.refused import RefusedError
from gitml.models.serving.tables import RECORDS, SPLIT, TableReader, kind_of
from gitml.models.serving.tensors import INPUTS, INSTANCES, ArrayReader
from gitml.models.serving.text import MAX_DEPTH, check_depth, parse

CSV, JSON, PARQUET = "text/csv", "application/json", "application/vnd.apache.parquet"
TYPES = (JSON, CSV, PARQUET)
FORMATS = (SPLIT, RECORDS, INSTANCES, INPUTS)
_LLM = ("messages", "prompt", "input")  # bodies without a format, those of language models


@dataclass(frozen=True, slots=True)
class Payload:
    """What a request asks about. `is_bare` says that the answer is the predictions alone."""

    data: Any
    params: Mapping[str, Any] | None = None
    is_bare: bool = False


def media_type(content_type: str | None) -> str:
    """The type of a body, one of `TYPES`. Raises RefusedError for others, and for parameters."""
    if content_type is None:
        raise RefusedError(f"the request has no Content-Type; send one of {', '.join(TYPES)}")
    name, *parameters = (part.strip() for part in content_type.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() != "charset":
            raise RefusedError("a Content-Type may have the parameter charset only", 415)
        if value.strip('" ').lower() not in ("utf-8", "utf8"):
            raise RefusedError("the charset of a body must be UTF-8", 415)
    if name.lower() not in TYPES:
        raise RefusedError(f"the Content-Type must be one of {', '.join(TYPES)}", 415)
    return name.lower()


class Reader:
    """Reads the requests that one model gets."""

    def __init__(self, model: Model, limits: Limits, *, strict: bool = False) -> None:
        self.limits = limits
        self._schema = model.get_input_schema()
        self._params = {item.name for item in model.get_params_schema() or ()}
        self._is_hinted = model.is_signature_from_type_hint
        self._tables = TableReader(self._schema, limits.rows, strict=strict)
        self._arrays = ArrayReader(self._schema, limits.rows)

    def read(self, body: bytes, media: str) -> Payload:
        """The payload of a body of this type. Raises RefusedError or SchemaError."""
        if media == CSV:
            return Payload(files.read_csv(body, self._schema, self.limits))
        if media == PARQUET:
            return Payload(files.read_parquet(body, self.limits))
        return self._of_json(parse(body, self.limits.values))

    def _of_json(self, document: Any) -> Payload:
        if not isinstance(document, dict):
            raise RefusedError(f"the body must be a JSON dictionary, not {kind_of(document)}")
        if any(key in document for key in _LLM):
            return self._bare(document)
        formats = [name for name in FORMATS if name in document]
        if len(formats) != 1:
            known, given = ", ".join(FORMATS), " and ".join(formats) or "none of them"
            raise RefusedError(f"the body must have exactly one of {known}; it has {given}")
        params = document.get("params")
        check_depth(params)
        if params is not None and not isinstance(params, dict):
            raise RefusedError(f"params must be a dictionary, not {kind_of(params)}")
        return Payload(self._data(formats[0], document[formats[0]]), params)

    def _data(self, name: str, value: Any) -> Any:
        if self._is_hinted:
            if name != INPUTS:
                raise RefusedError(f"the model takes its data under the key {INPUTS}, not {name}")
            check_depth(value)
            return self._texts(value)
        if name == SPLIT:
            return self._tables.split(value)
        if name == RECORDS:
            return self._tables.records(value)
        return self._arrays.instances(value) if name == INSTANCES else self._arrays.inputs(value)

    def _texts(self, value: Any) -> Any:
        """Items for a function with type hints, which takes times and bytes as such."""
        kind = self._schema.input_types()[0] if self._schema else None
        return [cast_value(item, kind) for item in value] if isinstance(value, list) else value

    def _bare(self, document: dict[str, Any]) -> Payload:
        """A body of a language model: what the signature knows as params, and the rest."""
        check_depth(document, MAX_DEPTH)
        params = {key: value for key, value in document.items() if key in self._params}
        data = {key: value for key, value in document.items() if key not in params}
        return Payload(data, params, True)
