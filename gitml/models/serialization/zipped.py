"""The description in a zip archive, read at a bounded cost."""

from __future__ import annotations

import zipfile

from gitml.errors import FormatError, shown

_MAX = 64 << 20


def content(archive: zipfile.ZipFile, name: str) -> bytes:
    """The content of the file `name` in an archive; FormatError when it can't be read."""
    try:
        with archive.open(name) as file:
            data = file.read(_MAX + 1)
    except Exception as error:  # zipfile raises a dozen kinds for what it doesn't understand
        raise FormatError(f"{shown(name)} is damaged ({type(error).__name__})") from None
    if len(data) > _MAX:
        raise FormatError(f"{shown(name)} is too large to look into")
    return data
