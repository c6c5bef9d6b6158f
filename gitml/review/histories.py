"""The metric histories of runs, live or recorded, for drawing: many runs cost two git processes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from gitml import git
from gitml.errors import FormatError
from gitml.tracking import live, recording
from gitml.tracking.commits import RUN_FOLDER
from gitml.tracking.metrics import Point, read_history
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord

Run = tuple[RunRecord, "str | None"]  # a record and its run commit, None of a live run


def curves(place: Place, runs: Sequence[Run], key: str) -> list[list[Point]]:
    """The points of one metric in each run, in the order of step, then time.

    A history that can't be read is left out: one damaged run hides no other.
    """
    recorded = _files(place, [run for run in runs if key in run[0].metrics])
    found = []
    for record, _ in runs:
        parts = recorded.get(record.run_id, [])
        points: list[Point] = []
        with contextlib.suppress(FormatError):
            points = [p for path, data in parts for p in read_history(data, path, key)]
        found.append(_sorted(points or _live(place, record, key)))
    return found


def histories(place: Place, record: RunRecord, commit: str | None) -> dict[str, list[Point]]:
    """The points of all metrics of a run, by key, in the order of step, then time.

    FormatError when a history can't be read.
    """
    found: dict[str, list[Point]] = {key: [] for key in record.metrics}
    for path, data in _files(place, [(record, commit)]).get(record.run_id, []):
        for point in read_history(data, path):
            found.setdefault(point.key, []).append(point)
    return {key: _sorted(points or _live(place, record, key)) for key, points in found.items()}


def _sorted(points: list[Point]) -> list[Point]:
    return sorted(points, key=lambda point: (point.step, point.time_ms))


def _live(place: Place, record: RunRecord, key: str) -> list[Point]:
    run = live.folder(place.home, record.run_id)
    return recording.live_points(run, key) if run.folder.is_dir() else []


def _files(place: Place, runs: Sequence[Run]) -> dict[str, list[tuple[str, bytes]]]:
    """The history files of recorded runs: path and content, by run id."""
    asked = [
        (record.run_id, f"{commit}:{RUN_FOLDER}/metrics/{session}.tsv")
        for record, commit in runs
        if commit is not None
        for session in record.sessions
        if session.isprintable()
    ]
    there = _existing(place.repo, [name for _, name in asked])
    wanted = [(run_id, name) for run_id, name in asked if name in there]
    contents = git.read_objects(place.repo, [name for _, name in wanted])
    found: dict[str, list[tuple[str, bytes]]] = {}
    for (run_id, name), data in zip(wanted, contents, strict=True):
        found.setdefault(run_id, []).append((name.partition(":")[2], data))
    return found


def _existing(repo: git.Repository, names: Sequence[str]) -> set[str]:
    """Those of the names that git knows: a session without metrics has no history."""
    if not names:
        return set()
    asked = "".join(f"{name}\n" for name in names).encode()
    kinds = git.run(repo, "cat-file", "--batch-check=%(objecttype)", input=asked).split(b"\n")
    return {name for name, kind in zip(names, kinds, strict=False) if kind == b"blob"}
