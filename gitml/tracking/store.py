"""Reading runs and experiments, recorded and live, through the index where it helps."""

from __future__ import annotations

import functools
import itertools
import random
import time
from collections.abc import Callable, Container, Mapping, Sequence

from gitml import documents, git
from gitml.errors import NOT_FOUND, TAKEN, GitmlError, UsageError, shown
from gitml.git import Repository
from gitml.tracking import (
    absent,
    agreed,
    download,
    experiment,
    names,
    recording,
    spooling,
    starting,
)
from gitml.tracking.commits import RUN_FOLDER, LedgerEdit, printable
from gitml.tracking.experiment import ExperimentRecord
from gitml.tracking.index import Index
from gitml.tracking.ledger import ChangedError, Entry
from gitml.tracking.metrics import Row, read_rows
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord
from gitml.tracking.spool import Spool, Where

DEFAULT_EXPERIMENTS = ("0", "Default")  # MLflow's id and name of the experiment for all the rest


def index(place: Place) -> Index:
    """The index of the repository's ledger, up to date."""
    key = (place.repo, place.ledger.short)
    known = _indexes.get(key)
    if known is None:
        own = functools.lru_cache(8)(lambda heads: agreed.own_heads(place, heads))
        known = _indexes[key] = Index.open(*key, own=lambda heads: own(tuple(heads)))
    else:
        known.refresh()
    return known


_indexes: dict[tuple[Repository, str], Index] = {}


def entry(place: Place, run_id: str) -> Entry | None:
    """A recorded run with its files; None when the ledger has none of that id."""
    rows = index(place).rows_for([run_id])
    if rows and rows[0].commit and len(rows[0].blobs) == 1:
        return place.ledger.at(rows[0].commit)
    return place.ledger.find(run_id)


def record(where: Where, run_id: str) -> RunRecord:
    """The record of a run, live or recorded; UsageError when there is none of that id."""
    return spooling.record(where, run_id) if isinstance(where, Spool) else _found(where, run_id)[0]


def _found(place: Place, run_id: str) -> tuple[RunRecord, Entry | None]:
    names.check_run_id(run_id)
    run, known = place.live_run(run_id), None
    found = recording.live_record(place, run) if run.folder.is_dir() else None
    if found is None and (known := entry(place, run_id)) is not None:
        found = known.record
    if found is None:
        raise absent.error(place, run_id)
    return index(place).as_today(found), known


def open_run(place: Place, run_id: str) -> tuple[RunRecord, Entry | None]:
    """A run that takes more: its record, and how it is recorded when it is not live.

    UsageError when it or its experiment is deleted.
    """
    found, known = _found(place, run_id)
    if not found.deleted:
        return found, known
    if (mark := index(place).marks().get(found.experiment_id)) is not None and mark.deleted:
        what = f"the experiment {shown(mark.name)} of run {run_id} is deleted; restore it first"
        raise UsageError(what)
    raise UsageError(f"run {run_id} is deleted; restore it first: gitml runs restore {run_id}")


def resolve(place: Place, text: str) -> str:
    """The id of the run that a person means: an id, a part of it, a name, `latest` or a tag."""
    if names.is_run_id(text):
        return text
    text = names.normal(text)
    found = index(place).find(text, live=recording.live_records(place)) or _tagged(place, text)
    if not found:
        raise absent.unknown(place, text)
    if len(found) > 1:
        some = ", ".join(run_id[-8:] for run_id in found[:5])
        raise UsageError(f"{shown(text)} means {len(found)} runs: {some}; name one by its id")
    return found[0]


def _tagged(place: Place, tag: str) -> list[str]:
    """The run on whose commit a tag such as churn@v1.0.0 stands."""
    name = f"refs/tags/{tag}^{{commit}}"
    if git.resolve(place.repo, f"{name}:{RUN_FOLDER}/run.json") is None:
        return []
    return [place.ledger.at(str(git.resolve(place.repo, name))).record.run_id]


def search(
    place: Place,
    filter: str = "",
    order_by: Sequence[str] = (),
    experiment_ids: Sequence[str] | None = None,
    view: str = "active",
    limit: int | None = None,
    offset: int = 0,
) -> list[RunRecord]:
    """The records that match MLflow's filter language, in MLflow's order; see search/."""
    book = index(place)
    rows = book.search(
        filter,
        order_by,
        experiment_ids=experiment_ids,
        view=view,
        limit=limit,
        offset=offset,
        live=recording.live_records(place),
    )
    return book.records(rows)


# -- metrics and artifacts -------------------------------------------------------------------


def history(place: Place, run_id: str, key: str) -> list[Row]:
    """All points of a metric in the order of the calls: of each session, the earliest first."""
    run, key = place.live_run(run_id), names.normal(key)
    known = entry(place, run_id)
    points: list[Row] = []
    if known is not None:
        began = {f"metrics/{id}.tsv": it.start_time for id, it in known.record.sessions.items()}
        texts = recording.texts(place, known, "metrics/")
        for path, data in sorted(texts, key=lambda text: began.get(text[0], 0)):
            points += read_rows(data, path, key)
    if run.folder.is_dir():
        points += recording.live_points(run, key, known)
    return points


def artifact(place: Place, run_id: str, path: names.ArtifactPath) -> bytes:
    """The bytes of an artifact of a run, live or recorded."""
    found = logged_so_far(place, run_id, path)
    if found is None:
        raise UsageError(f"run {run_id} has no artifact {shown(str(path))}", NOT_FOUND)
    return found


