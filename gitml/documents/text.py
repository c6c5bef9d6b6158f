"""The text of a file that people and git edit."""

from __future__ import annotations

import re

from gitml.errors import FormatError

_CONFLICT = re.compile(r"^(?:<{7}|>{7})(?: .*)?\r?$", re.MULTILINE)


def decoded(data: bytes, where: str) -> str:
    """The text of a file in UTF-8, with or without its mark. Raises FormatError."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]:
        raise FormatError(f"{where} looks like UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FormatError(f"{where}: line {line}: not UTF-8; save the file as UTF-8") from None


def refuse_conflict(text: str, where: str) -> None:
    """Refuse a file in which git left both sides of a merge."""
    if found := _CONFLICT.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise FormatError(f"{where}: line {line}: unresolved merge; edit the file, then git add it")
