"""Whether a document fits its schema, said quickly, for the many that do.

It knows the keywords that the files of the registry need, and says of them what the library says,
whose loading alone costs more than reading twenty files. The library is asked for other schemas,
and for the words where a document does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]

_SAYS_NOTHING = frozenset({"$schema", "$id", "$defs", "title", "description", "default"})
_TYPES: Mapping[str, Check] = {
    "object": lambda it: isinstance(it, dict),
    "array": lambda it: isinstance(it, list),
    "string": lambda it: isinstance(it, str),
    "integer": lambda it: type(it) is int or (type(it) is float and it.is_integer()),
    "number": lambda it: type(it) in (int, float),
    "boolean": lambda it: type(it) is bool,
    "null": lambda it: it is None,
}


class _UnknownError(Exception):
    """A schema has a keyword, or a form of one, that is not known here."""


def check_of(schema: Mapping[str, Any]) -> Check | None:
    """The check whether a document fits a schema; None for one with a keyword that is not known."""
    try:
        return _check(schema, schema, {})
    except _UnknownError:
        return None


def _check(schema: Any, root: Mapping[str, Any], made: dict[str, Check]) -> Check:
    if isinstance(schema, bool):
        return lambda _: schema
    told = schema.keys() - _SAYS_NOTHING
    if unknown := told - _OF_OBJECTS - _KEYWORDS.keys():
        raise _UnknownError(", ".join(unknown))
    checks = [_KEYWORDS[it](schema[it], root, made) for it in sorted(told - _OF_OBJECTS)]
    if told & _OF_OBJECTS:
        checks.append(_object(schema, root, made))
    return lambda it: all(check(it) for check in checks)


def _type(names: Any, *_: Any) -> Check:
    kinds = [_TYPES[name] for name in ([names] if isinstance(names, str) else names)]
    return lambda it: any(kind(it) for kind in kinds)


def _const(value: Any, *_: Any) -> Check:
    if isinstance(value, (dict, list)):
        raise _UnknownError("const")
    return lambda it: isinstance(it, bool) == isinstance(value, bool) and bool(it == value)


def _pattern(value: str, *_: Any) -> Check:
    found = re.compile(value).search
    return lambda it: not isinstance(it, str) or found(it) is not None


def _of_length(kind: type[str] | type[list[Any]]) -> Callable[..., Check]:
    return lambda least, *_: lambda it: not isinstance(it, kind) or len(it) >= least


def _items(value: Any, root: Mapping[str, Any], made: dict[str, Check]) -> Check:
    check = _check(value, root, made)
    return lambda it: not isinstance(it, list) or all(map(check, it))


def _one_of(values: Any, root: Mapping[str, Any], made: dict[str, Check]) -> Check:
    checks = [_check(value, root, made) for value in values]
    return lambda it: sum(check(it) for check in checks) == 1


def _ref(value: str, root: Mapping[str, Any], made: dict[str, Check]) -> Check:
    """A definition of the same schema, which may name itself."""
    name = value.removeprefix("#/$defs/")
    if name not in root.get("$defs", {}):
        raise _UnknownError(value)
    if name not in made:
        made[name] = lambda it: made[name](it)  # until it is made
        made[name] = _check(root["$defs"][name], root, made)
    return lambda it: made[name](it)


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], made: dict[str, Check]) -> Check:
    named = {key: _check(it, root, made) for key, it in schema.get("properties", {}).items()}
    told = schema.get("patternProperties", {}).items()
    patterns = [(re.compile(key).search, _check(it, root, made)) for key, it in told]
    others = _check(schema.get("additionalProperties", True), root, made)
    required = frozenset(schema.get("required", ()))

    def check(it: Any) -> bool:
        if not isinstance(it, dict):
            return True
        if not required <= it.keys():
            return False
        for key, value in it.items():
            asked = [test for found, test in patterns if found(key)]
            if key in named:
                asked.append(named[key])
            if not all(test(value) for test in asked or (others,)):
                return False
        return True

    return check


_OF_OBJECTS = frozenset({"properties", "patternProperties", "additionalProperties", "required"})
_KEYWORDS: Mapping[str, Callable[..., Check]] = {
    "$ref": _ref,
    "const": _const,
    "items": _items,
    "minItems": _of_length(list),
    "minLength": _of_length(str),
    "oneOf": _one_of,
    "pattern": _pattern,
    "type": _type,
}
