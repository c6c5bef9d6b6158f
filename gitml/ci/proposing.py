"""What a job has trained, registered and proposed for a stage where it is good enough.

Whether it is, is said by conditions in the language of gates, in gitml.yaml. They spare people pull
requests; what protects the stage are the gates of registry.yaml, which are judged afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitml.errors import FormatError, UsageError
from gitml.git import Progress
from gitml.registry import (
    desired,
    main_branch,
    promoting,
    publishing,
    registering,
    untagged,
)
from gitml.registry.catalog import Registered
from gitml.registry.checking import claims, known
from gitml.registry.gates import Evidence, Gate, Verdict, judge, parse_gates, with_age
from gitml.registry.promoting import Promotion
from gitml.registry.recorded import Runs
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord
from gitml.tracking.search import facts

WHERE = "gitml.yaml: ci/train/propose"


@dataclass(frozen=True, slots=True)
class Wish:
    """A model of a run, by its `path` there, for the `stage` of a registered model."""

    name: str
    stage: str
    path: str
    conditions: tuple[Gate, ...]


@dataclass(frozen=True, slots=True)
class Proposed:
    """What the conditions came to; the version and the promotion, None when one does not hold."""

    verdicts: tuple[Verdict, ...]
    version: Registered | None = None
    promotion: Promotion | None = None


def wish_of(told: Mapping[str, Any]) -> Wish:
    """What the key `propose` asks for; FormatError for a condition that can't be understood."""
    stage = told["stage"]
    conditions = parse_gates({stage: list(told.get("if") or ())}, WHERE)[stage]
    return Wish(told["model"], stage, told.get("path") or "model", conditions)


def propose(place: Place, run: RunRecord, wish: Wish, progress: Progress | None = None) -> Proposed:
    """Register the run's model and propose it, if the conditions hold.

    A second time nothing is registered again, and the pull request is brought up to date. Raises
    as `registering.register` and `promoting.promote`.
    """
    verdicts = judge(wish.conditions, _evidence(place, run, wish, progress))
    if not all(verdict.passed for verdict in verdicts):
        return Proposed(verdicts)
    uri = f"runs:/{run.run_id}/{wish.path}"
    made = _registered(place, run, wish) or registering.register(
        place, uri, wish.name, progress=progress
    )
    promotion = promoting.promote(
        place, wish.name, wish.stage, str(made.version), progress=progress
    )
    return Proposed(verdicts, made, promotion)


def _registered(place: Place, run: RunRecord, wish: Wish) -> Registered | None:
    for item in untagged.book(place, {}).models.get(wish.name, ()):
        if (item.note.run_id, item.note.path) == (run.run_id, wish.path):
            return item
    return None


def _evidence(place: Place, run: RunRecord, wish: Wish, progress: Progress | None) -> Evidence:
    """The run's facts, and those of the version that holds the stage on the main branch."""
    candidate = with_age(facts(run), round(time.time() * 1000))
    main = main_branch.fetch(place, progress)
    if main is None:
        raise UsageError("there is no main branch to propose a change of; push one first")
    held = desired.read_at(place.repo, main.commit).get(wish.name, desired.NOTHING)
    version = held.stages.get(wish.stage)
    if version is None:
        return Evidence(candidate)
    wanted = [(wish.name, version)]
    problems, lacking = known.fetch(place, publishing.remote(place), wanted, progress)
    found, bad = known.read(place, wanted)
    if lacking:
        runs = Runs(publishing.remote(place), place.ledger.ref)
        decided = {wish.name: held}
        found, bad = claims.read(place, runs, lacking, decided, progress)
    if not found:
        raise FormatError("; ".join(it.message for it in (*problems, *bad)))
    return Evidence(candidate, facts(found[wanted[0]].run))
