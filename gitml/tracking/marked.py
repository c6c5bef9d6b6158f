"""The runs that are marked as deleted, and those of them that have to stay."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

from gitml import documents, git
from gitml.tracking import experiment, remotes, store, sync
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord, from_document

_DAY = 86_400.0


class Marked(NamedTuple):
    """A run that is marked as deleted, since about `time` (seconds)."""

    run_id: str
    name: str
    experiment: str
    folder: str
    time: int


def marked_runs(place: Place, older_than: float) -> tuple[tuple[Marked, ...], dict[str, str]]:
    """The runs that are marked for `older_than` days, and those that have to stay, with why."""
    book = store.index(place)
    rows = book.search(view="deleted")
    if not rows:
        return (), {}
    experiments = {item.id: item for item in book.experiments() if item.deleted}
    texts = git.read_objects(place.repo, [blob for row in rows for blob in row.blobs])
    times = _times(place, experiments)
    limit = time.time() - older_than * _DAY
    found = []
    for row in rows:
        sides = [from_document(documents.load_json(next(texts), row.folder)) for _ in row.blobs]
        since = max(times.get(row.run_id, 0), times.get(row.experiment_id, 0))
        is_marked = row.experiment_id in experiments or _is_deleted(sides)
        if is_marked and (not older_than or since <= limit):
            found.append(Marked(row.run_id, row.name, row.experiment, row.folder, since))
    kept = _standing(place)
    kept |= {
        run.run_id: "it is being written to"
        for run in found
        if place.live_run(run.run_id).folder.is_dir()
    }
    ids = {run.run_id for run in found}
    return (
        tuple(run for run in found if run.run_id not in kept),
        {run_id: why for run_id, why in kept.items() if run_id in ids},
    )


def _is_deleted(sides: Iterable[RunRecord]) -> bool:
    """Whether a run is deleted, as a merge of what the ledgers say would have it."""
    return max(sides, key=lambda side: (side.stamp("deleted"), side.deleted)).deleted


def _times(place: Place, experiments: Iterable[str]) -> dict[str, int]:
    """When (seconds) each run, and each of the experiments, was changed last."""
    head = place.ledger.head()
    if head is None:
        return {}
    form = "--format=%ct %(trailers:key=Run-Id,valueonly,separator=)"
    found: dict[str, int] = {}
    for line in git.text(place.repo, "log", "--first-parent", form, head).split("\n"):
        date, _, run_id = line.partition(" ")
        found.setdefault(run_id, int(date))
    for id in experiments:
        path = experiment.experiment_path(id)
        date = git.text(place.repo, "log", "-1", "--first-parent", "--format=%ct", head, "--", path)
        found[id] = int(date or 0)
    return found


def _standing(place: Place) -> dict[str, str]:
    """The runs that a tag stands on, with the reason to keep them."""
    refs = ("refs/tags", f"{remotes.REFS}*/tags/**")
    lines = git.text(place.repo, "for-each-ref", sync.PEELED, *refs).split("\n")
    tags = {commit: name for name, _, commit in (line.partition(" ") for line in lines if line)}
    return {
        run_id: f"the tag {tags[commit].partition('tags/')[2]} stands on it"
        for commit, run_id in sync.runs_of(place.repo, tags).items()
    }
