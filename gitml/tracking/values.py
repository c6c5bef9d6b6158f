"""Values that a run may hold: params, metrics, tags, steps and times.

Every `check_*` function returns the value as it is stored or raises `UsageError` with the field
and the rule. Nothing is cut short or rounded without a word: what can't be kept is refused.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable
from typing import Any, TypeVar

from gitml.errors import UsageError, shown
from gitml.tracking.record import STATUSES, Json

Value = TypeVar("Value")

MAX_TEXT = 100_000  # characters of a param or a tag: what is longer is a file
MAX_TIME = 253_402_300_799_999  # milliseconds: the end of the year 9999

_BITS = 63  # JSON readers and SQLite turn larger integers into floats, or refuse them
_MAX_DEPTH = 50


def check_param_value(key: str, value: object) -> Json:
    """A param as it is stored: JSON where it is JSON, else `str(value)` as in MLflow.

    Numpy scalars become Python's numbers. NaN, the infinities, integers of more than 64 bits and
    dictionaries whose keys are not sorted become text, which holds them exactly. More than
    `MAX_TEXT` characters are refused.
    """
    kept: Any = _item(value) if getattr(value, "shape", None) == () else value
    if isinstance(kept, float) and kept is not value:
        kept = _as_written(kept, value)
    if not _is_json(kept):
        kept = _as_text("param", key, value)
    _check_length("param", key, len(_as_text("param", key, kept)))
    return kept  # type: ignore[no-any-return]


def is_same(one: Json, other: Json) -> bool:
    """Whether two values of a param are one: the same as text, or the same number or truth.

    Two texts are compared as texts only.
    """
    texts = str(one), str(other)
    if texts[0] == texts[1]:
        return True
    if isinstance(one, bool) or isinstance(other, bool):
        return texts[0].lower() == texts[1].lower()
    if all(isinstance(value, str) for value in (one, other)):
        return False
    try:
        return float(texts[0]) == float(texts[1])
    except ValueError:
        return False


def check_tag_value(key: str, value: object) -> str:
    """A tag's value as it is stored: `str(value)`, at most `MAX_TEXT` characters."""
    text = _as_text("tag", key, value)
    _check_length("tag", key, len(text))
    return text


def check_metric_value(key: str, value: object) -> float:
    """A metric's value: any real number that a float holds, NaN and the infinities too.

    Accepts numbers, booleans, arrays or tensors of one element and, as MLflow does, a number as
    text. An integer that a float can't hold exactly is refused, as is one beyond its range.
    """
    if type(value) is float:
        return value
    number: Any = _item(value)
    if isinstance(number, str):
        number = _number_of(number)
    if not hasattr(number, "__float__"):
        raise UsageError(f"metric {shown(key)} must be a number, not {kind_of(value)}")
    try:
        result = float(number)
    except OverflowError:
        result = math.inf
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(f"metric {shown(key)} must be one number, not {kind_of(value)}") from None
    if (isinstance(number, int) or math.isinf(result)) and result != number:
        raise UsageError(
            f"metric {shown(key)}: no float holds this {kind_of(value)} exactly; scale it, "
            "or log it as a param"
        )
    return result


def check_step(step: object) -> int:
    """A step: an integer of 64 bits; a float such as 3.0 counts as one."""
    number = step if type(step) is int else _integer(_item(step))
    if number is None:
        raise UsageError(f"step must be an integer, not {_sample(step)}")
    if not _fits(number):
        raise UsageError("step must be an integer of 64 bits: at least -2^63, less than 2^63")
    return number


def check_timestamp(ms: object) -> int:
    """A time in milliseconds since the epoch, to the year 9999; a fraction is cut off."""
    number = ms if type(ms) is int else _item(ms)
    if isinstance(number, float) and math.isfinite(number):
        number = math.floor(number)
    whole = _integer(number)
    if whole is None:
        raise UsageError(f"timestamp must be a number of milliseconds, not {_sample(ms)}")
    if not 0 <= whole <= MAX_TIME:
        raise UsageError("timestamp must be milliseconds since 1970 (UTC), to the year 9999")
    return whole


