"""Judging gates: what is known of a proposed version in, a verdict for each gate out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from gitml.models.compatibility import Compatibility
from gitml.registry.gates.condition import Answer, ask, is_relative
from gitml.registry.gates.gate import (
    COMPATIBLE,
    REPRODUCED,
    REPRODUCED_BYTES,
    Approved,
    Command,
    Condition,
    Evaluate,
    Gate,
    Named,
)
from gitml.tracking.search.facts import Facts

PASSED, FAILED, UNKNOWN = "passed", "failed", "unknown"
_OUTCOMES = {True: PASSED, False: FAILED, None: UNKNOWN}
_NO_DATA: Mapping[str, str] = MappingProxyType({})
_NO_COMMANDS: Mapping[tuple[str, ...], Answer] = MappingProxyType({})
_UNASKED = Answer(None, "nobody has looked")
_NOT_RUN = Answer(None, "it was not run: only programs that the base asks for are")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What CI measured of the version: with which entry point, on which datasets, and the run."""

    entry_point: str
    run_id: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a proposed version.

    `current` are the facts of the version that holds the stage now, None where none does;
    `change` is how the signature differs from that one's. `approvals` are those who have approved
    the pull request as it is now, None where nobody can tell. `commands` tell how the programs of
    gates ended. Of `evaluations`, of this version and of the current one, only those of CI itself
    may be here; those on data of which `data` has another digest now, by its name, don't count.
    """

    candidate: Facts
    current: Facts | None = None
    change: Compatibility | None = None
    reproduced: Answer = _UNASKED
    reproduced_bytes: Answer = _UNASKED
    signed: Answer = _UNASKED
    approvals: Sequence[str] | None = None
    commands: Mapping[tuple[str, ...], Answer] = field(default_factory=lambda: _NO_COMMANDS)
    evaluations: Sequence[Evaluation] = ()
    current_evaluations: Sequence[Evaluation] = ()
    data: Mapping[str, str] = field(default_factory=lambda: _NO_DATA)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a gate: `passed`, `failed`, or `unknown`, which does not pass either."""

    gate: str
    outcome: str
    why: str

    @property
    def passed(self) -> bool:
        """Whether the version passes the gate."""
        return self.outcome == PASSED


def judge(gates: Iterable[Gate], evidence: Evidence) -> tuple[Verdict, ...]:
    """A verdict for each gate, in their order; one that is asked twice is judged once."""
    return tuple(_verdict(gate, evidence) for gate in dict.fromkeys(gates))


def _verdict(gate: Gate, evidence: Evidence) -> Verdict:
    found = _answer(gate, evidence)
    return Verdict(str(gate), _OUTCOMES[found.holds], found.why)


def _answer(gate: Gate, evidence: Evidence) -> Answer:
    if isinstance(gate, Condition):
        return ask(gate.filter, evidence.candidate, evidence.current)
    if isinstance(gate, Approved):
        return _approved(gate, evidence.approvals)
    if isinstance(gate, Command):
        return evidence.commands.get(gate.argv, _NOT_RUN)
    if isinstance(gate, Evaluate):
        return _evaluated(gate, evidence)
    return _named(gate, evidence)


def _named(gate: Named, evidence: Evidence) -> Answer:
    if gate.name == COMPATIBLE:
        return _compatible(evidence.change)
    if gate.name == REPRODUCED_BYTES:
        return evidence.reproduced_bytes
    return evidence.reproduced if gate.name == REPRODUCED else evidence.signed


def _compatible(change: Compatibility | None) -> Answer:
    if change is None:
        return Answer(True, "no version holds the stage, so there is nothing to compare with")
    reasons = "; ".join(change.reasons) or "the signature is the same"
    return Answer(change.level != "incompatible", reasons)


def _approved(gate: Approved, approvals: Sequence[str] | None) -> Answer:
    if approvals is None:
        return Answer(None, "who has approved is known to a forge only, and none was asked")
    people = sorted(set(approvals))
    by = f" by {', '.join(people)}" if people else ""
    return Answer(len(people) >= gate.count, f"approved{by or ' by nobody'}, asked {gate.count}")


def _evaluated(gate: Evaluate, evidence: Evidence) -> Answer:
    """Judge what CI measured last, beside what it measured of the current version."""
    last = newest(gate, evidence.evaluations, evidence.data)
    if last is None:
        return Answer(None, "CI has recorded no such run of this version")
    now = newest(gate, evidence.current_evaluations, evidence.data)
    if evidence.current is not None and now is None and any(map(is_relative, gate.filters)):
        return Answer(None, "CI has recorded no such run of the current version")
    then = None if now is None else now.facts
    answers = [ask(filter, last.facts, then) for filter in gate.filters]
    told = "; ".join(answer.why for answer in answers)
    return Answer(all(answer.holds for answer in answers), f"run {last.run_id[-8:]}: {told}")


def newest(
    gate: Evaluate, found: Iterable[Evaluation], data: Mapping[str, str] = _NO_DATA
) -> Evaluation | None:
    """The evaluation that a gate judges: the last that fits; None when there is none."""
    fitting = (it for it in found if _fits(gate, it, data))
    return min(fitting, key=lambda it: it.facts.tie, default=None)


def _fits(gate: Evaluate, found: Evaluation, data: Mapping[str, str]) -> bool:
    if found.entry_point != gate.entry_point:
        return False
    if gate.dataset is None:
        return True
    of_it = zip(found.facts.datasets["name"], found.facts.datasets["digest"], strict=True)
    digests = [digest for name, digest in of_it if name == gate.dataset]
    return bool(digests) and data.get(gate.dataset, digests[0]) in digests
