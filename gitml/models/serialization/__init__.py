"""How a file is serialized, and whether loading it can run code of whoever wrote it.

Content decides, never the name. Nothing is loaded. No framework is imported for it but skops, which
says itself what it trusts, and only for files that are skops.
"""

from __future__ import annotations

from pathlib import Path

from gitml.models.pickles import scan
from gitml.models.serialization.kind import Serialization, by_pickles
from gitml.models.serialization.recognise import recognised

__all__ = ["Serialization", "serialization_of"]


def serialization_of(path: Path) -> Serialization:
    """What the regular file `path` is.

    A file that can't be told, or only in part, counts as one that executes if anything in it may
    be a pickle. Raises `FormatError` for a file that names others outside its folder, and for what
    is no regular file; `StorageError` when it can't be read.
    """
    found = scan(path)
    return by_pickles(recognised(path, found), found)
