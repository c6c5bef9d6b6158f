"""Files of a stranger's folder: what is in it, and nothing outside it."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gitml.errors import FormatError, shown
from gitml.files import disk, shown_path

MAX_LEVELS = 200  # of folders in folders, which are gone into one by one

_READ = os.O_RDONLY
for _flag in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"):
    _READ |= getattr(os, _flag, 0)

_NOT_RELATIVE = re.compile(r"[/\\]|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*:/")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading.

    A symbolic link, a folder, a pipe or a device is a `FormatError`; it is never waited for.
    """
    with disk(f"read {shown_path(path)}"):
        check_regular(path.lstat(), shown_path(path))
        with os.fdopen(os.open(path, _READ), "rb") as file:
            check_regular(os.fstat(file.fileno()), shown_path(path))
            yield file


def check_regular(status: os.stat_result, what: str) -> None:
    """Refuse whatever is no regular file: `what` is a link, a folder, a pipe or a device."""
    if not stat.S_ISREG(status.st_mode):
        raise FormatError(f"{what} is {kind_of(status)}; a model has regular files only")


def kind_of(status: os.stat_result) -> str:
    """What is no regular file, in words."""
    if stat.S_ISLNK(status.st_mode):
        return "a symbolic link"
    return "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, a socket or a device"


def inside(folder: Path, name: object, what: str) -> Path:
    """The file or folder that a stranger's text names in `folder`, whether it is there or not.

    `what` names the text in a `FormatError`: it must be a relative path with `/` that stays inside,
    goes through no symbolic link, and ends at no pipe or device.
    """
    if not isinstance(name, str):
        raise FormatError(f"{what} must be a path as text, not {shown(name)}")
    parts = name.split("/")
    if _NOT_RELATIVE.match(name) or "\\" in name or "\0" in name or ".." in parts:
        raise FormatError(f"{what}: {shown(name)} must be a path inside the model's folder")
    path = folder
    for part in parts:
        path = path / part
        status = _status(path, f"{what}: {shown(name)}")
        if status is None:
            break
        if not stat.S_ISDIR(status.st_mode):
            check_regular(status, f"{what}: {shown(name)}")
    return folder / name


def _status(path: Path, what: str) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(
            error
        )  # without the path, which may be long
        raise FormatError(f"{what} is no path here: {reason}") from None


def files_of(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file in a folder and its path there, sorted; links to others of them are left out.

    A link that leads elsewhere, a pipe, a socket or a device is a `FormatError`.
    """
    with disk(f"read {shown_path(folder)}"):
        yield from _files(folder, folder.resolve(), "")


def links_of(folder: Path) -> Iterator[tuple[Path, str]]:
    """What every link in a folder leads to, and the link's path there; no link is gone into."""
    with disk(f"read {shown_path(folder)}"):
        for place, folders, names in os.walk(folder):
            for name in (*folders, *names):
                link = Path(place, name)
                if link.is_symlink():
                    yield link.resolve(), link.relative_to(folder).as_posix()


def check_levels(name: str) -> None:
    """Refuse a path in a model that is in too many folders; no honest one is."""
    if name.count("/") > MAX_LEVELS:
        raise FormatError(f"{shown(name)} is more than {MAX_LEVELS} folders deep")


def _files(folder: Path, top: Path, prefix: str) -> Iterator[tuple[Path, str]]:
    check_levels(prefix)
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path, name = Path(entry.path), prefix + entry.name
        if entry.is_symlink():
            _check_link(path, top, name)
        elif entry.is_dir(follow_symlinks=False):
            yield from _files(path, top, f"{name}/")
        else:
            check_regular(entry.stat(follow_symlinks=False), shown(name))
            yield path, name


def _check_link(link: Path, top: Path, name: str) -> None:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        raise FormatError(f"{shown(name)} is a link that leads nowhere; remove it") from None
    if not target.is_relative_to(top):
        raise FormatError(f"{shown(name)} is a link that leads out of the model's folder")
