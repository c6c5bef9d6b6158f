"""The ids that git gives to files and folders, computed here. Pure.

An id stands for every name and every byte below it: git has stored what it was given if, and
only if, it says the same id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

_SHA1_DIGITS = 40


def blob_id(data: bytes, digits: int) -> str:
    """The id of a file's content in a repository whose ids have so many hex digits."""
    return _id(b"blob", data, digits)


def tree_id(files: Mapping[str, str], digits: int) -> str:
    """The id of a folder of plain files, given as paths with `/` and the ids of their blobs."""
    folders: dict[str, dict[str, str]] = {}
    rows = []
    for path, blob in files.items():
        name, slash, rest = path.partition("/")
        if slash:
            folders.setdefault(name, {})[rest] = blob
        else:
            rows.append((name.encode(), b"100644", blob))
    for name, inside in folders.items():
        rows.append((name.encode() + b"/", b"40000", tree_id(inside, digits)))
    lines = (
        b"%b %b\0%b" % (mode, name.removesuffix(b"/"), bytes.fromhex(id))
        for name, mode, id in sorted(rows)
    )
    return _id(b"tree", b"".join(lines), digits)


def _id(kind: bytes, data: bytes, digits: int) -> str:
    algorithm = "sha1" if digits == _SHA1_DIGITS else "sha256"
    digest = hashlib.new(algorithm, b"%b %d\0" % (kind, len(data)), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()
