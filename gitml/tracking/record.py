"""The run record: everything small about one run, as `run.json` holds it.

`RunRecord` is the value that the whole of gitml works on; the dictionary form exists only
at the file boundary (`to_document`, `from_document`). Format: schemas/run.schema.json.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from gitml.errors import FormatError, shown
from gitml.tracking import unknown
from gitml.tracking.moments import time_from_text, time_to_text
from gitml.tracking.typed import (
    MALFORMED,
    anything,
    each,
    flag,
    mapping,
    plain,
    text,
    text_or_none,
    texts,
    whole,
)

SCHEMA = 1
Json = bool | int | float | str | list[Any] | dict[str, Any] | None

RUNNING, FINISHED, FAILED, KILLED = "RUNNING", "FINISHED", "FAILED", "KILLED"
SCHEDULED, LOST = "SCHEDULED", "LOST"
STATUSES = (RUNNING, SCHEDULED, FINISHED, FAILED, KILLED)

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True, slots=True, order=True)
class Stamp:
    """A Lamport stamp: of two values of one field, the one with the higher stamp holds."""

    counter: int = 0
    writer: str = ""


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """What a metric's whole history comes to; NaN is left out of `min` and `max`."""

    last: float
    step: int
    min: float | None
    max: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file that the run logged: its size in bytes, sha256 (hex) and where it is.

    `where` is `git` for a file inside the commit, else the path of its DVC pointer
    relative to the run's folder, such as `artifacts/model.dvc`.
    """

    size: int
    sha256: str
    where: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """An input of the run, as `log_input` describes it."""

    name: str
    digest: str
    context: str | None = None
    source: Mapping[str, Json] = field(default_factory=lambda: _EMPTY)
    source_type: str = "local"
    schema: Json = None
    profile: Json = None
    tags: Mapping[str, str] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True)
class Session:
    """One writer's part of the run: a start, a resume, a forked worker or another process.

    `lines` counts the journal lines that this part covers, `skipped` those that could not be read.
    """

    kind: str  # start, resume, fork or join
    host: str
    pid: int
    start_time: int
    end_time: int | None = None
    lines: int = 0
    skipped: int = 0
    snapshot: str | None = None  # a resume's own snapshot commit


@dataclass(frozen=True, slots=True)
class Source:
    """What was executed: a script, notebook or module, and its command line without secrets."""

    name: str = ""
    type: str = "LOCAL"
    command: tuple[str, ...] = ()
    entry: str | None = None  # the script relative to the repository's root


@dataclass(frozen=True, slots=True)
class Code:
    """The state of the repository when the run started.

    `tree` is the id of the snapshot's tree without `.gitml/run`: it names the code whatever
    becomes of the commit. `drift` lists modules that the process loaded or that changed later
    and differ from the snapshot. `incomplete` names what the snapshot could not hold, and why.
    """

    commit: str | None = None
    tree: str | None = None
    branch: str | None = None
    dirty: bool = False
    remote: str | None = None
    scope: str = "."
    drift: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    incomplete: Mapping[str, str] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True)
class Environment:
    """The machine and the interpreter; the packages are in `requirements.txt`."""

    python: str = ""
    platform: str = ""
    host: str = ""
    cpus: int = 0
    gitml: str = ""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. Times are milliseconds since the epoch, UTC.

    `params` keep their JSON type; a key with two values (two sides of a merge) also stands in
    `param_conflicts` with all of them. A tag whose value is None was deleted. `clock` holds the
    stamps of mutable fields: `name`, `description`, `status`, `deleted`, `tags.KEY` and
    `artifacts/PATH`; a field without a stamp has the lowest. `unknown` are fields of run.json,
    also of the objects in it, that this gitml does not know.
    """

    run_id: str
    name: str
    experiment: str
    experiment_id: str
    status: str
    start_time: int
    end_time: int | None = None
    user: str = ""
    description: str | None = None
    deleted: bool = False
    reason: str | None = None
    parent_run: str | None = None
    params: Mapping[str, Json] = field(default_factory=lambda: _EMPTY)
    param_conflicts: Mapping[str, tuple[Json, ...]] = field(default_factory=lambda: _EMPTY)
    metrics: Mapping[str, MetricSummary] = field(default_factory=lambda: _EMPTY)
    tags: Mapping[str, str | None] = field(default_factory=lambda: _EMPTY)
    datasets: tuple[Dataset, ...] = ()
    artifacts: Mapping[str, Artifact] = field(default_factory=lambda: _EMPTY)
    models: Mapping[str, Mapping[str, Json]] = field(default_factory=lambda: _EMPTY)
    source: Source = Source()
    code: Code = Code()
    environment: Environment = Environment()
    sessions: Mapping[str, Session] = field(default_factory=lambda: _EMPTY)
    clock: Mapping[str, Stamp] = field(default_factory=lambda: _EMPTY)
    unknown: Mapping[str, Json] = field(default_factory=lambda: _EMPTY)

    def stamp(self, name: str) -> Stamp:
        """The stamp of the mutable field `name`."""
        return self.clock.get(name, Stamp())

    def set(self, name: str, value: Any, writer: str) -> RunRecord:
        """A copy with a mutable field changed and stamped by `writer`; tags are `tags.KEY`."""
        stamp = Stamp(self.stamp(name).counter + 1, writer)
        clock = {**self.clock, name: stamp}
        if name.startswith("tags."):
            return replace(self, tags={**self.tags, name[5:]: value}, clock=clock)
        return replace(self, **{name: value}, clock=clock)

    @property
    def live_tags(self) -> dict[str, str]:
        """The tags that are set, without the deleted ones."""
        return {key: value for key, value in self.tags.items() if value is not None}


