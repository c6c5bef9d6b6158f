"""Artifacts: the DVC remote of the runs, and what of the cache was damaged."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from gitml import storage
from gitml.errors import FormatError, GitmlError, UsageError
from gitml.files import shown_path
from gitml.tracking.doctor.finding import ERROR, NOTE, WARNING, Finding, within
from gitml.tracking.place import Place

_PATIENCE = 30.0  # seconds, the import of a cloud's library included
_NO_OBJECT = storage.Pointer("0" * 32, 0)


def remote(place: Place) -> Iterator[Finding]:
    """Whether large artifacts have a place to go to, and whether it answers."""
    try:
        found = place.remote()
    except (FormatError, UsageError) as error:
        yield Finding(ERROR, f"the DVC configuration is no use: {error}", "dvc remote list")
        return
    if found is None:
        has_some = next(place.cache.objects(), None) is not None
        yield Finding(
            WARNING if has_some else NOTE,
            "the project has no DVC remote: runs with large artifacts stay in this clone",
            "gitml init --remote DIR_OR_URL",
        )
    elif not found.scheme:
        yield from _folder(Path(found.url))
    else:
        yield from _cloud(place, found)


def _folder(path: Path) -> Iterator[Finding]:
    """Whether artifacts can be written to a folder, made or not yet."""
    nearest = next((folder for folder in (path, *path.parents) if folder.exists()), path)
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        yield Finding(
            WARNING,
            f"the DVC remote {shown_path(path)} can't be written: {shown_path(nearest)} is"
            f" {'not yours to write' if nearest.is_dir() else 'no folder'}",
            shlex.join(["ls", "-ld", str(nearest)]),
        )


def _cloud(place: Place, found: storage.Remote) -> Iterator[Finding]:
    try:
        within(_PATIENCE, lambda: storage.missing(place.cache, found, [_NO_OBJECT]))
    except GitmlError as error:
        said = str(error)
        what = said if str(found) in said else f"the DVC remote {found} can't be reached: {said}"
        yield Finding(WARNING, what, "dvc remote list")


def damaged(place: Place) -> Iterator[Finding]:
    """Objects whose bytes had changed, and that were set aside."""
    folder = place.cache.root / "damaged"
    count = sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0
    if count:
        yield Finding(
            WARNING,
            f"{count} object{'s' if count > 1 else ''} in the cache had other bytes than recorded;"
            f" they are in {shown_path(folder)}, and fetched again when they are read",
            shlex.join(["rm", "-r", str(folder)]),
        )


CHECKS = (remote, damaged)
