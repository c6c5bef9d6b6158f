"""Staged files that somebody removed: a run is recorded without them, and it is said which."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gitml.errors import shown
from gitml.tracking import live
from gitml.tracking.fold import Part
from gitml.tracking.place import Place

_SHOWN = 5


class LostArtifactWarning(UserWarning):
    """Artifacts that were logged were removed from gitml's folder before they were recorded."""


def without_lost(place: Place, run: live.LiveRun, parts: Sequence[Part]) -> list[Part]:
    """The parts, less what they say of files whose staged copies are gone, which a warning names.

    Such events count as lines that could not be read. OSError when nobody can tell.
    """
    there, paths, kept = _names(run), dict[str, None](), []
    for part in parts:
        lost = {
            file["file"]: file["path"]
            for event in part.events
            if (file := event.get("artifact"))
            and file["file"] not in there
            and not place.cache.has(file["md5"])  # what was stored by somebody who was killed then
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


def _names(run: live.LiveRun) -> frozenset[str]:
    try:
        return frozenset(os.listdir(run.files))
    except FileNotFoundError:
        return frozenset()


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
