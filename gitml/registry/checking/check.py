"""The check of a change: its files, its versions, and the gates of each stage that it gives."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from gitml.errors import FormatError
from gitml.git import Progress
from gitml.models.compatibility import Compatibility, compare
from gitml.registry.checking import again, commands, declared, signatures
from gitml.registry.checking.ground import (
    Ground,
    data,
    evaluations,
    gates_of_base,
    ground_of,
    of_ci,
    own_gates,
)
from gitml.registry.checking.known import Known
from gitml.registry.checking.moves import Move
from gitml.registry.checking.problem import Problem
from gitml.registry.checking.report import Judged, Report
from gitml.registry.files import path_of
from gitml.registry.gates import COMPATIBLE, Answer, Command, Evidence, Gate, judge, with_age
from gitml.registry.verified import signature_of
from gitml.tracking.place import Place
from gitml.tracking.search import facts


def check(
    place: Place,
    base: str,
    head: str = "HEAD",
    *,
    approvals: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check what `head` changes, which is to be merged into `base`; both are revisions.

    `approvals` are those who approve the change as it is now, None where nobody can tell. Raises
    UsageError for a revision that is not here, FormatError when a file of the base can't be read,
    GitError when the remote can't.
    """
    found = replace(ground_of(place, base, head, progress), approvals=approvals)
    problems, judged = [*found.problems], []
    for move in found.changed:
        try:
            judged.append(_judged(found, move))
        except FormatError as error:  # a run says what no run can
            judged.append(Judged(move))
            problems.append(Problem(path_of(move.name), str(error)))
    told = tuple(dict.fromkeys(problems))
    notes = (*found.remarks, *filter(None, map(_unseen, judged)))
    return Report(found.base.commit, found.head.commit, told, tuple(judged), notes)


def _unseen(item: Judged) -> str:
    """A note where the gate of the signature had to go by the run's record alone."""
    is_asked = any(verdict.gate == COMPATIBLE for verdict in item.verdicts)
    if item.proposed is None or not is_asked or declared.is_in_git(item.proposed):
        return ""
    why = "its MLmodel is with its large files in DVC, of which the check reads nothing"
    return f"{item.proposed.item.tag}: the signature is what the run's record says; {why}"


def _judged(ground: Ground, move: Move) -> Judged:
    """A stage that changes hands; when nobody gets it there is nothing to judge."""
    if move.version is None:
        return Judged(move)
    new = ground.versions.get((move.name, move.version))
    if new is None:
        return Judged(move)  # why it is not known is among the problems
    now = ground.versions.get((move.name, move.before)) if move.before else None
    change = None if now is None else _change(now, new)
    asked, brought = gates_of_base(ground, move), own_gates(ground.head, move)
    verdicts = judge((*asked, *brought), _evidence(ground, new, now, change, asked))
    return Judged(move, new, now, change, verdicts)


def _evidence(
    ground: Ground,
    new: Known,
    now: Known | None,
    change: Compatibility | None,
    of_base: Sequence[Gate],
) -> Evidence:
    candidate = with_age(facts(new.run), round(time.time() * 1000))
    programs = [gate for gate in of_base if isinstance(gate, Command)]
    told = {
        "model": new.item.name,
        "version": str(new.item.version),
        "run_id": new.run.run_id,
        "metrics": {key: figures["last"] for key, figures in candidate.metrics.items()},
        "params": dict(new.run.params),
        "tags": dict(new.run.live_tags),
    }
    return Evidence(
        candidate=candidate,
        current=None if now is None else facts(now.run),
        change=change,
        reproduced=_reproduced(ground, new),
        reproduced_bytes=_reproduced(ground, new, bytewise=True),
        signed=signatures.signed(ground.place.repo, ground.signing, new),
        approvals=ground.approvals,
        commands=commands.run(ground.place.repo, ground.base.commit, programs, told),
        evaluations=evaluations(ground, new),
        current_evaluations=() if now is None else evaluations(ground, now),
        data=data(ground, of_base),
    )


def _change(now: Known, new: Known) -> Compatibility:
    old, proposed = (signature_of(it.run, it.item.note.path) for it in (now, new))
    return compare(old, proposed)


def _reproduced(ground: Ground, new: Known, *, bytewise: bool = False) -> Answer:
    """Whether CI has run it again, with the same metrics from the same code."""
    if not ground.base.policy.ci_signers:
        return Answer(None, "registry.yaml on the base does not say who CI is (ci.signers)")
    return again.reproduced(new, of_ci(ground, new.run.run_id), bytewise=bytewise)
