"""Two versions of one run made one: what pull and push do when both sides changed it. Pure.

`merge` is commutative, associative and idempotent, so it does not matter who merges with whom,
how often and in which order. Every part is joined by a rule that looks at values only:

- sessions: the union; of two forms of one session the longer, with its metric history; starts of
  different processes are two sessions, of which one gets another name
- metric summaries: computed again from the histories, never merged
- name, description, deleted, each tag, and status with its end time and reason: the higher stamp,
  then a value before none, then canonical JSON (of statuses the one that tells more)
- params: the union; a key with two values keeps all in `param_conflicts`, the first in `params`
- artifacts: by path the higher stamp, as `gitml.tracking.contents` says; a file under
  `artifacts/` that no artifact names is left out
- models: that of the side whose `MLmodel` file holds
- datasets, code drift and the like: the union, sorted where the sides differ
- code, source, environment: the lowest by canonical JSON; they are equal in practice
- other files of the run's folder: the union; of one path the higher stamp, then blob id
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

from gitml.errors import UsageError, shown
from gitml.tracking.contents import FOLDER, Content, contents, join, place
from gitml.tracking.record import (
    FAILED,
    FINISHED,
    KILLED,
    RUNNING,
    SCHEDULED,
    Code,
    Dataset,
    Json,
    MetricSummary,
    RunRecord,
    Session,
    Stamp,
)
from gitml.tracking.unknown import united

Summarize = Callable[[Mapping[str, str]], Mapping[str, MetricSummary]]
Value = TypeVar("Value")

_Held = tuple[Session | None, str]  # a session and the blob of its history, "" without one
_Owner = tuple[str, int, int]  # host, pid and start time

_HISTORIES = "metrics/"
_START = "start"
_STARTS = re.compile(r"start(?:-[0-9a-f]{8})?")
_KNOWING = (SCHEDULED, RUNNING, KILLED, FAILED, FINISHED)  # who saw the end knows most


@dataclass(frozen=True, slots=True)
class RunVersion:
    """A run as one commit holds it.

    `files` maps the paths in the run's folder, other than run.json, to blob ids.
    """

    record: RunRecord
    files: Mapping[str, str]


def merge(a: RunVersion, b: RunVersion, summarize: Summarize) -> RunVersion:
    """The version that holds what both hold.

    `summarize` gives the metric summaries of the histories among a version's files; it is called
    with the merged files, and only when the sides differ in them. When one side holds all that
    the other does, the result is that side itself.
    """
    if a.record.run_id != b.record.run_id:
        ids = f"{shown(a.record.run_id)} and {shown(b.record.run_id)}"
        raise UsageError(f"runs {ids} are two runs; only versions of one can be merged")
    if _same(a, b):
        return a
    held = contents(a.record, a.files), contents(b.record, b.files)
    placed = place(join(*held))
    sessions, histories = _sessions(a, b)
    files = {**_other_files(a, b), **histories, **placed.files}
    record = replace(
        _facts(a.record, b.record),
        sessions=sessions,
        metrics=_metrics(a, b, files, summarize),
        artifacts=placed.artifacts,
        models=_models(a.record, b.record, *held),
        clock={**_clock(a.record, b.record), **placed.clock},
    )
    merged = RunVersion(record, files)
    return next((side for side in (a, b) if _same(merged, side)), merged)


def _same(one: object, other: object) -> bool:
    """Equality that holds for NaN too: else versions with one would be merged for ever."""
    return one == other or canonical(one) == canonical(other)


def canonical(value: object) -> str:
    """The value as JSON in one form only: what ties are decided by."""
    return json.dumps(value, default=_plain, sort_keys=True)


def _plain(value: Any) -> dict[str, Any]:
    if is_dataclass(value):
        return {item.name: getattr(value, item.name) for item in fields(value)}
    return dict(value)


# -- what the record says of itself --------------------------------------------------------


def _facts(a: RunRecord, b: RunRecord) -> RunRecord:
    """The merged record but for what depends on the files, and the clock."""
    status, end_time, reason = _ending(a, b)
    experiment, experiment_id = _held(a, b, "experiment")
    params, conflicts = _params(a, b)
    return RunRecord(
        run_id=a.run_id,
        name=_held(a, b, "name"),
        experiment=experiment,
        experiment_id=experiment_id,
        status=status,
        start_time=min(a.start_time, b.start_time),
        end_time=end_time,
        user=_held(a, b, "user"),
        description=_held(a, b, "description"),
        deleted=_held(a, b, "deleted"),
        reason=reason,
        parent_run=_held(a, b, "parent_run"),
        params=params,
        param_conflicts=conflicts,
        tags=_tags(a, b),
        datasets=_datasets(a.datasets, b.datasets),
        source=_lowest(a.source, b.source),
        code=_code(a.code, b.code),
        environment=_lowest(a.environment, b.environment),
        unknown=united(a.unknown, b.unknown, canonical),
    )


def _held(a: RunRecord, b: RunRecord, name: str) -> Any:
    """The value of a mutable field on the side where its stamp is higher."""
    sides = [(side.stamp(name), _value(side, name)) for side in (a, b)]
    return max(sides, key=lambda side: (side[0], side[1] is not None, canonical(side[1])))[1]


def _value(record: RunRecord, name: str) -> Any:
    if name == "experiment":
        return record.experiment, record.experiment_id
    return record.tags[name[5:]] if name.startswith("tags.") else getattr(record, name)


def _ending(a: RunRecord, b: RunRecord) -> tuple[str, int | None, str | None]:
    """Status, end time and reason, which travel together."""
    sides = [(side.stamp("status"), (side.status, side.end_time, side.reason)) for side in (a, b)]
    return max(sides, key=lambda side: (side[0], _knowing(side[1][0]), canonical(side[1])))[1]


def _knowing(status: str) -> int:
    return _KNOWING.index(status) if status in _KNOWING else -1


def _tags(a: RunRecord, b: RunRecord) -> dict[str, str | None]:
    """The tags that either side knows; of those that both know, what `_held` says."""
    both = a.tags.keys() & b.tags.keys()
    return {**a.tags, **b.tags, **{key: _held(a, b, f"tags.{key}") for key in both}}


def _clock(a: RunRecord, b: RunRecord) -> dict[str, Stamp]:
    """The higher stamp of each field; one of a tag counts only with the tag that it is for."""
    clock: dict[str, Stamp] = {}
    for name in a.clock.keys() | b.clock.keys():
        sides = [side for side in (a, b) if not _lacks_tag(side, name)] or [a, b]
        stamp = max(side.stamp(name) for side in sides)
        if stamp > Stamp() and not name.startswith(FOLDER):
            clock[name] = stamp
    return clock


def _lacks_tag(record: RunRecord, name: str) -> bool:
    return name.startswith("tags.") and name[5:] not in record.tags


def _params(a: RunRecord, b: RunRecord) -> tuple[dict[str, Json], dict[str, tuple[Json, ...]]]:
    """Params and param conflicts. Values of one text, such as 5 and "5", are one value."""
    found: dict[str, dict[str, Json]] = {}
    for key, value in (*_all_params(a), *_all_params(b)):
        forms = found.setdefault(key, {})
        text = canonical(value) if isinstance(value, (list, dict)) else str(value)
        forms[text] = min(value, forms.get(text, value), key=_typed_first)
    ordered = {key: tuple(sorted(forms.values(), key=canonical)) for key, forms in found.items()}
    return (
        {key: values[0] for key, values in ordered.items()},
        {key: values for key, values in ordered.items() if len(values) > 1},
    )


def _all_params(record: RunRecord) -> Iterator[tuple[str, Json]]:
    yield from record.params.items()
    for key, values in record.param_conflicts.items():
        yield from ((key, value) for value in values)


def _typed_first(value: Json) -> tuple[bool, str]:
    return isinstance(value, str), canonical(value)


def _datasets(a: tuple[Dataset, ...], b: tuple[Dataset, ...]) -> tuple[Dataset, ...]:
    """The inputs of both sides, by name where the sides differ."""
    if a == b:
        return a
    found: dict[tuple[str, str, str], Dataset] = {}
    for item in (*a, *b):
        key = (item.name, item.digest, item.context or "")
        found[key] = max(item, found.get(key, item), key=canonical)
    return tuple(found[key] for key in sorted(found))


def _code(a: Code, b: Code) -> Code:
    bare = [replace(side, drift=(), untracked=(), incomplete={}) for side in (a, b)]
    return replace(
        _lowest(*bare),
        drift=_sorted_union(a.drift, b.drift),
        untracked=_sorted_union(a.untracked, b.untracked),
        incomplete=_united(a.incomplete, b.incomplete),
    )


def _lowest(a: Value, b: Value) -> Value:
    """The lowest by canonical JSON, but rather one that says something than one that does not."""
    return min(a, b, key=lambda value: (value == type(value)(), canonical(value)))


def _sorted_union(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    return a if a == b else tuple(sorted({*a, *b}))


def _united(a: Mapping[str, Value], b: Mapping[str, Value]) -> dict[str, Value]:
    """The keys of both sides; of two values the greatest by canonical JSON."""
    both = {key: max(a[key], b[key], key=canonical) for key in a.keys() & b.keys()}
    return {**a, **b, **both}


# -- what the files hold -------------------------------------------------------------------


def _sessions(a: RunVersion, b: RunVersion) -> tuple[dict[str, Session], dict[str, str]]:
    """The sessions of both sides, and the paths of their histories with the blobs."""
    groups: dict[str, dict[_Owner, _Held]] = {}
    for version in (a, b):
        for name in _session_names(version):
            session, blob = _session(version, name)
            first = _first_name(name, session)
            group, owner = groups.setdefault(first, {}), _owner(first, session)
            group[owner] = max((session, blob), group.get(owner, (None, "")), key=_reach)
    held: dict[str, _Held] = {}
    for first, group in groups.items():
        for name, part in _named(first, group):
            held[name] = max(part, held.get(name, (None, "")), key=_reach)
    sessions = {name: session for name, (session, _) in held.items() if session is not None}
    return sessions, {_history(name): blob for name, (_, blob) in held.items() if blob}


def _named(first: str, group: Mapping[_Owner, _Held]) -> Iterator[tuple[str, _Held]]:
    """The sessions that claim one name: the lowest has it, the others one made from who they are.

    Only of starts can there be several: on machines that made the same run id.
    """
    owners = sorted(group)
    if len(owners) > 1 and not any(owners[0]):  # a history of nobody is that of somebody
        owners = owners[1:]
    part, dot, more = first.partition(".")
    for number, owner in enumerate(owners):
        mark = hashlib.sha256(canonical(owner).encode()).hexdigest()[:8]
        yield f"{part}-{mark}{dot}{more}" if number else first, group[owner]


def _first_name(name: str, session: Session | None) -> str:
    """The name that a session had before it met another of that name."""
    part, dot, number = name.partition(".")
    is_start = session is not None and session.kind == _START
    return f"{_START}{dot}{number}" if is_start and _STARTS.fullmatch(part) else name


def _owner(name: str, session: Session | None) -> _Owner:
    """What tells two starts apart: other sessions have names that nobody else makes."""
    if session is None or session.kind != _START or name.partition(".")[0] != _START:
        return ("", 0, 0)
    return (session.host, session.pid, session.start_time)


def _session_names(version: RunVersion) -> set[str]:
    histories = {_session_of(path) for path in version.files if _is_history(path)}
    return histories | version.record.sessions.keys()


def _session(version: RunVersion, name: str) -> _Held:
    return version.record.sessions.get(name), version.files.get(_history(name), "")


def _reach(part: _Held) -> tuple[int, int, str, str]:
    session, blob = part
    if session is None:
        return -1, -1, "", blob
    end = -1 if session.end_time is None else session.end_time
    return session.lines, end, canonical(session), blob


def _history(session: str) -> str:
    return f"{_HISTORIES}{session}.tsv"


def _session_of(path: str) -> str:
    return path.removeprefix(_HISTORIES).removesuffix(".tsv")


def _is_history(path: str) -> bool:
    return path.startswith(_HISTORIES) and path.endswith(".tsv")


def _metrics(
    a: RunVersion, b: RunVersion, files: Mapping[str, str], summarize: Summarize
) -> Mapping[str, MetricSummary]:
    histories = [
        {path: side.files[path] for path in side.files if _is_history(path)} for side in (a, b)
    ]
    if histories[0] == histories[1] and _same(a.record.metrics, b.record.metrics):
        return a.record.metrics
    return dict(summarize(files))


def _models(
    a: RunRecord, b: RunRecord, held_a: Mapping[str, Content], held_b: Mapping[str, Content]
) -> dict[str, Mapping[str, Json]]:
    """The models of both sides; of two at one path that whose `MLmodel` file holds."""
    found: dict[str, tuple[tuple[Any, ...], str, Mapping[str, Json]]] = {}
    for record, held in ((a, held_a), (b, held_b)):
        for path, model in record.models.items():
            manifest = held.get(f"{path}/MLmodel")
            entry = (manifest,) if manifest else (), canonical(model), model
            found[path] = max(entry, found.get(path, entry), key=lambda item: item[:2])
    return {path: model for path, (_, _, model) in found.items()}


def _other_files(a: RunVersion, b: RunVersion) -> dict[str, str]:
    """The files that belong to no artifact and no history, such as requirements.txt."""
    found: dict[str, tuple[Stamp, str]] = {}
    for version in (a, b):
        for path, blob in version.files.items():
            if not _is_history(path) and not path.startswith(FOLDER):
                entry = version.record.stamp(path), blob
                found[path] = max(entry, found.get(path, entry))
    return {path: blob for path, (_, blob) in found.items()}
