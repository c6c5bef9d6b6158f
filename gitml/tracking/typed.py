"""The parts of a document, taken only if they are of the type that they should be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gitml.errors import shown

# What comes of a document whose parts are not of the types that they should be.
MALFORMED = (
    ArithmeticError, AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError,
)  # fmt: skip


_LIMIT = 1 << 63


def text(value: Any) -> str:
    """A text; half a surrogate pair in it, which UTF-8 can't hold, becomes its escape."""
    if not isinstance(value, str):
        raise TypeError(f"{shown(value)} is no text")
    if not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def plain(value: Any) -> Any:
    """Any value of JSON; a text as `text` has it."""
    return text(value) if isinstance(value, str) else value


def text_or_none(value: Any) -> str | None:
    """A text, or none."""
    return None if value is None else text(value)


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list | tuple):
        raise TypeError(f"{shown(value)} is no list")
    return tuple(map(text, value))


def whole(value: Any) -> int:
    """A whole number of 64 bits."""
    if not isinstance(value, int) or isinstance(value, bool) or not -_LIMIT <= value < _LIMIT:
        raise TypeError(f"{shown(value)} is no whole number of 64 bits")
    return value


def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise TypeError(f"{shown(value)} is neither true nor false")
    return value


def mapping(value: Any) -> dict[str, Any]:
    """A mapping of anything."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{shown(value)} is no mapping")
    return dict(value)


def each(decode: Callable[[Any], Any]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """A mapping whose values `decode` takes."""
    return lambda value: {text(key): decode(item) for key, item in mapping(value).items()}
