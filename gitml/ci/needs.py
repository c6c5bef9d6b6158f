"""What CI itself has to run before a change can be judged: evaluations, and runs again.

The gates of the base ask for it, the policy's and the model's own; what the change itself brings
asks for nothing, since it would choose what runs with the credentials of CI.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gitml.git import Progress
from gitml.registry.checking.ground import (
    Ground,
    data,
    evaluations,
    gates_of_base,
    ground_of,
    of_ci,
)
from gitml.registry.checking.known import Known
from gitml.registry.checking.moves import Move
from gitml.registry.gates import Evaluate, Named, is_relative, newest
from gitml.tracking.place import Place


@dataclass(frozen=True, slots=True)
class Need:
    """A version, and with what it is to be evaluated; without an entry point it is run again."""

    version: str
    entry_point: str | None = None
    dataset: str | None = None


def needs(
    place: Place, base: str, head: str = "HEAD", progress: Progress | None = None
) -> list[Need]:
    """What is to be run for the change `head`, which is to be merged into `base`.

    What CI has run already is left out, unless the data at the base is another now. Versions whose
    tags or runs are not sound need nothing: they are refused anyway. Raises as `checking.check`.
    """
    found = ground_of(place, base, head, progress)
    return list(dict.fromkeys(need for move in found.changed for need in _of_move(found, move)))


def _of_move(found: Ground, move: Move) -> Iterator[Need]:
    new = found.versions.get((move.name, move.version)) if move.version else None
    now = found.versions.get((move.name, move.before)) if move.before else None
    if new is None:
        return
    for gate in gates_of_base(found, move):
        if isinstance(gate, Named) and gate.runs_again and not of_ci(found, new.run.run_id):
            yield Need(new.called)
        if isinstance(gate, Evaluate):
            asked = (new, now) if any(map(is_relative, gate.filters)) else (new,)
            for version in asked:
                if version is not None and not _is_measured(found, gate, version):
                    yield Need(version.called, gate.entry_point, gate.dataset)


def _is_measured(found: Ground, gate: Evaluate, version: Known) -> bool:
    """Whether CI has evaluated it, on the data that the base has; that of a URL stays the same."""
    return newest(gate, evaluations(found, version), data(found, [gate])) is not None


def to_document(found: list[Need]) -> Mapping[str, Any]:
    """The needs for the matrices of a workflow: to evaluate, to run again, and all; each by id."""
    every = [
        {
            "id": f"run-{at}",
            "version": need.version,
            "entry_point": need.entry_point or "",
            "dataset": need.dataset or "",
        }
        for at, need in enumerate(found)
    ]
    return {
        "evaluate": [it for it in every if it["entry_point"]],
        "reproduce": [it for it in every if not it["entry_point"]],
        "all": every,
    }


def row(need: Need) -> str:
    """A need on a line for a shell: the kind of job, and what it is about, with tabs between."""
    kind = "reproduce" if need.entry_point is None else "evaluate"
    return "\t".join([kind, need.version, need.entry_point or "", need.dataset or ""])


def described(need: Need) -> str:
    """A need in words."""
    if need.entry_point is None:
        return f"reproduce {need.version}"
    on = f" on {need.dataset}" if need.dataset else ""
    return f"evaluate {need.version} with {need.entry_point}{on}"
