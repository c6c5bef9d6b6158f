"""Models that nobody else can change: the bytes that are judged are those that are loaded."""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gitml.errors import FormatError
from gitml.files import copy_opened, disk, shown_path
from gitml.models.contained import check_levels, files_of, opened

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def private(folder: Path) -> Path:
    """The folder itself if only this user can change it, else a copy that goes with the process.

    A copy shares no file with the folder (a hard link would). Raises `FormatError` for a link out
    of the folder, a pipe or a device in it, and `StorageError` when the disk refuses.
    """
    with disk(f"read {shown_path(folder)}"):
        if is_private(folder):
            return folder
    copy = Path(tempfile.mkdtemp(prefix="gitml-model-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    _copy(folder, copy)
    return copy


def is_private(folder: Path) -> bool:
    """Whether only this user and root can write a file there, or put another folder in its place.

    False where the system doesn't tell.
    """
    if not hasattr(os, "getuid"):
        return False
    owners = (0, os.getuid())
    above = (parent.stat() for parent in folder.absolute().parents)
    # In a sticky folder, such as that for temporary files, others can't replace what is ours.
    return all(_is_ours(status, owners, sticky=True) for status in above) and all(
        _is_ours(status, owners) for status in _statuses(folder)
    )


def _statuses(folder: Path) -> Iterator[os.stat_result]:
    """Of the folder and all that is in it, but links: who may write there may replace them."""
    yield folder.stat()
    for place, folders, names in os.walk(folder):
        check_levels(Path(place).relative_to(folder).as_posix())
        for name in (*folders, *names):
            status = os.lstat(os.path.join(place, name))
            if not stat.S_ISLNK(status.st_mode):
                yield status


def _is_ours(status: os.stat_result, owners: tuple[int, ...], *, sticky: bool = False) -> bool:
    kept = sticky and bool(status.st_mode & stat.S_ISVTX)
    return status.st_uid in owners and (kept or not status.st_mode & _OTHERS)


def _copy(folder: Path, target: Path) -> None:
    for path, name in files_of(folder):
        with opened(path) as source, disk(f"copy {shown_path(path)}"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            copy_opened(source, target / name)
    with disk(f"copy {shown_path(folder)}"):
        for link in folder.rglob("*"):
            if link.is_symlink():
                _link(link, folder, target / link.relative_to(folder))


def _link(link: Path, folder: Path, place: Path) -> None:
    """Make the link again, whose end is in the folder, as one inside of the copy."""
    end = link.resolve()
    if not end.is_relative_to(folder.resolve()):  # since it was looked at
        raise FormatError(f"{shown_path(link)} is a link that leads out of the model's folder")
    end = end.relative_to(folder.resolve())
    above = [".."] * len(link.relative_to(folder).parts[1:])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(Path(*above, end))
