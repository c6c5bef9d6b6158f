"""From journals to a run record: the fold over the events of all writers of a run. Pure.

The events, each named by its first key:

    begin     how the writer came to be: kind, owner, time; of a start also the record's first form
    m, ms     one metric point, many: [key, step, time_ms, value]
    params    {key: value}
    tags      {key: value, or null to delete}, with `t`, the time in ms
    set       {field: value} of a mutable field (name, description), with `t`
    artifact  a staged file: path, file, size, sha256, md5, with `t`
    dataset   an input
    model     {path: entry} of a model, with `files`, all that it consists of, and `t`
    drift     modules that differ from the snapshot
    cells     the cells that a notebook executed
    end       status, reason and time; the writer says no more
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gitml.errors import FormatError, shown
from gitml.tracking.metrics import Point, summarize, write_history
from gitml.tracking.record import (
    FINISHED,
    KILLED,
    RUNNING,
    Dataset,
    Json,
    RunRecord,
    Session,
    from_document,
    number_from_json,
)

STARTS = ("start", "resume")
_DIED = "the process ended without ending the run"


@dataclass(frozen=True, slots=True)
class Staged:
    """A logged file, in the run's `files` folder under the name `file`, not yet stored."""

    path: str
    file: str
    size: int
    sha256: str
    md5: str
    time: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """What one journal adds: its begin event, and the events that were not recorded before.

    `last_seen` is when the writer last wrote, in ms; `alive` whether it may write more.
    """

    session: str
    begin: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    lines: int
    skipped: int
    last_seen: int
    alive: bool

    @property
    def kind(self) -> str:
        """start, resume, fork or join."""
        return str(self.begin["kind"])

    @property
    def end(self) -> Mapping[str, Any] | None:
        """The end event, when the writer came to its end."""
        last = self.events[-1] if self.events else {}
        return last.get("end")


@dataclass(frozen=True, slots=True)
class Folded:
    """A record with what the journals say, but for the artifacts, which are still staged."""

    record: RunRecord
    files: Mapping[str, bytes]
    staged: Mapping[str, Staged]
    parts: Sequence[Part] = field(default_factory=tuple)


def fold(
    parts: Sequence[Part],
    base: RunRecord | None = None,
    histories: Mapping[str, Sequence[Point]] | None = None,
) -> Folded:
    """The run as `parts` make it, on top of `base`, the run as it was recorded before.

    `histories` are the metric histories of `base` by session, needed when a part has points of
    metrics. Without a base one part must be a
    start. The order of `parts` does not matter.
    """
    ordered = sorted(parts, key=lambda part: (part.begin["time"], part.session))
    record = base or _first(ordered)
    added = {part.session: list(points_of(part)) for part in ordered}
    record = _with_params(record, ordered)
    record = _with_settings(record, ordered, stamped=base is not None)
    record = _with_inputs(record, ordered)
    record = _without_replaced(record, ordered)
    record = _with_status(record, ordered, stamped=base is not None)
    sessions = {**record.sessions, **{part.session: _session(part) for part in ordered}}
    metrics = record.metrics
    if base is None or any(added.values()):
        metrics = summarize({**(histories or {}), **added})
    files = {
        f"metrics/{name}.tsv": write_history(points) for name, points in added.items() if points
    }
    files.update(_texts(ordered, is_new=base is None))
    record = replace(record, sessions=sessions, metrics=metrics)
    return Folded(record, files, staged_of(ordered), ordered)


def _first(parts: Sequence[Part]) -> RunRecord:
    for part in parts:
        if part.kind == "start":
            return from_document(part.begin["record"], "the journal")
    raise FormatError("the run has no journal of its start; it can't be recorded")


def _events(parts: Sequence[Part], name: str) -> Iterator[tuple[Part, Any, Mapping[str, Any]]]:
    for part in parts:
        for event in part.events:
            if name in event:
                yield part, event[name], event


def points_of(part: Part) -> Iterator[Point]:
    """The metric points that a part holds, in call order."""
    for event in part.events:
        if "m" in event:
            yield _point(event["m"])
        elif "ms" in event:
            yield from map(_point, event["ms"])


def _point(item: Sequence[Any]) -> Point:
    key, step, time_ms, value = item
    return Point(key, step, time_ms, number_from_json(value))


_WORDS = {
    "m": "metrics", "ms": "metrics", "params": "params", "tags": "tags", "artifact": "artifacts",
    "dataset": "inputs", "model": "models",
}  # fmt: skip


def words_of(leader: Part, parts: Sequence[Part]) -> str:
    """What a later session, of which `leader` is the first part, did to a run, in a few words."""
    if leader.kind == "resume":
        return "resumed"
    events = (event for part in parts for event in part.events)
    return ", ".join(dict.fromkeys(word for event in events for word in _words(event)))


def _words(event: Mapping[str, Any]) -> Iterator[str]:
    yield from event.get("set", ())
    yield from (word for name, word in _WORDS.items() if name in event)


def _with_params(record: RunRecord, parts: Sequence[Part]) -> RunRecord:
    """Write-once: a second value, from another process, is kept beside the first and reported."""
    params: dict[str, Json] = dict(record.params)
    conflicts = dict(record.param_conflicts)
    for _, values, _ in _events(parts, "params"):
        for key, value in values.items():
            known = params.setdefault(key, value)
            seen = conflicts.get(key, (known,))
            if str(value) not in map(str, seen):
                conflicts[key] = tuple(sorted((*seen, value), key=str))
    for key, values in conflicts.items():
        params[key] = values[0]
    return replace(record, params=params, param_conflicts=conflicts)


