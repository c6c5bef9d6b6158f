"""LIKE and ILIKE: `%` stands for any text, `_` for one character, everything else for itself.

In Python for the index too: SQLite's own LIKE ignores the case of ASCII letters only. The search
goes from part to part without going back, so no pattern is slow.
"""

from __future__ import annotations

import re
from functools import lru_cache


def like(pattern: str, text: str) -> bool:
    """Whether `text` is like `pattern`, upper and lower case being different."""
    return _matches(_parts(pattern, re.DOTALL), text)


def ilike(pattern: str, text: str) -> bool:
    """Whether `text` is like `pattern`, upper and lower case being the same."""
    return _matches(_parts(pattern, re.DOTALL | re.IGNORECASE), text)


def _matches(parts: tuple[re.Pattern[str], ...], text: str) -> bool:
    found = parts[0].match(text)
    for part in parts[1:]:
        found = found and part.search(text, found.end())
    return found is not None


@lru_cache(64)
def _parts(pattern: str, flags: int) -> tuple[re.Pattern[str], ...]:
    """What stands between the `%`, as expressions; the last one is tied to the text's end."""
    parts = pattern.split("%")
    ends = [""] * (len(parts) - 1) + [r"\Z"]
    return tuple(
        re.compile(_expression(part) + end, flags) for part, end in zip(parts, ends, strict=True)
    )


def _expression(part: str) -> str:
    return "".join("." if char == "_" else re.escape(char) for char in part)
