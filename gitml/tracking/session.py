"""A session: this process's part of a run, from its journal's first line to its last."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from gitml.errors import StorageError, UsageError, shown
from gitml.tracking import live, names, units, values
from gitml.tracking.journal import Event, ended_error
from gitml.tracking.record import Dataset, Json, RunRecord, number_to_json
from gitml.tracking.staging import Source, Staging, Taken
from gitml.tracking.system_tags import FIELDS
from gitml.tracking.writing import Writing


def now_ms() -> int:
    """The time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Shared:
    """What the session knows of its run: params to compare with, paths that are taken."""

    params: dict[str, Json] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    paths: dict[str, bool] = field(default_factory=dict)
    models: set[str] = field(default_factory=set)


class Session:
    """One writer to a run. Threads share it; a forked child continues with a session of its own.

    Every method returns when its call is in the journal, so that it survives the process. While
    the disk refuses it, calls are held in memory, and a warning says so.
    """

    def __init__(self, run: live.LiveRun, begin: Mapping[str, Any]):
        self.run = run
        self.kind: str = begin["kind"]
        self.shared = Shared()
        self.start_time: int = begin["time"]
        self.modules: Mapping[Path, tuple[int, int]] = {}
        self.tree: str | None = None  # the code that this session started with
        self.ended = False
        self._mutex, self._opening = threading.Lock(), threading.Lock()
        self._writing: Writing | None = None
        self._append: Callable[[Event], None]
        self._begin_late: Callable[[], Mapping[str, Any]]
        self._open(begin)

    def _open(self, begin: Mapping[str, Any]) -> None:
        self._writing = Writing(self.run, begin)
        self._append = self._writing.append

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.run.run_id

    # -- logging ---------------------------------------------------------------------------

    def metric(self, key: str, value: float, step: int, time_ms: int) -> None:
        """Log one point of a metric."""
        self._append(
            {"m": (key, step, time_ms, value if value - value == 0 else number_to_json(value))}
        )

    def metrics(self, points: Sequence[tuple[str, int, int, float]]) -> None:
        """Log many points (key, step, time in ms, value) as one line of the journal."""
        if not points:
            return
        rows = [(k, s, t, v if v - v == 0 else number_to_json(v)) for k, s, t, v in points]
        self._append({"ms": rows})

    def params(self, params: Mapping[str, Json]) -> None:
        """Log params, none of them when one has another value already.

        A number and its text are one value, in whatever form: a project's run has `1e-3` as its
        file says that it is a number, and the script may log 0.001.
        """
        known = self.shared.params
        with self._mutex:
            for key, value in params.items():
                if key in known and not values.is_same(known[key], value):
                    raise UsageError(
                        f"param {shown(key)} was already logged as {shown(str(known[key]))};"
                        f" it can't be changed to {shown(str(value))} (params are written once)"
                    )
            new = {key: value for key, value in params.items() if key not in known}
            if new:
                self._append({"params": new})
                known.update(new)

    def tags(self, tags: Mapping[str, str | None]) -> None:
        """Set tags; None deletes one."""
        with self._mutex:
            self._append({"tags": dict(tags), "t": now_ms()})
            for key, value in tags.items():
                if value is None:
                    self.shared.tags.pop(key, None)
                else:
                    self.shared.tags[key] = value

    def mark(self, tags: Mapping[str, str | None]) -> None:
        """Set or delete tags; MLflow's for name and description set these."""
        fields = {field: tags[key] for key, field in FIELDS.items() if key in tags}
        if "name" in fields:
            fields["name"] = names.check_run_name(fields["name"] or "")
        others = {key: value for key, value in tags.items() if key not in FIELDS}
        if fields:
            self.set(**fields)
        if others:
            self.tags(others)

    def set(self, **changes: str | None) -> None:
        """Set the run's name or description."""
        self._append({"set": changes, "t": now_ms()})

    def dataset(self, document: Mapping[str, Any]) -> None:
        """Log an input, as the document of a `record.Dataset`."""
        self._append({"dataset": document})

    def artifacts(self, sources: Iterable[tuple[Source, str]]) -> None:
        """Log files, each (place, artifact path), or streams; all of them or none.

        A file's content is kept as it is now, of a stream what is left to read.
        """
        wanted = _checked(sources)
        self._check_free(wanted, with_models=True)  # before anything is copied
        with self._taken(wanted) as (staging, taken), self._mutex:
            self._check_free(wanted, with_models=True)
            self._log(staging, taken)

    def model(
        self, path: str, sources: Iterable[tuple[Source, str]], entry: Mapping[str, Json]
    ) -> None:
        """Log files, each (place, artifact path), as the model at `path`, which they are alone.

        What was logged below `path` before goes. `entry` is what the run's record says of it.
        """
        wanted = _checked(sources)
        self._check_free(wanted)
        with self._taken(wanted) as (staging, taken), self._mutex:
            self._check_free(wanted)
            self._log(staging, taken)
            files = [file for _, file in wanted]
            self._append({"model": {path: dict(entry)}, "files": files, "t": now_ms()})
            self.shared.models.add(path)

    def _check_free(
        self, wanted: Iterable[tuple[Source, str]], *, with_models: bool = False
    ) -> None:
        paths = [path for _, path in wanted]
        for model in self.shared.models if with_models else ():
            if any(path.startswith(f"{model}/") for path in paths):
                raise UsageError(
                    f"{shown(model)} is a logged model, whose files can't be added to; log"
                    " them at another path, or log the model again"
                )
        units.check_tree(paths, self.shared.paths)

    @contextlib.contextmanager
    def _taken(self, wanted: Iterable[tuple[Source, str]]) -> Iterator[tuple[Staging, list[Taken]]]:
        """What is to be logged, copied, while other threads go on; what was not logged goes."""
        staging, taken = self._staging(), list[Taken]()
        try:
            for source, path in wanted:
                taken.append(staging.take(source, path))
            yield staging, taken
        except BaseException:
            staging.drop(taken)
            raise

    def workshop(self) -> contextlib.AbstractContextManager[Path]:
        """A new folder in which files are made that are to be logged; see `Staging.workshop`."""
        return self._staging().workshop()

    def _staging(self) -> Staging:
        self._start_late()
        if self.ended or self._writing is None:
            raise ended_error()
        return self._writing.staging

    def _log(self, staging: Staging, taken: list[Taken]) -> None:
        items = tuple(taken)
        taken.clear()  # they are the staging's from here on
        staging.log(items, now_ms())
        for item in items:
            self._know(item.path)

    def _know(self, path: str) -> None:
        self.shared.paths[path] = False
        for folder in units.folders_above(path):
            self.shared.paths[folder] = True

    def know(self, record: RunRecord) -> None:
        """Take over what a recorded run has: its params can't change, its paths are taken."""
        self.shared.params.update(record.params)
        self.shared.tags.update(record.live_tags)
        self.shared.models.update(record.models)
        for path in record.artifacts:
            self._know(path)

    def note(self, event: Mapping[str, Any]) -> None:
        """Write another event of fold.py's list."""
        self._append(event)

    # -- the end ---------------------------------------------------------------------------

    def close(self, status: str, reason: str | None = None) -> Ended | None:
        """End the session: what is to be written last, and with what; None without a journal.

        A forked child that logged nothing has none.
        """
        self.ended = True
        writing, self._writing = self._writing, None
        if writing is None:
            return None
        return Ended(writing, {"end": {"status": status, "reason": reason, "time": now_ms()}})

    def end(self, status: str, reason: str | None = None, *, durable: bool = True) -> None:
        """End the session and bring the journal to the disk.

        It need not be `durable` when the run is recorded next. Raises StorageError when the disk
        does not take all that was logged, which is lost then.
        """
        ended = self.close(status, reason)
        if ended is not None:
            try:
                ended.writing.end(ended.event, durable=durable)
            except StorageError:
                ended.writing.give_up()
                raise

    def forked(self) -> None:
        """Continue in a forked child: from the first call on, in a journal of its own.

        The parent's journal and lock are let go without a word; the parent still has them.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.abandon()
        self._mutex, self._opening = threading.Lock(), threading.Lock()
        self._wait("fork", lambda: begin("fork"))

    def go_on(self, joining: Callable[[], Mapping[str, Any]]) -> None:
        """After the end, take more all the same: the next call joins the run, as `joining` says."""
        self.ended = False
        self._wait("join", joining)

    def _wait(self, kind: str, begin: Callable[[], Mapping[str, Any]]) -> None:
        self.kind, self._begin_late, self._append = kind, begin, self._append_late

    def _append_late(self, event: Event) -> None:
        self._start_late()
        if self._writing is None:
            raise ended_error()
        self._append(event)

    def _start_late(self) -> None:
        if self._writing is None and not self.ended:
            with self._opening:
                if self._writing is None:
                    self._open(self._begin_late())


class Ended(NamedTuple):
    """What a session leaves to do at its end: to write this event last."""

    writing: Writing
    event: Event


def _checked(sources: Iterable[tuple[Source, str]]) -> list[tuple[Source, str]]:
    wanted: dict[str, Source] = {}
    for place, path in sources:
        target = names.check_artifact_path(path)
        if target in wanted:
            raise UsageError(
                f"two files are logged as one artifact, {shown(target)}: their names differ in"
                " their Unicode form alone; rename one of them"
            )
        wanted[target] = place
    return [(place, path) for path, place in wanted.items()]


def begin(kind: str, **more: Any) -> dict[str, Any]:
    """The first event of a session of this process."""
    owner = live.owner_to_document(live.this_process())
    return {"schema": 1, "kind": kind, "owner": owner, "time": now_ms(), **more}


def dataset_document(item: Dataset) -> dict[str, Any]:
    """A dataset as its event holds it: every field by name."""
    return {
        name: dict(value) if isinstance(value, Mapping) else value
        for name in Dataset.__dataclass_fields__
        if (value := getattr(item, name)) is not None
    }