def _with_settings(record: RunRecord, parts: Sequence[Part], *, stamped: bool) -> RunRecord:
    changes = [
        (moment, part.session, number, name, value)
        for part in parts
        for number, (moment, event) in enumerate(_timed(part))
        for name, value in _settings(event)
    ]
    for _, writer, _, name, value in sorted(changes, key=lambda change: change[:3]):
        if stamped:
            record = record.set(name, value, writer)
        elif name.startswith("tags."):
            record = replace(record, tags=_tagged(record.tags, name[5:], value))
        else:
            record = replace(record, **{name: value})
    return record


def _settings(event: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in event.get("tags", {}).items():
        yield f"tags.{key}", value
    for name, value in event.get("set", {}).items():
        if name not in ("name", "description"):
            raise FormatError(f"the journal sets {shown(name)}, which this gitml does not know")
        yield name, value


def _tagged(tags: Mapping[str, str | None], key: str, value: str | None) -> dict[str, str | None]:
    """The tags of a run that nobody has seen yet: a deletion leaves nothing to remember."""
    changed = {**tags, key: value}
    if value is None:
        del changed[key]
    return changed


def _with_inputs(record: RunRecord, parts: Sequence[Part]) -> RunRecord:
    datasets = {_input_key(item): item for item in record.datasets}
    for _, document, _ in _events(parts, "dataset"):
        item = Dataset(**document)
        datasets.setdefault(_input_key(item), item)
    models = dict(record.models)
    for _, entries, _ in _events(parts, "model"):
        models.update(entries)
    drift = set(record.code.drift).union(*(names for _, names, _ in _events(parts, "drift")))
    code = replace(record.code, drift=tuple(sorted(drift)))
    return replace(record, datasets=tuple(datasets.values()), models=models, code=code)


def _without_replaced(record: RunRecord, parts: Sequence[Part]) -> RunRecord:
    """Of a model that is logged again, what was recorded of the former goes."""
    artifacts = dict(record.artifacts)
    for _, _, event in _events(parts, "model"):
        _drop_former(artifacts, event)
    return replace(record, artifacts=artifacts)


def _drop_former(files: dict[str, Any], event: Mapping[str, Any]) -> None:
    """Drop the files below a model's path that are not the model's own."""
    own = set(event.get("files", ()))
    for model in event["model"]:
        for path in [path for path in files if path.startswith(f"{model}/") and path not in own]:
            del files[path]


def _input_key(item: Dataset) -> tuple[str, str, str]:
    return (item.name, item.digest, item.context or "")


def _with_status(record: RunRecord, parts: Sequence[Part], *, stamped: bool) -> RunRecord:
    """The status that the last starter came to; one that died is KILLED."""
    starters = [part for part in parts if part.kind in STARTS and part.events]
    if not starters:
        return record
    last = starters[-1]
    status, reason, time = _outcome(last)
    changed = replace(record, reason=reason, end_time=time)
    return (
        changed.set("status", status, last.session) if stamped else replace(changed, status=status)
    )


def _outcome(part: Part) -> tuple[str, str | None, int | None]:
    end = part.end
    if end is not None:
        return end.get("status", FINISHED), end.get("reason"), end["time"]
    if part.alive:
        return RUNNING, None, None
    return KILLED, _DIED, part.last_seen


def _session(part: Part) -> Session:
    owner, end = part.begin["owner"], part.end
    ended = end["time"] if end else None if part.alive else part.last_seen
    base = part.begin.get("base") or {}
    return Session(
        kind=part.kind,
        host=owner["host"],
        pid=owner["pid"],
        start_time=part.begin["time"],
        end_time=ended,
        lines=part.lines,
        skipped=part.skipped,
        snapshot=base.get("live") if part.kind == "resume" else None,
    )


def _texts(parts: Sequence[Part], *, is_new: bool) -> Iterator[tuple[str, bytes]]:
    """requirements.txt of the start (a resume's stands beside it), and a notebook's cells."""
    for part in parts:
        packages = part.begin.get("requirements")
        if packages and part.kind == "start" and is_new:
            yield "requirements.txt", packages.encode("utf-8", "backslashreplace")
        elif packages and part.kind == "resume":
            name = f"requirements-{part.session}.txt"
            yield name, packages.encode("utf-8", "backslashreplace")
    for part, text, _ in _events(parts, "cells"):
        name = "cells.py" if part.kind == "start" else f"cells-{part.session}.py"
        yield name, text.encode("utf-8", "replace")


def staged_of(parts: Sequence[Part]) -> dict[str, Staged]:
    """The files that were logged, by path; of two at one path the later."""
    found: dict[str, Staged] = {}
    for moment, event in (timed for part in parts for timed in _timed(part)):
        if "artifact" in event:
            staged = Staged(**event["artifact"], time=moment)
            known = found.get(staged.path)
            if known is None or known.time <= staged.time:
                found[staged.path] = staged
        elif "model" in event:
            _drop_former(found, event)
    return found


def _timed(part: Part) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The events with their times, which do not go back even if the writer's clock did."""
    moment = 0
    for event in part.events:
        moment = max(moment, event.get("t", 0))
        yield moment, event
