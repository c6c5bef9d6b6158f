"""Values of GitHub's expressions: what they are as text, number and truth, and when they are equal.

A value is None, a bool, a float, a str, a list or a dict; a dict's keys are found in any case.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

Value = Any

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def from_json(document: Any) -> Value:
    """A document as expressions see it: every number is a float."""
    if isinstance(document, bool) or document is None or isinstance(document, str):
        return document
    if isinstance(document, int | float):
        return float(document)
    if isinstance(document, list):
        return [from_json(item) for item in document]
    return {key: from_json(value) for key, value in document.items()}


def to_json(value: Value, indent: int | None = None) -> str:
    """A value as JSON; whole numbers are written as such."""
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False)


def _plain(value: Value) -> Any:
    if isinstance(value, float):
        return None if not math.isfinite(value) else int(value) if value.is_integer() else value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def is_plain(value: Value) -> bool:
    """Whether it is no list and no dict."""
    return not isinstance(value, list | dict)


def text(value: Value) -> str:
    """What stands where a value is put into a text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _digits(value)
    if isinstance(value, str):
        return value
    return "Array" if isinstance(value, list) else "Object"


def _digits(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(float(f"{value:.15f}"))


def number(value: Value) -> float:
    """What a value is where a number is compared with it."""
    if value is None:
        return 0.0
    if isinstance(value, bool | float):
        return float(value)
    if not isinstance(value, str):
        return math.nan
    told = value.strip()
    if not told:
        return 0.0
    if re.fullmatch(r"0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+", told):
        return float(int(told, 0))
    if told in ("Infinity", "+Infinity", "-Infinity"):
        return float(told.replace("Infinity", "inf"))
    return float(told) if _NUMBER.fullmatch(told) else math.nan


def truth(value: Value) -> bool:
    """Whether it counts as true; a list and a dict do, also empty."""
    if isinstance(value, float):
        return not (value == 0 or math.isnan(value))
    return bool(value) if is_plain(value) else True


def upper(told: str) -> str:
    """A text for a comparison in any case; the dotless i keeps its own."""
    dotless = "\N{LATIN SMALL LETTER DOTLESS I}"
    return dotless.join(part.upper() for part in told.split(dotless))


def equal(left: Value, right: Value) -> bool:
    """Whether `left == right`; a list equals itself only."""
    left, right = _same_kind(left, right)
    if type(left) is not type(right):
        return False
    if isinstance(left, str):
        return upper(left) == upper(right)
    return left == right if is_plain(left) else left is right


def less(left: Value, right: Value) -> bool:
    """Whether `left < right`; what can't be compared is never less."""
    left, right = _same_kind(left, right)
    if type(left) is not type(right) or left is None or not is_plain(left):
        return False
    if isinstance(left, str):
        left, right = upper(left), upper(right)
    return bool(left < right)


def _same_kind(left: Value, right: Value) -> tuple[Value, Value]:
    if type(left) is type(right):
        return left, right
    if is_plain(left) and is_plain(right):
        return number(left), number(right)
    if left is None or isinstance(left, bool):
        left = number(left)
    if right is None or isinstance(right, bool):
        right = number(right)
    return left, right


def entry(value: Value, key: Value) -> Value:
    """`value[key]`; None for what is not there."""
    if isinstance(value, dict) and is_plain(key):
        return next((it for name, it in value.items() if name.lower() == text(key).lower()), None)
    if isinstance(value, list):
        at = number(key)
        if math.isfinite(at) and 0 <= at < len(value):
            return value[math.floor(at)]
    return None