# -- the file boundary ---------------------------------------------------------------------


def number_to_json(value: float) -> float | str:
    """A float as JSON can hold it: NaN and the infinities become strings."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def number_from_json(value: float | str) -> float:
    """The float that `number_to_json` wrote."""
    return _SPECIAL[value] if isinstance(value, str) else float(value)


def to_document(record: RunRecord) -> dict[str, Any]:
    """The record as run.json holds it; fields that say nothing are left out."""
    document: dict[str, Any] = {"schema": SCHEMA}
    for item in fields(RunRecord):
        value = getattr(record, item.name)
        if item.name != "unknown" and not _may_be_left_out(item, value):
            document[item.name] = _encode(item.name, value)
    unknown.put_back(document, record.unknown, _PARTS)
    return document


def from_document(document: Mapping[str, Any], where: str = "run.json") -> RunRecord:
    """The record that run.json holds; unknown fields are kept, a newer schema is refused."""
    if not isinstance(document, Mapping):
        raise FormatError(f"{shown(where)} is not a run record: it is no mapping")
    check_schema(document.get("schema"), where)
    try:
        known = {
            name: _DECODERS[name](value) if name in _DECODERS else value
            for name, value in document.items()
            if name in _NAMES
        }
        return RunRecord(**known, unknown=unknown.find(document, _KNOWN, _PARTS))
    except MALFORMED as error:
        raise FormatError(f"{shown(where)} is not a run record: {shown(repr(error))}") from None


class NewerError(FormatError):
    """A file is written by a newer gitml: nothing is wrong with it."""


def check_schema(schema: object, where: str) -> None:
    """Refuse a file of a schema that this gitml does not know."""
    if not isinstance(schema, int) or isinstance(schema, bool):
        raise FormatError(f"{where} has no 'schema' number; it is not a file of gitml")
    if schema > SCHEMA:
        raise NewerError(
            f"{where} has schema {schema}, this gitml reads up to {SCHEMA}; upgrade gitml"
        )


def _may_be_left_out(item: Field[Any], value: object) -> bool:
    """Whether a field has its default anyway, and says nothing with it."""
    if item.default is MISSING and item.default_factory is MISSING:
        return False
    return value is None or value is False or value == () or value == {} or value == ""


def _compact(value: Any) -> dict[str, Any]:
    """A small dataclass as a dictionary without the fields that say nothing."""
    plain: dict[str, Any] = {}
    for item in fields(value):
        part = getattr(value, item.name)
        if not _may_be_left_out(item, part):
            plain[item.name] = _plain(item.name, part)
    return plain


def _plain(name: str, value: Any) -> Any:
    if name.endswith("_time"):
        return time_to_text(value)
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _encode(name: str, value: Any) -> Any:
    if name == "metrics":
        return {key: _encode_summary(summary) for key, summary in value.items()}
    if name == "datasets":
        return [_compact(dataset) for dataset in value]
    if name in ("artifacts", "sessions"):
        return {key: _compact(item) for key, item in value.items()}
    if name in ("source", "code", "environment"):
        return _compact(value)
    if name == "clock":
        return {key: [stamp.counter, stamp.writer] for key, stamp in value.items()}
    if name == "param_conflicts":
        return {key: list(values) for key, values in value.items()}
    return _plain(name, value)


def _encode_summary(summary: MetricSummary) -> dict[str, Any]:
    document: dict[str, Any] = {"last": number_to_json(summary.last), "step": summary.step}
    if summary.min is not None and summary.max is not None:
        document["min"] = number_to_json(summary.min)
        document["max"] = number_to_json(summary.max)
    document["count"] = summary.count
    return document


def _decode_summary(item: Mapping[str, Any]) -> MetricSummary:
    last, low, high = item["last"], item.get("min"), item.get("max")
    if not (type(last) is type(low) is type(high) is float):
        last = number_from_json(last)
        low, high = (None if it is None else number_from_json(it) for it in (low, high))
    return MetricSummary(last, whole(item["step"]), low, high, whole(item["count"]))


def _rebuilt(kind: type[Any], item: Mapping[str, Any]) -> Any:
    decoders = _FIELDS[kind]
    return kind(**{key: decoders[key](part) for key, part in item.items() if key in decoders})


_NAMES = frozenset(item.name for item in fields(RunRecord)) - {"unknown"}
_DECODERS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("run_id", "name", "experiment", "experiment_id", "status", "user"), text),
    **dict.fromkeys(("description", "reason", "parent_run"), text_or_none),
    "deleted": flag,
    "start_time": time_from_text,
    "end_time": time_from_text,
    "params": each(plain),
    "param_conflicts": each(tuple),
    "metrics": each(_decode_summary),
    "tags": each(text_or_none),
    "datasets": lambda value: tuple(_rebuilt(Dataset, item) for item in value),
    "artifacts": each(partial(_rebuilt, Artifact)),
    "models": each(mapping),
    "source": partial(_rebuilt, Source),
    "code": partial(_rebuilt, Code),
    "environment": partial(_rebuilt, Environment),
    "sessions": each(partial(_rebuilt, Session)),
    "clock": each(lambda item: Stamp(whole(item[0]), text(item[1]))),
}
_CODE: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("commit", "tree", "branch", "remote"), text_or_none),
    "dirty": flag,
    "scope": text,
    "drift": texts,
    "untracked": texts,
    "incomplete": each(text),
}
_DATASET: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("name", "digest", "source_type"), text),
    "context": text_or_none,
    "schema": anything,
    "profile": anything,
    "source": mapping,
    "tags": each(text),
}
_SESSION: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("start_time", "end_time"), time_from_text),
    **dict.fromkeys(("kind", "host"), text),
    **dict.fromkeys(("pid", "lines", "skipped"), whole),
    "snapshot": text_or_none,
}
_ENVIRONMENT: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("python", "platform", "host", "gitml"), text),
    "cpus": whole,
}
_FIELDS: Mapping[type[Any], Mapping[str, Callable[[Any], Any]]] = {
    Dataset: _DATASET,
    Artifact: {"size": whole, "sha256": text, "where": text},
    Session: _SESSION,
    Source: {"name": text, "type": text, "command": texts, "entry": text_or_none},
    Code: _CODE,
    Environment: _ENVIRONMENT,
}
_KNOWN = _NAMES | {"schema"}
_PARTS = {
    "metrics": unknown.Part(frozenset(item.name for item in fields(MetricSummary))),
    "artifacts": unknown.Part(frozenset(_FIELDS[Artifact])),
    "sessions": unknown.Part(frozenset(_FIELDS[Session])),
    "datasets": unknown.Part(
        frozenset(_FIELDS[Dataset]),
        key=lambda item: "\n".join((item["name"], item["digest"], item.get("context") or "")),
    ),
    "source": unknown.Part(frozenset(_FIELDS[Source]), many=False),
    "code": unknown.Part(frozenset(_FIELDS[Code]), many=False),
    "environment": unknown.Part(frozenset(_FIELDS[Environment]), many=False),
}
