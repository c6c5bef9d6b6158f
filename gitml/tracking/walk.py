"""The files of a folder that is logged whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gitml.errors import UsageError, shown

_MAX_LEVELS = 200  # of folders in folders


def files_under(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file under `folder`, each with its path relative to it, in order.

    A link to a file inside the folder counts as a file; one that leads out is refused, and so
    is a loop of links.
    """
    if not folder.is_dir():
        raise UsageError(f"{shown(str(folder))} is not a folder")
    yield from _files(folder, folder.resolve(), "")


def _files(folder: Path, top: Path, prefix: str) -> Iterator[tuple[Path, str]]:
    if prefix.count("/") > _MAX_LEVELS:
        raise UsageError(f"{shown(prefix)} is more than {_MAX_LEVELS} folders deep; pack it")
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name = prefix + entry.name
        if entry.is_symlink():
            _check_link(Path(entry.path), top, name)
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), top, name + "/")
        else:
            yield Path(entry.path), name


def _check_link(link: Path, top: Path, name: str) -> None:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        raise UsageError(f"{shown(name)} is a link that leads nowhere; remove it") from None
    if not target.is_relative_to(top) or target.is_dir():
        raise UsageError(
            f"{shown(name)} is a link that leads out of the folder, or to a folder;"
            " log what it points to instead"
        )
