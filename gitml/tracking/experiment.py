"""An experiment's own file, `runs/<id>/experiment.json` in the ledger: its name and marks.

Runs make an experiment exist; the file is there once somebody described, tagged, renamed or
deleted it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from gitml.errors import FormatError
from gitml.tracking.moments import time_from_text, time_to_text
from gitml.tracking.record import SCHEMA, Json, Stamp, check_schema

FILE = "experiment.json"


def experiment_path(experiment_id: str) -> str:
    """Where the ledger keeps an experiment's file."""
    return f"runs/{experiment_id}/{FILE}"


@dataclass(frozen=True, slots=True)
class ExperimentRecord:
    """An experiment. `created` is in milliseconds since the epoch, UTC.

    A tag whose value is None was deleted. `clock` holds the stamps of `name`, `description`,
    `deleted` and `tags.KEY`; a field without a stamp has the lowest.
    """

    id: str
    name: str
    description: str | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)
    created: int | None = None
    deleted: bool = False
    clock: Mapping[str, Stamp] = field(default_factory=dict)
    unknown: Mapping[str, Json] = field(default_factory=dict)

    def stamp(self, name: str) -> Stamp:
        """The stamp of the mutable field `name`."""
        return self.clock.get(name, Stamp())

    def set(self, name: str, value: Any, writer: str) -> ExperimentRecord:
        """A copy with a mutable field changed and stamped by `writer`; tags are `tags.KEY`."""
        clock = {**self.clock, name: Stamp(self.stamp(name).counter + 1, writer)}
        if name.startswith("tags."):
            return replace(self, tags={**self.tags, name[5:]: value}, clock=clock)
        return replace(self, **{name: value}, clock=clock)

    @property
    def live_tags(self) -> dict[str, str]:
        """The tags that are set, without the deleted ones."""
        return {key: value for key, value in self.tags.items() if value is not None}


def to_document(experiment: ExperimentRecord) -> dict[str, Any]:
    """The experiment as its file holds it; fields that say nothing are left out."""
    document: dict[str, Any] = {"schema": SCHEMA, **experiment.unknown}
    for name in _NAMES:
        value = getattr(experiment, name)
        if value not in (None, False, {}):
            document[name] = value
    if experiment.created is not None:
        document["created"] = time_to_text(experiment.created)
    if experiment.clock:
        stamps = experiment.clock.items()
        document["clock"] = {key: [stamp.counter, stamp.writer] for key, stamp in stamps}
    if experiment.tags:
        document["tags"] = dict(experiment.tags)
    return document


def from_document(document: Mapping[str, Any], where: str = FILE) -> ExperimentRecord:
    """The experiment that a file holds; unknown fields are kept, a newer schema is refused."""
    if not isinstance(document, Mapping):
        raise FormatError(f"{where} is not an experiment: it is no mapping")
    check_schema(document.get("schema"), where)
    known = {name: value for name, value in document.items() if name in _NAMES}
    unknown = {k: v for k, v in document.items() if k not in _NAMES and k != "schema"}
    try:
        if "created" in known:
            known["created"] = time_from_text(known["created"])
        stamps = known.get("clock", {}).items()
        known["clock"] = {key: Stamp(int(item[0]), str(item[1])) for key, item in stamps}
        for name in ("id", "name"):
            known[name].encode()  # text, without half a surrogate pair
        known["tags"] = dict(known.get("tags", {}).items())
        return ExperimentRecord(**known, unknown=unknown)
    except (AttributeError, KeyError, OverflowError, IndexError, TypeError, ValueError) as error:
        raise FormatError(f"{where} is not an experiment: {error}") from None


def merge(one: ExperimentRecord, other: ExperimentRecord) -> ExperimentRecord:
    """What two sides know of one experiment; the same whatever the order and the grouping.

    Of two values of a field the one with the higher stamp holds; if nobody stamped it, a value
    before none, then the one that is greater as JSON.
    """
    tags = {
        key: _newer(one, other, f"tags.{key}", one.tags.get(key), other.tags.get(key))
        for key in sorted({*one.tags, *other.tags})
    }
    changed = {
        name: _newer(one, other, name, getattr(one, name), getattr(other, name))
        for name in ("name", "description", "deleted")
    }
    clock = {name: max(one.stamp(name), other.stamp(name)) for name in {*one.clock, *other.clock}}
    created = min((time for time in (one.created, other.created) if time is not None), default=None)
    unknown = {
        key: max((side.unknown[key] for side in (one, other) if key in side.unknown), key=_text)
        for key in {*one.unknown, *other.unknown}
    }
    return ExperimentRecord(
        min(one.id, other.id), tags=tags, created=created, clock=clock, unknown=unknown, **changed
    )


def _newer(one: ExperimentRecord, other: ExperimentRecord, name: str, a: Any, b: Any) -> Any:
    return a if (one.stamp(name), _worth(a)) >= (other.stamp(name), _worth(b)) else b


def _worth(value: Any) -> tuple[bool, str]:
    return value is not None, _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


_NAMES = frozenset(item.name for item in fields(ExperimentRecord)) - {"unknown"}
