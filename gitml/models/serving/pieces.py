"""Large JSON, parsed some rows at a time: one call of the parser lets no other thread run.

The rows of a table are cut where one seems to end. Whether it does needs no look at what came
before: a piece that is a list of its own ends where a row ends, and the next one begins there. When
a piece is none, the cut was in the middle of a row or a text, and the whole is parsed at once.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any

SIZE = 65_536  # bytes of a piece

# The list that has the rows, up to its first one.
_ROWS = re.compile(rb'"(?:data|dataframe_records|instances|inputs)"\s*:\s*\[\s*(?=[\[{])')
_HEAD = 1_000_000  # bytes in which it must begin
_ENDS = {b"[": re.compile(rb"\]\s*(,)\s*\["), b"{": re.compile(rb"\}\s*(,)\s*\{")}

Parse = Callable[[bytes], Any]


def parsed(body: bytes, parse: Parse, size: int = SIZE) -> Any | None:
    """What `parse` makes of a body, in pieces of about `size` bytes; None when it can't be cut.

    `parse` raises ValueError or RecursionError for what is no JSON.
    """
    found = _ROWS.search(body, 0, _HEAD) if len(body) >= 4 * size else None
    if found is None:
        return None
    start, mark = found.end(), secrets.token_hex()
    try:
        rows, rest = _rows(body, start, parse, size)
        document = parse(b'%s"%s"%s' % (body[:start], mark.encode(), body[rest:]))
    except (ValueError, RecursionError):
        return None
    table = _marked(document, mark)
    if table is None:
        return None
    table[:1] = rows
    return document


def _rows(body: bytes, start: int, parse: Parse, size: int) -> tuple[list[Any], int]:
    """The rows up to the last cut, and the place of the comma there."""
    ends, rows = _ENDS[body[start : start + 1]], []
    while (end := ends.search(body, start + size)) is not None:
        rows += parse(b"[%s]" % body[start : end.start(1)])
        start = end.end(1)
    return rows, start - 1 if rows else start


def _marked(document: Any, mark: str) -> list[Any] | None:
    """The list that begins with the mark, where a table may have its rows."""
    values = list(document.values()) if isinstance(document, dict) else []
    values += [it["data"] for it in values if isinstance(it, dict) and "data" in it]
    return next((it for it in values if isinstance(it, list) and it[:1] == [mark]), None)
