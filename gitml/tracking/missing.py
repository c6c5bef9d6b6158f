"""Staged files that somebody removed: a run is recorded without them, and it is said which."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gitml import storage
from gitml.errors import StorageError, shown
from gitml.files import shown_path
from gitml.tracking import live, screening
from gitml.tracking.fold import Part
from gitml.tracking.place import Place

_SHOWN = 5


class LostArtifactWarning(UserWarning):
    """Artifacts that were logged were removed from gitml's folder before they were recorded."""


def without_lost(place: Place, run: live.LiveRun, parts: Sequence[Part]) -> list[Part]:
    """The parts, less what they say of files whose staged copies are gone, which a warning names.

    Such events count as lines that could not be read. OSError when nobody can tell.
    """
    there, paths, kept = _staged(run), dict[str, None](), []
    for part in parts:
        lost = {
            file["file"]: file["path"]
            for event in part.events
            if (file := event.get("artifact")) and _is_lost(file, there, place.cache)
        }
        kept.append(_without(part, lost) if lost else part)
        paths.update(dict.fromkeys(lost.values()))
    if paths:
        some = ", ".join(shown(path) for path in list(paths)[:_SHOWN])
        rest = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        warnings.warn(
            f"run {run.run_id} is recorded without artifacts whose staged copies somebody removed"
            f" in mid-run: {some}{rest}",
            LostArtifactWarning,
            stacklevel=2,
        )
    return kept


def _is_lost(file: Mapping[str, str], there: Mapping[str, bool], cache: storage.Cache) -> bool:
    """Whether a staged file is gone, or none of gitml's: then it may lead to a file of the user."""
    name = file["file"]
    if not screening.is_staged(name):
        return True
    if name not in there:
        return not cache.has(file["md5"])  # it was stored by somebody who was killed then
    return not there[name]


def _staged(run: live.LiveRun) -> dict[str, bool]:
    """The names in the folder of staged files, and whether each is a file and no link."""
    if run.files.is_symlink():
        raise StorageError(f"{shown_path(run.files)} is a symbolic link; remove it")
    try:
        with os.scandir(run.files) as found:
            return {entry.name: entry.is_file(follow_symlinks=False) for entry in found}
    except FileNotFoundError:
        return {}


def _without(part: Part, lost: Mapping[str, str]) -> Part:
    """The part less the events of lost files, and of models that have one; name to path."""
    paths = set(lost.values())
    events = [
        event
        for event in part.events
        if event.get("artifact", {}).get("file") not in lost
        and not ("model" in event and paths.intersection(event["files"]))
    ]
    return replace(part, events=events, skipped=part.skipped + len(part.events) - len(events))
