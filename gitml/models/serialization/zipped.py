"""The description in a zip archive, read at a bounded cost."""

from __future__ import annotations

import stat
import zipfile
from pathlib import PurePosixPath, PureWindowsPath

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


def strange(archive: zipfile.ZipFile) -> str | None:
    """The first member that a reader could be led out of a folder by; None without one."""
    for member in archive.infolist():
        path, windows = PurePosixPath(member.filename), PureWindowsPath(member.filename)
        if stat.S_ISLNK(member.external_attr >> 16) or windows.drive or windows.root:
            return member.filename
        if ".." in path.parts or ".." in windows.parts:
            return member.filename
    return None
