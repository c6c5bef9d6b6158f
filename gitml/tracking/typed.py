"""The parts of a document, taken only if they are of the type that they should be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gitml.errors import shown

# What comes of a document whose parts are not of the types that they should be.
MALFORMED = (
    ArithmeticError, AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError,
)  # fmt: skip


def text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise TypeError(f"{shown(value)} is no text")
    return value


def text_or_none(value: Any) -> str | None:
    """A text, or none."""
    return None if value is None else text(value)


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(map(text, value))


def whole(value: Any) -> int:
    """A whole number."""
    if not isinstance(value, int):
        raise TypeError(f"{shown(value)} is no whole number")
    return value


def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise TypeError(f"{shown(value)} is neither true nor false")
    return value


def each(decode: Callable[[Any], Any]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """A mapping whose values `decode` takes."""
    return lambda value: {key: decode(item) for key, item in value.items()}
