"""The functions of GitHub's expressions that need nothing but their arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from tests.actions.errors import InvalidError
from tests.actions.values import Value, equal, from_json, is_plain, text, to_json, upper

Function = Callable[..., Value]


def _contains(where: Value, what: Value) -> bool:
    if isinstance(where, list):
        return any(equal(what, item) for item in where)
    return is_plain(where) and is_plain(what) and text(what).lower() in text(where).lower()


def _starts_with(where: Value, what: Value) -> bool:
    told = is_plain(where) and is_plain(what)
    return told and upper(text(where)).startswith(upper(text(what)))


def _ends_with(where: Value, what: Value) -> bool:
    told = is_plain(where) and is_plain(what)
    return told and upper(text(where)).endswith(upper(text(what)))


def _format(form: Value, *values: Value) -> str:
    def put(found: re.Match[str]) -> str:
        if found[0] in ("{{", "}}"):
            return found[0][0]
        if found[1] is None:
            raise InvalidError(f"format: {text(form)!r} is not valid")
        if int(found[1]) >= len(values):
            raise InvalidError(f"format: {text(form)!r} names more values than there are")
        return text(values[int(found[1])])

    return re.sub(r"\{\{|\}\}|\{(\d+)\}|[{}]", put, text(form))


def _join(items: Value, separator: Value = ",") -> str:
    if is_plain(items):
        return text(items)
    between = text(separator) if is_plain(separator) else ","
    return between.join(map(text, items)) if isinstance(items, list) else ""


def _from_json(told: Value) -> Value:
    try:
        return from_json(json.loads(text(told)))
    except ValueError as error:
        raise InvalidError(f"fromJson: {text(told)!r} is no JSON") from error


# By the name in small letters: the function, and how many arguments it takes.
FUNCTIONS: Mapping[str, tuple[Function, int, int]] = {
    "contains": (_contains, 2, 2),
    "startswith": (_starts_with, 2, 2),
    "endswith": (_ends_with, 2, 2),
    "format": (_format, 1, 255),
    "join": (_join, 1, 2),
    "tojson": (lambda value: to_json(value, 2), 1, 1),
    "fromjson": (_from_json, 1, 1),
}
