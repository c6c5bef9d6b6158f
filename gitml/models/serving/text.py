"""JSON of a request: parsed quickly, within bounds of size and depth."""

from __future__ import annotations

import contextlib
import gc
import json
import math
import re
from collections.abc import Iterator
from typing import Any

from gitml.models.serving import pieces
from gitml.models.serving.refused import RefusedError

MAX_DEPTH = 64
_TO_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG = b"0" * 19  # from here on a whole number may not fit into 64 bits
_DIGITS = 1000  # more take long to read, and no float can hold them
_TOO_LONG = re.compile(rb"[0-9]{%d}" % (_DIGITS + 1))
_LONG_WHOLE = re.compile(rb"(?<![0-9.])[0-9]{19}")
_CONSTANTS = re.compile(rb"NaN|Infinity")


def parse(body: bytes, max_values: int) -> Any:
    """The value of a JSON body; its depth is not checked yet. Raises RefusedError.

    Whole numbers are exact. NaN and Infinity, which JSON has not, are what Python writes and what
    MLflow reads. Numbers out of range are refused, and so is a body of more than `max_values`
    values, before it is parsed.
    """
    check_count(body, max_values)
    with _uncollected():
        value = pieces.parsed(body, _piece)
        return _whole(body) if value is None else value


def _piece(body: bytes) -> Any:
    """The value of a piece. Raises ValueError or RecursionError, for whatever reason."""
    import orjson

    if not (_has_long_whole(body) or _CONSTANTS.search(body)):
        return orjson.loads(body)
    if _TOO_LONG.search(body):
        raise ValueError("too many digits")
    return _by_json(body)


def _whole(body: bytes) -> Any:
    import orjson

    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not (_is_constant(body, error) or _has_long_whole(body)):
            raise _refusal(body, error) from None
        return _exact(body)
    # orjson makes floats of whole numbers beyond 64 bits
    return _exact(body) if _has_long_whole(body) else value


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Let the garbage collector rest: what is parsed has no cycles.

    It would look at millions of new lists again and again, which takes longer than the parsing.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _has_long_whole(body: bytes) -> bool:
    """Whether there may be a whole number beyond 64 bits; nearly always answered at once."""
    return _LONG in body.translate(_TO_ZEROS) and _has(_LONG_WHOLE, body, len(_LONG))


def _has(pattern: re.Pattern[bytes], body: bytes, width: int) -> bool:
    """Whether the pattern, whose matches have `width` bytes, is in the body.

    One look at all of it would let no other thread run meanwhile.
    """
    size = pieces.SIZE
    starts = range(0, len(body), size)
    return any(pattern.search(body, at, at + size + width) is not None for at in starts)


def check_count(body: bytes, most: int) -> None:
    """Refuse a body that holds so many values that they would fill the memory."""
    if len(body) > most and body.count(b",") + body.count(b"[") + body.count(b"{") > most:
        raise RefusedError(f"the body has more than {most} values; send fewer rows at a time", 413)


def _refusal(body: bytes, error: json.JSONDecodeError) -> RefusedError:
    if not body.strip():
        return RefusedError("the body is empty; /openapi.json says how it looks")
    return RefusedError(f"the body is not JSON: line {error.lineno}, column {error.colno}")


def _is_constant(body: bytes, error: json.JSONDecodeError) -> bool:
    """Whether the parser has met NaN or Infinity."""
    try:
        start = len(error.doc[: error.pos].encode())
    except UnicodeEncodeError:
        start = error.pos
    return _CONSTANTS.match(body, start) is not None


def _exact(body: bytes) -> Any:
    """The value by the standard library, which keeps whole numbers of any size."""
    if _has(_TOO_LONG, body, _DIGITS + 1):
        raise RefusedError(f"the body has a number of more than {_DIGITS} digits")
    try:
        return _by_json(body)
    except json.JSONDecodeError as error:
        raise _refusal(body, error) from None
    except RecursionError:
        raise too_deep() from None
    except UnicodeDecodeError:
        raise RefusedError("the body is not JSON: it is not UTF-8") from None
    except ValueError:
        raise RefusedError("the body has a number that is out of range or too long") from None


def _by_json(body: bytes) -> Any:
    return json.loads(body.decode(), parse_float=_finite)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("out of range")
    return number


def check_depth(value: Any, most: int = MAX_DEPTH - 1) -> None:
    """Refuse a part of a body, or with one level more the whole, that is nested too deeply."""
    level = [value] if isinstance(value, (list, dict)) else []
    for _ in range(most):
        level = [
            item
            for outer in level
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, (list, dict))
        ]
        if not level:
            return
    raise too_deep()


def too_deep() -> RefusedError:
    """The refusal of a body that is nested too deeply."""
    return RefusedError(f"the body is nested more than {MAX_DEPTH} levels deep")
