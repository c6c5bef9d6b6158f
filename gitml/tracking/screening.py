"""Screening: what a journal from a spool may say. Whoever can write there may be anybody. Pure.

A line is taken when it says what gitml's own log calls could have said: the same names, values and
paths. A line that is torn is skipped when it is read, as in any journal; one that is whole and says
something else makes the run one that is not collected. Of a first line only what is known is
taken over, into a first line of the collector's own.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gitml.documents import load_json
from gitml.errors import FormatError, GitmlError, shown
from gitml.tracking import journal, live, names, staging, typed, values
from gitml.tracking.record import RUNNING, SCHEMA, STATUSES, RunRecord, from_document

KINDS = ("start", "resume", "fork", "join")
MAX_LINE = 1 << 27  # bytes: 128 MB, twice of what a writer holds in memory
MAX_PACKAGES = 1 << 20
STAGED = "[0-9a-f]{8}-[0-9a-f]{16}"  # the names of staged files, and those of writers
WRITER = "[a-z0-9-]{1,60}-[0-9]{1,10}-[0-9a-f]{8}"
_HEX = {name: re.compile(rf"[0-9a-f]{{{size}}}") for name, size in (("sha256", 64), ("md5", 32))}
_SPECIAL = ("NaN", "Infinity", "-Infinity")
_MAX_HOST = 255


class Beginning(NamedTuple):
    """What is taken of a journal's first line."""

    kind: str
    owner: live.Owner
    time: int
    record: RunRecord | None  # of a start
    requirements: str
    code: str | None  # what the writer was told of the code
    identity: Mapping[str, str]


def is_writer(name: str) -> bool:
    """Whether a journal may be called so."""
    return re.fullmatch(WRITER, name) is not None


def is_staged(name: str) -> bool:
    """Whether a staged file may be called so."""
    return re.fullmatch(STAGED, name) is not None


def beginning(line: bytes, run_id: str) -> Beginning | None:
    """What a journal's first line says; None when it is torn. FormatError for anything odd."""
    event = _event(line)
    if event is None:
        return None
    with _refused("first line"):
        return _beginning(event, run_id)


def _beginning(event: Mapping[str, Any], run_id: str) -> Beginning:
    (begin,) = event.values()
    if next(iter(event)) != "begin" or begin["schema"] != SCHEMA or begin["kind"] not in KINDS:
        raise ValueError(f"{shown(event)} is no beginning that this gitml knows")
    base = begin.get("base") or {}
    is_start = begin["kind"] == "start"
    return Beginning(
        kind=begin["kind"],
        owner=_owner(begin["owner"]),
        time=values.check_timestamp(typed.whole(begin["time"])),
        record=_record(begin["record"], run_id) if is_start else None,
        requirements=typed.text(begin.get("requirements", ""))[:MAX_PACKAGES],
        code=typed.text_or_none(base.get("code")),
        identity={key: typed.text(base["identity"][key])[:_MAX_HOST] for key in _IDENTITY}
        if "identity" in base
        else {},
    )


_IDENTITY = ("name", "email", "zone")


def _owner(told: Mapping[str, Any]) -> live.Owner:
    host, started, boot = (typed.text(told[key])[:_MAX_HOST] for key in ("host", "started", "boot"))
    return live.Owner(host, typed.whole(told["pid"]), started, boot)


def _record(document: Mapping[str, Any], run_id: str) -> RunRecord:
    """The first form of a run's record: what a start says of it, and nothing that comes later."""
    told = from_document(document, "the journal")
    if told.run_id != run_id:
        raise ValueError(f"it is of another run, {shown(told.run_id)}")
    experiment = names.check_experiment_name(told.experiment)
    return RunRecord(
        run_id=run_id,
        name=names.check_run_name(told.name),
        experiment=experiment,
        experiment_id=names.check_component(told.experiment_id),
        status=RUNNING,
        start_time=values.check_timestamp(typed.whole(told.start_time)),
        user=told.user[: names.MAX_NAME],
        description=told.description,
        parent_run=told.parent_run and names.check_run_id(told.parent_run),
        tags=_tags(told.live_tags),
        source=told.source,
        environment=told.environment,
    )


def files_of(data: bytes, writer: str) -> dict[str, Mapping[str, Any]]:
    """The staged files that the lines of a journal name, by that name, with what is said of them.

    FormatError when a line, unless it is torn, says what no log call says.
    """
    files: dict[str, Mapping[str, Any]] = {}
    for line in data.split(b"\n"):
        event = _event(line) if line else None
        if event is not None:
            with _refused("line"):
                _check(event, writer)
            if "artifact" in event:
                files[event["artifact"]["file"]] = event["artifact"]
    return files


