"""GitHub's patterns of branches, tags and paths, as far as they are known here."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.actions.errors import UnsupportedError


def matches(patterns: Iterable[str], name: str) -> bool:
    """Whether one of the patterns is that of a name."""
    return any(_compiled(pattern).fullmatch(name) for pattern in patterns)


def _compiled(pattern: str) -> re.Pattern[str]:
    """`*` stands for what has no slash, `**` for anything; all else that is special is refused."""
    if pattern.startswith("!") or re.search(r"[+?\[\]\\]", pattern) or "***" in pattern:
        raise UnsupportedError(f"the pattern {pattern!r}")
    parts = re.split(r"(\*\*/?|\*)", pattern)
    known = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*"}
    return re.compile("".join(known.get(part, re.escape(part)) for part in parts))
