"""One gate as registry.yaml has it, read into a value. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitml.errors import FormatError, UsageError, shown
from gitml.registry.gates.condition import parse_condition
from gitml.tracking.search.expressions import METRIC, Filter, keys_of

COMPATIBLE, REPRODUCED, SIGNED = "signature.compatible", "reproduced", "signed"
REPRODUCED_BYTES = "reproduced.bytes"
_NAMED = (COMPATIBLE, REPRODUCED, REPRODUCED_BYTES, SIGNED)
_APPROVED = re.compile(r"approved_by\(\s*([1-9]\d{0,2})\s*\)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on the run of the proposed version; `text` is as it was written."""

    text: str
    filter: Filter

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Named:
    """A gate that has a name of its own, such as `signature.compatible` or `reproduced`."""

    name: str

    @property
    def runs_again(self) -> bool:
        """Whether it judges a run that CI makes once more."""
        return self.name in (REPRODUCED, REPRODUCED_BYTES)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Approved:
    """At least `count` people have approved the pull request as it is now."""

    count: int

    def __str__(self) -> str:
        return f"approved_by({self.count})"


@dataclass(frozen=True, slots=True)
class Command:
    """A program that ends with 0."""

    argv: tuple[str, ...]

    def __str__(self) -> str:
        return f"command: {shlex.join(self.argv)}"


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Conditions on what CI measured with an entry point of the project, on a dataset."""

    entry_point: str
    dataset: str | None
    metrics: tuple[Condition, ...]

    @property
    def filters(self) -> tuple[Filter, ...]:
        """The conditions as values."""
        return tuple(condition.filter for condition in self.metrics)

    def __str__(self) -> str:
        on = f" on {self.dataset}" if self.dataset else ""
        return f"evaluate {self.entry_point}{on}: {' AND '.join(map(str, self.metrics))}"


Gate = Condition | Named | Approved | Command | Evaluate


def parse_gates(document: Mapping[str, Any] | None, where: str) -> dict[str, tuple[Gate, ...]]:
    """The gates of each stage, from a document that fits the schema.

    FormatError names the stage and the gate that can't be understood.
    """
    return {
        stage: tuple(_parsed(item, f"{where}: gates/{stage}/{at}") for at, item in _each(items))
        for stage, items in (document or {}).items()
    }


def metrics_of(gates: Iterable[Gate]) -> list[str]:
    """The names of the metrics that conditions ask for, in their order."""
    filters = [gate.filter for gate in gates if isinstance(gate, Condition)]
    keys = [key for filter in filters for key in keys_of(filter) if key.entity == METRIC]
    names = [name for key in keys for name in (key, key.otherwise) if name is not None]
    return list(dict.fromkeys(key.name for key in names))


def _each(items: Sequence[Any] | None) -> list[tuple[int, Any]]:
    return list(enumerate(items or ()))


def _parsed(document: str | Mapping[str, Any], where: str) -> Gate:
    try:
        return _of_text(document) if isinstance(document, str) else _of_mapping(document)
    except UsageError as error:
        raise FormatError(f"{where}: {error}") from None


def _of_text(text: str) -> Gate:
    plain = text.strip()
    if plain in _NAMED:
        return Named(plain)
    if found := _APPROVED.fullmatch(plain):
        return Approved(int(found[1]))
    if re.fullmatch(r"[\w.]+(?:\(.*\))?", plain):
        known = ", ".join((*_NAMED, "approved_by(N)"))
        raise UsageError(f"there is no gate {shown(plain)}; known: {known}, or a condition")
    return Condition(plain, parse_condition(plain))


def _of_mapping(document: Mapping[str, Any]) -> Gate:
    if "command" in document:
        return Command(tuple(document["command"]))
    asked = document["evaluate"]
    conditions = tuple(Condition(text.strip(), parse_condition(text)) for text in asked["metrics"])
    return Evaluate(asked["entry_point"], asked.get("dataset"), conditions)
