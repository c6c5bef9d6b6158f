"""What checking a change came to, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gitml.models.compatibility import Compatibility
from gitml.registry.checking.known import Known
from gitml.registry.checking.moves import Move
from gitml.registry.checking.problem import Problem
from gitml.registry.gates import Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """A version that is to take a stage, and what the gates say of it.

    `proposed` and `current` are that version and the one that holds the stage now, None where
    there is none, or it can't be read; `change` is how the signature differs.
    """

    move: Move
    proposed: Known | None = None
    current: Known | None = None
    change: Compatibility | None = None
    verdicts: tuple[Verdict, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every gate lets it pass."""
        return all(verdict.passed for verdict in self.verdicts)


@dataclass(frozen=True, slots=True)
class Report:
    """The whole check: the commits that were compared, what is wrong, and the judged changes.

    `remarks` are what the change does besides, which nothing judges but a reviewer.
    """

    base: str
    head: str
    problems: tuple[Problem, ...] = ()
    judged: tuple[Judged, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the change may be merged."""
        return not self.problems and all(item.passed for item in self.judged)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell: no stage changes hands, and nothing is wrong."""
        return not (self.problems or self.judged or self.remarks)


def to_document(report: Report) -> dict[str, Any]:
    """The same with stable names, for scripts."""
    return {
        "passed": report.passed,
        "base": report.base,
        "head": report.head,
        "problems": [
            {"path": it.path, "line": it.line, "message": it.message} for it in report.problems
        ],
        "changes": [_judged(item) for item in report.judged],
        "remarks": list(report.remarks),
    }


def _judged(item: Judged) -> dict[str, Any]:
    move = item.move
    return {
        "model": move.name,
        "stage": move.stage,
        "version": None if move.version is None else str(move.version),
        "before": None if move.before is None else str(move.before),
        "run_id": None if item.proposed is None else item.proposed.run.run_id,
        "passed": item.passed,
        "gates": [{"gate": it.gate, "outcome": it.outcome, "why": it.why} for it in item.verdicts],
    }
