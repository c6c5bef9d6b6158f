"""The digest of a model: one line of text that stands for all its files and their names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from gitml.errors import FormatError, shown
from gitml.files import hash_file
from gitml.tracking.walk import files_under

_SHA256 = re.compile(r"[0-9a-f]{64}")


def digest(files: Iterable[tuple[str, str, int]]) -> str:
    """The digest of files, each its path with `/`, its sha256 in hex and its size in bytes.

    It is `sha256:` and the hex digest of a list that has a line `<sha256> <size> <path>` for each
    file, ended by a newline, in the order of the UTF-8 bytes of the paths. Raises `FormatError` for
    what the list can't hold without doubt: a path that stands twice, or has a line break.
    """
    lines: dict[bytes, bytes] = {}
    for path, sha256, size in files:
        name = _name(path)
        if name in lines:
            raise FormatError(f"the model has the file {shown(path)} twice")
        if not _SHA256.fullmatch(sha256) or size < 0:
            raise FormatError(f"the file {shown(path)} has no sha256 or no size")
        lines[name] = b"%s %d %s\n" % (sha256.encode(), size, name)
    content = b"".join(lines[name] for name in sorted(lines))
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def digest_of_folder(folder: Path) -> str:
    """The digest of the files under `folder`, whose content is read.

    A link to a file in the folder counts as a file, as it does when the folder is logged. Raises
    `UsageError` for a link that leads elsewhere and for what is no regular file.
    """
    return digest(_hashed(path, name) for path, name in files_under(folder))


def _hashed(path: Path, name: str) -> tuple[str, str, int]:
    found = hash_file(path)
    return name, found.sha256, found.size


def _name(path: str) -> bytes:
    if not path or "\n" in path or "\r" in path or "\0" in path:
        raise FormatError(f"the model has a file of the impossible name {shown(path)}")
    try:
        return path.encode()
    except UnicodeEncodeError:
        raise FormatError(f"the model has the file {shown(path)}, which is not Unicode") from None
