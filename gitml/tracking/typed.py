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
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()


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
    if type(value) is int and -_LIMIT <= value < _LIMIT:
        return value
    raise TypeError(f"{shown(value)} is no whole number of 64 bits")


def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise TypeError(f"{shown(value)} is neither true nor false")
    return value


def mapping(value: Any) -> dict[str, Any]:
    """A mapping of anything."""
    return dict(_checked(value))


def each(decode: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    """A mapping whose values `decode` takes."""
    return lambda value: {text(key): decode(item) for key, item in _checked(value).items()}


def _checked(value: Any) -> Mapping[str, Any]:
    if type(value) is dict or isinstance(value, Mapping):  # the first is the faster one
        return value
    raise TypeError(f"{shown(value)} is no mapping")


def anything(value: Any) -> Any:
    """The value as it is."""
    return value
