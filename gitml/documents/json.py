"""JSON: a strict reader, and a writer whose output reads well in a diff."""

from __future__ import annotations

import json
import math
import re
from json.encoder import encode_basestring
from typing import Any, NoReturn

from gitml.documents.text import decoded, refuse_conflict
from gitml.errors import FormatError, shown

_COMPACT = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(", ", ": ")
)
_TO_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19  # from here on a number may not fit into 64 bits
_LONG_INTEGER = re.compile(rb"[^.0]0{19}")  # not digits behind a point, which are a fraction's


def dump_json(value: Any) -> bytes:
    """`value` as UTF-8 JSON that reads well in a diff: keys sorted, a newline at the end.

    The two outer levels take a line for each item, anything deeper stays on its item's line.
    NaN and the infinities raise `ValueError`: JSON has no such numbers.
    """
    # Half a surrogate pair (a file name that is not UTF-8) becomes a JSON escape: read back equal.
    return (_block(value, "", 2) + "\n").encode("utf-8", "backslashreplace")


def _block(value: Any, indent: str, levels: int) -> str:
    if not levels or not value or not isinstance(value, (dict, list, tuple)):
        return _COMPACT.encode(value)
    inner = indent + "  "
    if isinstance(value, dict):
        lines = [
            f"{inner}{encode_basestring(key)}: {_block(value[key], inner, levels - 1)}"
            for key in sorted(value)
        ]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    lines = [inner + _block(item, inner, levels - 1) for item in value]
    return "[\n" + ",\n".join(lines) + f"\n{indent}]"


def check_plain(value: Any) -> None:
    """Raise `ValueError` or `TypeError` for a value that JSON can't hold."""
    _COMPACT.encode(value)


def load_json(data: bytes, where: str) -> Any:
    """The value of the JSON document `data`; `where` names it in errors.

    Whole numbers of any length are exact. NaN and the infinities are refused.
    """
    import orjson

    if not _may_hold_long_integer(data):  # orjson would make them floats
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass  # the standard library takes lone surrogates, and tells errors better
    content = decoded(data, where)
    try:
        return json.loads(content, parse_constant=_not_a_number, parse_float=finite)
    except json.JSONDecodeError as error:
        refuse_conflict(content, where)
        what = f"{error.msg[:1].lower()}{error.msg[1:]}" if content.strip() else "the file is empty"
        raise FormatError(f"{where}: line {error.lineno}: {what}") from None
    except RecursionError:
        raise FormatError(f"{where} is nested too deeply") from None
    except ValueError as error:
        raise FormatError(f"{where}: {error}") from None


def _may_hold_long_integer(data: bytes) -> bool:
    zeros = data.translate(_TO_ZEROS)
    return _LONG_NUMBER in zeros and _LONG_INTEGER.search(b" " + zeros) is not None


def finite(text: str) -> float:
    """The number that a text tells; ValueError when no float can hold it."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {shown(text)} is out of range")
    return number


def _not_a_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON; write it as text")
