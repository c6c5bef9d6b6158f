"""What a file may hold: JSON Schemas, and words for what does not fit one."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from gitml.documents import fits
from gitml.documents.json import load_json
from gitml.errors import FormatError, shown
from gitml.resources import resource

_KINDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}


def validate(document: Any, schema_name: str, where: str) -> None:
    """Refuse a document that does not fit `schemas/<schema_name>.schema.json`."""
    for problem in problems(document, schema_name):
        raise FormatError(f"{where}: {problem}")


def validate_yaml(document: Any, data: bytes, schema_name: str, where: str) -> None:
    """As `validate`, for what `load_yaml` made of `data`; the error tells line and column."""
    if _fits(document, schema_name):
        return
    validator = _validator(schema_name)
    if newer := _newer(document, validator):
        raise FormatError(f"{where} {newer}")
    for fault in validator.iter_errors(document):
        raise FormatError(f"{where}: {_place(fault, data)}{_explained(fault)}")


def _unknown_in(fault: Any) -> list[str]:
    """The key that a fault is about, where that is one too many."""
    if "propertyNames" in fault.absolute_schema_path:
        return [fault.instance]
    if fault.validator != "additionalProperties":
        return []
    return [key for key in fault.instance if key not in fault.schema.get("properties", {})][:1]


def problems(document: Any, schema_name: str, data: bytes | None = None) -> list[str]:
    """What is wrong with `document`: its schema is newer, or else each fault in order.

    With the YAML `data` that it was loaded from, each tells its line and column.
    """
    if _fits(document, schema_name):
        return []
    validator = _validator(schema_name)
    if newer := _newer(document, validator):
        return [newer]
    faults = validator.iter_errors(document)
    return list(dict.fromkeys(_place(fault, data) + _explained(fault) for fault in faults))


def _place(fault: Any, data: bytes | None) -> str:
    """Where a fault is in a YAML file, as the beginning of a message; empty without the file."""
    from gitml.documents.yaml import position

    if data is None:
        return ""
    line, column = position(data, [*fault.absolute_path, *_unknown_in(fault)])
    return f"line {line}, column {column}: "


def _newer(document: Any, validator: Any) -> str:
    """Words for a document of a later gitml's schema; empty for any other."""
    known = validator.schema["properties"].get("schema", {}).get("const")
    number = document.get("schema") if isinstance(document, dict) else None
    if known is not None and type(number) is int and number > known:
        return f"has schema {number}, this gitml reads {known}; upgrade gitml"
    return ""


@functools.cache
def _validator(schema_name: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema_of(schema_name))


def _fits(document: Any, schema_name: str) -> bool:
    """Whether a document fits for sure; where not, the validator is to be asked."""
    check = _quick(schema_name)
    return check is not None and check(document)


@functools.cache
def _quick(schema_name: str) -> fits.Check | None:
    return fits.check_of(schema_of(schema_name))


@functools.cache
def schema_of(schema_name: str) -> Any:
    """A schema as Python understands it."""
    path = resource("schemas", f"{schema_name}.schema.json")
    return _ended(load_json(path.read_bytes(), path.name))


def _ended(schema: Any) -> Any:
    """A schema whose patterns end where the text does: Python's `$` is also before a line's end."""
    if isinstance(schema, list):
        return [_ended(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _ended(value) for key, value in schema.items()}
    if isinstance(pattern := found.get("pattern"), str):
        found["pattern"] = _to_end(pattern)
    if isinstance(named := found.get("patternProperties"), dict):
        found["patternProperties"] = {_to_end(key): value for key, value in named.items()}
    return found


def _to_end(pattern: str) -> str:
    return pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern


def _explained(fault: Any) -> str:
    from jsonschema.exceptions import best_match

    if not fault.schema.get("title"):
        fault = best_match([fault])  # of several alternatives, the one that nearly fits
    place = "/".join(str(part) for part in fault.absolute_path)
    return f"{shown(place)[1:-1]}: {_fault(fault)}" if place else _fault(fault)


def _fault(fault: Any) -> str:
    kind, wanted, value = fault.validator, fault.validator_value, fault.instance
    if kind == "additionalProperties":
        known = list(fault.schema.get("properties", {}))
        return _unknown_keys(value, known, fault.schema.get("patternProperties", {}))
    if kind == "required":
        return f"{shown(next(key for key in wanted if key not in value))} is missing"
    if kind == "type":
        names = [wanted] if isinstance(wanted, str) else wanted
        return f"must be {' or '.join(_KINDS[name] for name in names)}, not {shown_kind(value)}"
    if kind == "enum":
        names = [str(name) for name in wanted]
        return (
            f"must be one of {', '.join(names)}, not {shown_kind(value)}{near_miss(value, names)}"
        )
    if title := fault.schema.get("title"):
        return f"{shown_kind(value)} is not {title}"
    return shown(fault.message)[1:-1]


def _unknown_keys(value: Mapping[str, Any], known: list[str], patterns: Iterable[str]) -> str:
    for key in value:
        if key not in known and not any(re.search(pattern, key) for pattern in patterns):
            return unknown_key(key, known)
    raise AssertionError("every key is known")


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The text that refuses the key of a file: what it may have meant, or what there is."""
    names = sorted(known)
    return f"unknown key {shown(key)}" + (near_miss(key, names) or f"; known: {', '.join(names)}")


def near_miss(word: object, known: Iterable[str]) -> str:
    """`; did you mean 'X'?` for a misspelt word, nothing when no known word is like it."""
    from difflib import get_close_matches

    close = get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {shown(close[0])}?" if close else ""


def shown_kind(value: object) -> str:
    """A value of a document as a message names it: text and numbers as such, else its kind."""
    if isinstance(value, (dict, list)):
        return _KINDS["object" if isinstance(value, dict) else "array"]
    return shown(value) if isinstance(value, str) else json.dumps(value, default=str)[:80]
