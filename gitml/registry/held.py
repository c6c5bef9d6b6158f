"""Which version held which stage at a moment, who wanted it so, and what it was made from.

All of it is in git: the stage's tag, the commit of the main branch that it stands on, and the run
that the version's tag stands on. It is what the tags say; `gitml registry verify` tells forgeries.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from gitml import git
from gitml.documents import load_json
from gitml.errors import FormatError, UsageError, shown
from gitml.registry import catalog, main_branch, stages
from gitml.registry.proven import proven
from gitml.registry.stages import UNKNOWN, Taken
from gitml.tracking.commits import RUN_FOLDER
from gitml.tracking.moments import time_to_text
from gitml.tracking.place import Place
from gitml.tracking.record import Dataset, RunRecord, from_document
from gitml.tracking.typed import MALFORMED


@dataclass(frozen=True, slots=True)
class Held:
    """A version that held a stage.

    `taken` is the tag by which it took the stage, `since` when, in ms since the epoch.
    `decided_by` is the author of the commit `decision` of the main branch, whose file says so.
    `run_commit` and `run` are None where the version's tag, or its commit, is not here. What the
    stage's tag says, of approval and time, is `proven` when it is signed by somebody who may.
    """

    taken: Taken
    since: int
    decision: str | None
    decided_by: str | None
    run_commit: str | None
    run: RunRecord | None
    proven: bool = False

    @property
    def approved_by(self) -> str | None:
        """Whom the forge named; None where nobody could tell."""
        by = self.taken.note.approved_by
        return None if by == UNKNOWN else by

    @property
    def data(self) -> tuple[Dataset, ...]:
        """What the run read."""
        return self.run.datasets if self.run else ()


def at(place: Place, name: str, moment: int) -> list[Held]:
    """Who held each stage of a model at a moment, in ms since the epoch; nobody before the first.

    UsageError when there is no model of that name.
    """
    repo = place.repo
    versions = {item.version: item for item in catalog.read(repo).versions(name)}
    held: dict[str, tuple[int, Taken]] = {}
    since = 0
    for taken in stages.read(repo).models.get(name, ()):
        since = max(since, taken.time)  # in the order of their numbers, whatever the clocks said
        if since <= moment:
            held[taken.tag.stage] = (since, taken)
    found = []
    true = proven(place, {str(it.tag): it.tag_id for _, it in held.values()})
    for since, taken in held.values():
        item = versions.get(taken.note.version)
        run = None if item is None else _run(repo, item.commit)
        decision = _decision(repo, taken)
        commit = item.commit if item else None
        found.append(Held(taken, since, *decision, commit, run, str(taken.tag) in true))
    return found


def _run(repo: git.Repository, commit: str) -> RunRecord | None:
    name = f"{commit}:{RUN_FOLDER}/run.json"
    try:
        (data,) = git.read_present(repo, [name])
        return None if data is None else from_document(load_json(data, name))
    except (FormatError, *MALFORMED):
        return None


def _decision(repo: git.Repository, taken: Taken) -> tuple[str | None, str | None]:
    """The commit that last changed the model's file before the tag was made, and its author."""
    commit = main_branch.decision(repo, taken.commit, taken.tag.name)
    if commit is None:
        return None, None
    return commit, git.text(repo, "log", "-1", "--format=%an <%ae>", commit)


def moment_of(text: str) -> int:
    """The moment that a text means, in ms since the epoch: a time, or the end of a day.

    ISO 8601, such as `2026-05-31` or `2026-05-31T12:30+02:00`; without an offset in local time.
    """
    try:
        when = datetime.datetime.fromisoformat(text.strip().upper().replace("Z", "+00:00"))
        if len(text.strip()) <= len("2026-05-31"):
            when = when + datetime.timedelta(days=1) - datetime.timedelta(milliseconds=1)
        return round(when.astimezone().timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"{shown(text)} is no date; write one such as 2026-05-31 or 2026-05-31T12:30"
        ) from None


def to_document(held: Held) -> dict[str, Any]:
    """The same with stable names, for listings."""
    note, run = held.taken.note, held.run
    return {
        "name": held.taken.tag.name,
        "stage": held.taken.tag.stage,
        "version": str(note.version),
        "since": time_to_text(held.since),
        "tag": str(held.taken.tag),
        "approved_by": held.approved_by,
        "proven": held.proven,
        "decided_by": held.decided_by,
        "decision": held.decision,
        "run_id": note.run_id,
        "run_commit": held.run_commit,
        "digest": note.digest,
        "code": run.code.commit if run else None,
        "code_tree": run.code.tree if run else None,
        "data": [
            {"name": it.name, "digest": it.digest, "context": it.context, "source": dict(it.source)}
            for it in held.data
        ],
    }