def check_status(status: str) -> str:
    """A run's status, one of `STATUSES`."""
    if status not in STATUSES:
        raise UsageError(f"status {shown(status)} is not one; use one of {', '.join(STATUSES)}")
    return status


def kind_of(value: object) -> str:
    """The type of `value` as a message names it, with the shape of an array."""
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    shape = getattr(value, "shape", ())
    return f"{name} of shape {tuple(shape)}" if shape else name


def _item(value: Any) -> Any:
    """The Python value inside a numpy scalar or a one-element array or tensor, else `value`."""
    if not hasattr(value, "item"):
        return value
    if getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M"):
        return str(value)  # a time's item can be a bare integer of nanoseconds
    try:
        return value.item()
    except (TypeError, ValueError, RuntimeError):  # more than one element
        return value


def _as_written(number: float, value: Any) -> float:
    """The number that numpy writes for a float of fewer bits: 0.1, not 0.10000000149011612."""
    written = _number_of(str(value))
    return number if isinstance(written, str) else written


def _number_of(text: str) -> float | str:
    """The number that a text says; the text itself when it says none that a float holds."""
    try:
        number = float(text)
    except ValueError:
        return text
    return text if math.isinf(number) and "inf" not in text.lower() else number


def _integer(number: Any) -> int | None:
    if isinstance(number, float):
        return int(number) if number.is_integer() else None
    try:
        return operator.index(number)
    except TypeError:
        return None


def _is_json(value: Any, depth: int = 0) -> bool:
    """Whether `value` is JSON through and through, so that reading it back gives it exactly.

    The keys of a record are sorted, so a dictionary in another order would come back as another
    text.
    """
    kind = type(value)
    if kind is str:
        return _is_text(value)
    if kind is float:
        return math.isfinite(value)
    if kind is int:
        return _fits(value)
    if kind is list:
        return depth < _MAX_DEPTH and all(_is_json(item, depth + 1) for item in value)
    if kind is dict:
        return (
            depth < _MAX_DEPTH
            and all(
                type(key) is str and _is_text(key) and _is_json(item, depth + 1)
                for key, item in value.items()
            )
            and list(value) == sorted(value)
        )
    return value is None or kind is bool


def _fits(number: int) -> bool:
    return -(1 << _BITS) <= number < 1 << _BITS


def unambiguous(field: str, pairs: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    """Checked values by their checked keys; `field` is what one is called.

    UsageError when a key comes twice with different values, as two keys may that differ in their
    Unicode form alone.
    """
    found: dict[str, Value] = {}
    for key, value in pairs:
        if str(found.setdefault(key, value)) != str(value):
            raise UsageError(f"{field} {shown(key)} is given twice, with different values")
    return found


def _is_text(text: str) -> bool:
    return text.isascii() or _SURROGATE.search(text) is None


_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _as_text(field: str, key: str, value: object) -> str:
    """`str(value)`; lone surrogates, which no UTF-8 file can hold, as visible escapes."""
    try:
        text = str(value)
    except (RecursionError, ValueError) as error:
        raise UsageError(
            f"{field} {shown(key)} can't be written as text: {shown(str(error))}"
        ) from None
    return text if _is_text(text) else text.encode("utf-8", "backslashreplace").decode()


def _check_length(field: str, key: str, length: int) -> None:
    if length > MAX_TEXT:
        raise UsageError(
            f"{field} {shown(key)} has {length} characters, at most {MAX_TEXT} are allowed; "
            "log a longer text as an artifact with log_text"
        )


def _sample(value: object) -> str:
    if isinstance(value, (str, float)):
        return f"{shown(value)} ({kind_of(value)})"
    return kind_of(value)
