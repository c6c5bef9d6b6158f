"""Evaluating a version: the main branch's own program scores it, on data that it never sees.

Two processes: the model predicts behind a wall, and gets inputs only. The entry point of the main
branch, which has the labels, asks it over HTTP, and logs what it finds. The model can answer what
it likes, and nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gitml import environments, walls
from gitml.ci import holdout, version
from gitml.environments.build import Manager
from gitml.errors import UsageError, shown
from gitml.models import installs, locate, mlmodel
from gitml.models.locate import Located
from gitml.models.serving import walled
from gitml.models.serving.walled import Guest
from gitml.projects import checkout, execution, mlproject, sources, task
from gitml.projects.execution import Marks
from gitml.projects.mlproject import EntryPoint
from gitml.projects.output import to_stream
from gitml.projects.running import check
from gitml.projects.task import Request, Tell, Where
from gitml.registry.checking.ground import commit_of
from gitml.registry.checking.known import Known
from gitml.registry.vouching import EVALUATES
from gitml.tracking import active, download, store
from gitml.tracking.place import Place
from gitml.tracking.record import Dataset, RunRecord
from gitml.tracking.session import dataset_document

MODEL, DATASET = "model", "dataset"  # the parameters of an entry point that scores
SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be evaluated, and with what.

    `version` is `NAME@vX.Y.Z`, `base` the revision whose entry point scores it. The model runs in
    an environment of its own, which `manager` builds. Without `is_walled` it is in a process of its
    own, and no more. After `timeout` seconds the entry point is stopped.
    """

    version: str
    base: str
    entry_point: str
    dataset: str | None = None
    manager: Manager = "uv"
    is_walled: bool = True
    timeout: float = SECONDS


def evaluate(place: Place, wish: Wish, tell: Tell, stdout: IO[str] | None = None) -> RunRecord:
    """Evaluate a version, and record that as a run, which has the tag `gitml.evaluates`.

    Raises UsageError when nothing was run, `EntryPointError` when the entry point failed, which is
    a run as well.
    """
    if wish.is_walled and (why := walls.lacking()) is not None:
        raise UsageError(
            f"the model can't be walled off: {why}; --no-wall runs it without, where the author of"
            " the model may read what this job can"
        )
    commit = commit_of(place, wish.base)
    found = version.find(place, commit, wish.version)
    with contextlib.ExitStack() as stack:
        stack.enter_context(execution.signals_stop())
        code = stack.enter_context(checkout.workspace())
        where = _base(place, commit, code)
        _check(mlproject.read(where.folder).entry_point(wish.entry_point), wish)
        guarded = stack.enter_context(checkout.workspace())
        visible = stack.enter_context(checkout.workspace())
        places: dict[str, str] = {}
        data: Dataset | None = None
        if wish.dataset is not None:
            path, data = holdout.fetch(place, commit, wish.dataset, guarded)
            places[DATASET] = str(path)
        tell("Starting the model")
        hidden = (place.repo.common_dir, place.root, code, guarded)
        guest = _guest(place, found, wish, visible, hidden, tell)
        places[MODEL] = stack.enter_context(walled.serving(guest))
        return _run(where, found, wish, places, data, tell, stdout)


def _base(place: Place, commit: str, folder: Path) -> Where:
    """The files of the base in a work tree of their own."""
    made = checkout.check_out(place, sources.owner_of(place), commit, folder)
    top = folder / checkout.CODE
    return Where(made, top, top, ".")


def _check(entry: EntryPoint, wish: Wish) -> None:
    names = [parameter.name for parameter in entry.parameters]
    for name in (MODEL, DATASET) if wish.dataset is not None else (MODEL,):
        if name not in names:
            raise UsageError(
                f"the entry point {shown(entry.name)} has no parameter {name}, and so can't"
                f" evaluate; declare it in MLproject: {name}: {{type: string}}"
            )


def _guest(
    place: Place, found: Known, wish: Wish, folder: Path, hidden: tuple[Path, ...], tell: Tell
) -> Guest:
    """The model of a version, its bytes those of the tag, and the Python that it runs in."""
    item = found.item
    model = download.download(place, found.run, item.commit, item.note.path, folder, flat=True)
    locate.checked(Located(wish.version, model, digest=item.note.digest))
    mlmodel.read(model)
    if wish.manager == "local":
        return Guest(model, Path(sys.executable), hidden, wish.is_walled)
    # To install what is not widely known would run code of whoever names it, before any wall.
    spec = installs.spec_of(model, allow_code=False, conda=wish.manager == "conda")
    python = environments.environment(spec, wish.manager, tell).python
    return Guest(model, python, hidden, wish.is_walled)


def _run(
    where: Where,
    found: Known,
    wish: Wish,
    places: Mapping[str, str],
    data: Dataset | None,
    tell: Tell,
    stdout: IO[str] | None,
) -> RunRecord:
    """Run the entry point with the address of the model and the place of the data."""
    given: dict[str, object] = {MODEL: f"models:/{found.item.name}/{found.item.version}"}
    if wish.dataset is not None:
        given[DATASET] = wish.dataset
    request = Request(".", wish.entry_point, parameters=given, timeout=wish.timeout)
    made = task.make(request, where, tell, functools.partial(_located, places))
    marks = Marks(
        found.run.experiment,
        run_name=f"{wish.version} {wish.entry_point}",
        tags={EVALUATES: found.item.note.digest},
    )
    sinks = (to_stream(stdout or sys.stdout), to_stream(sys.stderr))
    done = execution.run(made, marks, sinks, started=functools.partial(_log, data))
    check(done)
    return store.record(where.place, done.run_id)


def _located(places: Mapping[str, str], name: str, kind: str, value: str, default: bool) -> str:
    return places.get(name, value)


def _log(data: Dataset | None, run_id: str) -> None:
    """Log the dataset as an input of the run."""
    run = active.of_id(run_id)
    if data is not None and run is not None:
        run.session.dataset(dataset_document(data))
