"""The check of a change: its files, its versions, and the gates of each stage that it gives."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from gitml.errors import FormatError
from gitml.git import Progress
from gitml.models.compatibility import Compatibility, compare
from gitml.projects import verdict
from gitml.registry.checking import commands, declared, signatures
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
from gitml.tracking.record import MetricSummary, RunRecord
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
        signed=signatures.signed(ground.place.repo, ground.signers, new),
        approvals=ground.approvals,
        commands=commands.run(ground.place.repo, ground.base.commit, programs, told),
        evaluations=evaluations(ground, new),
        current_evaluations=() if now is None else evaluations(ground, now),
        data=data(ground, of_base),
    )


def _change(now: Known, new: Known) -> Compatibility:
    old, proposed = (signature_of(it.run, it.item.note.path) for it in (now, new))
    return compare(old, proposed)


def _reproduced(ground: Ground, new: Known) -> Answer:
    """Whether CI has run it again, with the same metrics from the same code."""
    if not ground.base.policy.ci_signers:
        return Answer(None, "registry.yaml on the base does not say who CI is (ci.signers)")
    again = of_ci(ground, new.run.run_id)
    for run in again:
        if _is_same(new.run, run):
            return Answer(True, f"CI's run {run.run_id[-8:]} came out the same")
    if again:
        return Answer(False, f"CI's run {again[-1].run_id[-8:]} came out otherwise")
    return Answer(None, "CI has recorded no run that reproduces it")


def _is_same(claimed: RunRecord, again: RunRecord) -> bool:
    """Whether a run that anybody may have written is what CI's run of it came to.

    Beyond what a verdict compares, it names its code, and has the same figures of each metric that
    a gate can ask for: the lowest, the highest, the last step and the number of values.
    """
    rules = verdict.Rules()
    return (
        claimed.code.tree is not None
        and verdict.judge(claimed, again, ((), ()), rules).reproduced
        and all(
            _same_figures(item, again.metrics[key], tolerance)
            for key, item in claimed.metrics.items()
            if (tolerance := rules.of(key)) is not None
        )
    )


def _same_figures(one: MetricSummary, other: MetricSummary, tolerance: verdict.Tolerance) -> bool:
    pairs = ((one.min, other.min), (one.max, other.max))
    return (one.step, one.count) == (other.step, other.count) and all(
        a == b or (a is not None and b is not None and tolerance.admits(a, b)) for a, b in pairs
    )
