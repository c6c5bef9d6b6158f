"""What a sweep came to before it was interrupted, from its run and the runs below."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from gitml import process
from gitml.errors import UsageError
from gitml.projects import backend_config
from gitml.projects.ray import leftovers
from gitml.projects.ray.cluster import RAY
from gitml.projects.sweeps import child as children
from gitml.projects.sweeps import document, engine
from gitml.projects.sweeps.child import ENDED, INTERRUPTED, PARAMS, TRIAL
from gitml.projects.sweeps.plan import Plan
from gitml.projects.sweeps.trials import Trial
from gitml.tracking import download, recording, store, vouched
from gitml.tracking.ledger import Entry
from gitml.tracking.place import Place
from gitml.tracking.record import FAILED, FINISHED, RunRecord

_HAS_ENDED = ("gitml.exit_code", "gitml.signal")  # tags of a run whose program's end was seen


@dataclass(frozen=True, slots=True)
class Past:
    """A sweep as it was left: its run, its plan, the trials that ended, and those to run again."""

    record: RunRecord
    plan: Plan
    trials: tuple[Trial, ...]
    again: Mapping[int, Mapping[str, str]]


def read(
    place: Place,
    run: str,
    given: Mapping[str, object],
    config: Mapping[str, object] | None = None,
) -> Past:
    """The sweep of the run that `run` names; what still runs of it is ended first.

    `given` are the values of parameters that are credentials, and `config` is what the backend is
    told, instead of what it was told before. Raises UsageError for a run that is no sweep, or that
    goes on.
    """
    recording.recover(place)
    entry = _entry(place, store.resolve(place, run))
    record, run_id = entry.record, entry.record.run_id
    if document.FILE not in record.artifacts:
        raise UsageError(f"run {run_id[-8:]} is no sweep; see: gitml runs show {run_id[-8:]}")
    data = download.read(place, record, entry.commit, document.FILE)
    plan, reused = document.read(data, given)
    known = config or backend_config.known(plan.request.backend_config)
    plan = replace(plan, request=replace(plan.request, backend_config=known))
    below = _children(place, run_id)
    if process.stop_marked("GITML_RUN_ID", [child.run_id for child in below]):
        recording.recover(place)
        below = _children(place, run_id)
    if plan.request.backend == RAY and leftovers.end(place, known, {one.run_id for one in below}):
        below = _children(place, run_id)
    found = {trial.number: trial for trial in reused}
    again: dict[int, Mapping[str, str]] = {}
    for trial, one in _trials(below):
        if was_interrupted(one):
            again[trial.number] = trial.params
        else:
            found[trial.number] = _ended(place, trial, one, plan)
    again = {number: params for number, params in again.items() if number not in found}
    return Past(record, plan, tuple(found[number] for number in sorted(found)), again)


def _entry(place: Place, run_id: str) -> Entry:
    """A run that is over, as this repository has it: what a sweep runs is said by its run."""
    store.open_run(place, run_id)
    live = place.live_run(run_id)
    if live.folder.is_dir() and recording.goes_on(live):
        raise UsageError(f"the run {run_id[-8:]} goes on; it can't be resumed as long as it does")
    entry = next(vouched.vouched_entries(place, run_id), None)
    if entry is None:
        raise UsageError(f"run {run_id[-8:]} is of a fork, which can't say here what is to be run")
    return entry


def _children(place: Place, run_id: str) -> list[RunRecord]:
    """The runs below, as this repository has them, the oldest first."""
    found = store.search(place, f"attributes.parent_run_id = '{run_id}'", ["start_time ASC"])
    known = (next(vouched.vouched(place, one.run_id), None) for one in found)
    return [one for one in known if one is not None and one.parent_run == run_id]


def _trials(below: list[RunRecord]) -> Iterator[tuple[Trial, RunRecord]]:
    for record in below:
        with contextlib.suppress(KeyError, ValueError):  # a run that somebody put below it
            tags = record.live_tags
            params = {str(name): str(text) for name, text in json.loads(tags[PARAMS]).items()}
            yield Trial(int(tags[TRIAL]), params), record


def _ended(place: Place, trial: Trial, record: RunRecord, plan: Plan) -> Trial:
    points = children.points(place, record.run_id, plan.metric) if plan.early_stop else []
    return replace(engine.judged(trial, record, plan), points=points)


def was_interrupted(record: RunRecord) -> bool:
    """Whether a run ended because its sweep did: nobody saw its program end, or it was told to."""
    tags = record.live_tags
    is_unseen = not any(tag in tags for tag in _HAS_ENDED)
    return tags.get(ENDED) == INTERRUPTED or (is_unseen and record.status not in (FINISHED, FAILED))