def _event(line: bytes) -> Mapping[str, Any] | None:
    """What a line says; None when its checksum is wrong."""
    if len(line) > MAX_LINE:
        raise FormatError(f"a line has {len(line)} bytes, at most {MAX_LINE} are allowed")
    if not journal.is_whole(line):
        return None
    event = load_json(line, "a line of the journal")
    if not isinstance(event, dict) or next(iter(event), "") != "crc" or len(event) < 2:
        raise FormatError(f"{shown(event)} is no line of a journal")
    del event["crc"]
    return event


@contextlib.contextmanager
def _refused(what: str) -> Iterator[None]:
    try:
        yield
    except (*typed.MALFORMED, GitmlError) as error:
        why = shown(str(error) or repr(error))
        raise FormatError(f"what is in its {what} is not gitml's: {why}") from None


def _check(event: Mapping[str, Any], writer: str) -> None:
    name = next(iter(event))
    check, others = _EVENTS[name]
    if event.keys() - {name, *others}:
        raise ValueError(f"{shown(event)} says more than is known of {name}")
    if "t" in others:
        values.check_timestamp(typed.whole(event["t"]))
    check(event[name])
    if name == "artifact" and not event[name]["file"].startswith(staging.prefix_of(writer)):
        raise ValueError("the file of an artifact is another writer's")
    for path in event["files"] if "files" in others else ():
        _path(path)


def _path(path: Any) -> None:
    if names.check_artifact_path(typed.text(path)) != path:
        raise ValueError(f"the artifact path {shown(path)} is not in its normal form")


def _point(item: Any) -> None:
    key, step, time, value = item
    names.check_metric_key(key)
    values.check_step(typed.whole(step))
    values.check_timestamp(typed.whole(time))
    if value not in _SPECIAL and (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(float(value))
    ):
        raise ValueError(f"the metric {shown(key)} has the value {shown(value)}")


def _points(items: Iterable[Any]) -> None:
    for item in items:
        _point(item)


def _params(told: Any) -> None:
    for key, value in typed.mapping(told).items():
        names.check_param_key(key)
        kept = values.check_param_value(key, value)
        if type(kept) is not type(value) or kept != value:
            raise ValueError(f"the param {shown(key)} has a value that no log call keeps")


def _tags(told: Any) -> dict[str, str]:
    for key, value in typed.mapping(told).items():
        names.check_tag_key(key)
        if value is not None:
            values.check_tag_value(key, typed.text(value))
    return dict(told)


def _settings(told: Any) -> None:
    for name, value in typed.mapping(told).items():
        if name == "name":
            names.check_run_name(value)
        elif name == "description":
            typed.text_or_none(value)
        else:
            raise ValueError(f"it sets {shown(name)}")


def _artifact(told: Any) -> None:
    if typed.mapping(told).keys() != {"path", "file", "size", "sha256", "md5"}:
        raise ValueError(f"the artifact {shown(told)} is not described")
    _path(told["path"])
    sound = is_staged(told["file"]) and typed.whole(told["size"]) >= 0
    if not sound or not all(form.fullmatch(told[name]) for name, form in _HEX.items()):
        raise ValueError(f"the artifact {shown(told['path'])} has no proper file and digests")


def _dataset(told: Any) -> None:
    known = from_document({"schema": SCHEMA, **_NOBODY, "datasets": [told]}, "a dataset")
    if known.unknown:
        raise ValueError("the dataset says more than is known")


_NOBODY = {
    **dict.fromkeys(("run_id", "name", "experiment", "experiment_id"), "x"),
    "status": RUNNING,
    "start_time": "2026-01-01T00:00:00Z",
}


def _models(told: Any) -> None:
    for path, entry in typed.mapping(told).items():
        _path(path)
        typed.mapping(entry)


def _end(told: Any) -> None:
    if told.keys() != {"status", "reason", "time"} or told["status"] not in STATUSES:
        raise ValueError(f"it ends in {shown(told)}")
    typed.text_or_none(told["reason"])
    values.check_timestamp(typed.whole(told["time"]))


# What each event holds under its name, and the keys that it may have beside that.
_EVENTS: Mapping[str, tuple[Callable[[Any], Any], tuple[str, ...]]] = {
    "m": (_point, ()),
    "ms": (_points, ()),
    "params": (_params, ()),
    "tags": (_tags, ("t",)),
    "set": (_settings, ("t",)),
    "artifact": (_artifact, ("t",)),
    "dataset": (_dataset, ()),
    "model": (_models, ("files", "t")),
    "drift": (typed.texts, ()),
    "cells": (typed.text, ()),
    "end": (_end, ()),
}