def logged_so_far(where: Where, run_id: str, path: names.ArtifactPath) -> bytes | None:
    """The bytes of an artifact as it is now; None when the run has none of that path."""
    run, path = where.live_run(run_id), names.normal_path(path)
    if run.folder.is_dir() and (staged := recording.staged(run).get(path)) is not None:
        return (run.files / staged.file).read_bytes()
    known = None if isinstance(where, Spool) else entry(where, run_id)
    if isinstance(where, Spool) or known is None or path not in known.record.artifacts:
        return None
    return download.read(where, known.record, known.commit, path)


# -- experiments -----------------------------------------------------------------------------


def experiments(place: Place) -> list[ExperimentRecord]:
    """Every experiment that was created or has a run, newest first."""
    found = index(place).experiments(live=recording.live_records(place))
    return sorted(found, key=lambda item: -(item.created or 0))


def find_experiment(
    where: Where, *, id: str | None = None, name: str | None = None
) -> ExperimentRecord | None:
    """The experiment of that id or name; MLflow's `0` and `Default` are the default one."""
    default = identify(where, where.settings.experiment)
    if id in DEFAULT_EXPERIMENTS or (name in DEFAULT_EXPERIMENTS and name != default.name):
        id, name = default.id, None
    name = None if name is None else names.normal(name)
    if isinstance(where, Spool):
        return spooling.experiment(name, id)
    for item in experiments(where):
        if item.id == id or (name is not None and names.normal(item.name) == name):
            return item
    return default if default.id == id or default.name == name else None


def identify(where: Where, name: str, id: str | None = None) -> ExperimentRecord:
    """The experiment that a new run belongs to: that of the id, else that of the name, else a new.

    Only its id, its name and whether it is deleted are told. Asked again within seconds, it is
    not looked for again.
    """
    if isinstance(where, Spool):
        return spooling.experiment(name, id)
    key = (where.repo, where.ledger.short, name, id)
    known = _identified.get(key)
    if known is None or time.monotonic() - known[0] > _SECONDS:
        known = _identified[key] = (time.monotonic(), _identify(where, name, id))
    return known[1]


_SECONDS = 10.0
_identified: dict[tuple[Repository, str, str, str | None], tuple[float, ExperimentRecord]] = {}


def _identify(place: Place, name: str, id: str | None) -> ExperimentRecord:
    try:
        marks = index(place).marks()
    except (GitmlError, OSError):  # a training begins whatever state the ledger is in
        marks = {}
    if id is None or id not in marks:
        called = sorted((mark.deleted, known) for known, mark in marks.items() if mark.name == name)
        id = called[0][1] if called else _free_id(name, marks)
    mark = marks.get(id)
    return ExperimentRecord(id, mark.name if mark else name, deleted=bool(mark and mark.deleted))


def _free_id(name: str, taken: Container[str]) -> str:
    """The id of a new experiment: other ids of the name belong to some that were renamed."""
    ids = (names.experiment_id(name, number) for number in itertools.count())
    return next(id for id in ids if id not in taken)


def create_experiment(
    where: Where, name: str, tags: Mapping[str, str] | None = None
) -> ExperimentRecord:
    """Create an experiment; UsageError when there is one of that name, deleted or not."""
    name = names.check_experiment_name(name)
    if isinstance(where, Spool):
        return spooling.experiment(name, None)
    there = experiments(where)
    known = next((item for item in there if names.normal(item.name) == name), None)
    if known is not None:
        state = "is deleted; restore it" if known.deleted else "exists already"
        raise UsageError(f"the experiment {shown(name)} {state}", TAKEN)
    id = _free_id(name, {item.id for item in there})
    made = ExperimentRecord(id, name, tags=dict(tags or {}), created=time.time_ns() // 1_000_000)
    try:
        write_experiment(where, made)
    except ChangedError:  # another process has created it meanwhile
        return create_experiment(where, name, tags)
    return made


def ensure_experiment(where: Where, name: str) -> ExperimentRecord:
    """The experiment of that name, created when it is new; UsageError when it is deleted."""
    known = find_experiment(where, name=name)
    if known is None:
        try:
            return create_experiment(where, name)
        except UsageError:  # another process has created it meanwhile, or it can't be
            known = find_experiment(where, name=name)
            if known is None:
                raise
    if known.deleted:
        raise UsageError(f"the experiment {shown(name)} is deleted; restore it or use another name")
    return known


def write_experiment(place: Place, item: ExperimentRecord, before: str | None = None) -> None:
    """Write an experiment's file into the ledger, in the place of the blob `before`."""
    _identified.clear()
    path = experiment.experiment_path(item.id)
    edit = LedgerEdit(
        subject=f"{printable(item.name)}: experiment",
        time=int(time.time()),
        write={path: documents.dump_json(experiment.to_document(item))},
        identity=starting.identity(git.settings(place.repo)),
        before={path: before},
    )
    place.ledger.append([edit])


def change_experiment(
    place: Place, id: str, edit: Callable[[ExperimentRecord], ExperimentRecord]
) -> ExperimentRecord:
    """Apply `edit` to an experiment and write it; UsageError when there is none of that id.

    When another process changes it meanwhile, the edit is made again from what that one wrote.
    """
    found = find_experiment(place, id=id)
    if found is None:
        raise UsageError(f"there is no experiment with id {shown(id)}", NOT_FOUND)
    while True:
        written = place.ledger.file(experiment.experiment_path(found.id))
        known = found if written is None else _experiment_of(written[1])
        changed = edit(known)
        try:
            if changed != known:
                write_experiment(place, changed, written[0] if written else None)
            return changed
        except ChangedError:
            time.sleep(random.uniform(0.0, 0.02))


def _experiment_of(data: bytes) -> ExperimentRecord:
    return experiment.from_document(documents.load_json(data, experiment.FILE))
