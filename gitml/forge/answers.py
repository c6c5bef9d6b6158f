"""Reading answers of forges, which may hold anything: what is asked for is there, of its type."""

from __future__ import annotations

from typing import Any, TypeVar
from urllib.parse import urlsplit

from gitml.errors import ForgeError, shown

T = TypeVar("T")

_LONGEST_URL = 2000


def text(answer: Any, *path: str) -> str:
    """The text at a path of keys; ForgeError when there is none."""
    return _typed(answer, path, str, "text")


def number(answer: Any, *path: str) -> int:
    """The whole number at a path of keys, which is above 0; ForgeError when there is none."""
    found = _typed(answer, path, int, "number")
    if isinstance(found, bool) or not 0 < found < 1 << 63:
        raise _wrong(path, "number")
    return found


def maybe_text(answer: Any, *path: str) -> str:
    """The text at a path of keys, empty when there is none."""
    found = _at(answer, path)
    return found if isinstance(found, str) else ""


def page_url(answer: Any, key: str, default: str) -> str:
    """The URL of a page in an answer; `default` for what is no plain one."""
    url = maybe_text(answer, key)
    plain = url.isascii() and url.isprintable() and not set(url) & set(" <>\"'`\\()")
    try:
        is_page = urlsplit(url).scheme in ("http", "https") and len(url) <= _LONGEST_URL
    except ValueError:
        return default
    return url if plain and is_page else default


def _at(answer: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer


def _typed(answer: Any, path: tuple[str, ...], kind: type[T], name: str) -> T:
    found = _at(answer, path)
    if not isinstance(found, kind):
        raise _wrong(path, name)
    return found


def _wrong(path: tuple[str, ...], name: str) -> ForgeError:
    return ForgeError(f"the forge's answer has no {name} at {shown('.'.join(path))}")
