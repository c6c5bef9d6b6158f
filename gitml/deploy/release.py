"""A version that is ready to be deployed: judged, fetched, hashed, in a folder that stays."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gitml.deploy import code
from gitml.environments import Manager, environment, read_spec, wheel
from gitml.errors import StorageError, UsageError, shown
from gitml.files import make_folder
from gitml.git import resolve
from gitml.models import installs, locate
from gitml.models.locate import Located
from gitml.models.serving import proof
from gitml.models.serving.candidate import Served
from gitml.projects import checkout, mlproject, replay
from gitml.registry import verified
from gitml.registry.catalog import Registered
from gitml.registry.files import ModelFile, path_of
from gitml.tracking import download
from gitml.tracking.ledger import Entry
from gitml.tracking.place import Place

Tell = Callable[[str], None]
Interpreter = Callable[[Manager, Tell], Path]


@dataclass(frozen=True, slots=True)
class Release:
    """A version and its files.

    `folder` holds the model, whose bytes are those of `digest`; `interpreter` builds what it needs,
    and returns the Python of that; `request` is the body of a prediction that must succeed, empty
    when the model has no example. `commit` is that of the code.
    """

    name: str
    version: str
    run_id: str
    digest: str
    folder: Path
    interpreter: Interpreter
    request: str = ""
    commit: str = ""

    @property
    def served(self) -> Served:
        """What a server is told of it."""
        return Served(str(self.folder), self.name, self.version, self.run_id, self.digest)


def check(place: Place, item: Registered, now: ModelFile) -> Entry:
    """The run of a version that may be deployed: its tag is borne out by run and reviewed file.

    Raises FormatError for a tag that is forged, UsageError for a version that nobody answers for:
    it may run code, and neither the model's file nor this repository's own ledger has its digest.
    """
    verified.check_decided(item, now)
    entry = verified.entry_of(place, item)
    if item.version not in now.versions and not verified.is_ours(place, item):
        raise UsageError(
            f"{shown(str(item.tag))} is not in {path_of(item.name)} with its digest, and its run is"
            " not in this repository's ledger; promote it: gitml registry promote"
        )
    return entry


def prepare(place: Place, item: Registered, now: ModelFile, folder: Path) -> Release:
    """A version that may be deployed, its model below `folder`. Raises as `check` does."""
    entry = check(place, item, now)
    model = _fetched(place, entry, item, folder)
    return Release(
        item.name,
        str(item.version),
        item.note.run_id,
        item.note.digest,
        model,
        lambda manager, tell: _interpreter(place, entry, model, manager, tell),
        proof.request(model).decode(),
        entry.record.code.commit or "",
    )


def _fetched(place: Place, entry: Entry, item: Registered, folder: Path) -> Path:
    """The model's folder, which is made once, and hashed each time."""
    target = folder / item.note.digest.rpartition(":")[2][:20]
    uri = f"models:/{item.name}/{item.version}"
    if not target.is_dir():
        make_folder(folder)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".coming-") as workshop:
            coming = download.download(
                place, entry.record, entry.commit, item.note.path, Path(workshop), flat=True
            )
            locate.checked(Located(uri, coming, digest=item.note.digest))
            os.replace(coming, target)
    try:
        locate.checked(Located(uri, target, digest=item.note.digest))
    except StorageError:
        shutil.rmtree(target)  # fetched anew by the next try
        raise
    return target


# -- its environment -----------------------------------------------------------------------


def _interpreter(place: Place, entry: Entry, model: Path, manager: Manager, tell: Tell) -> Path:
    """The Python of the environment of the project that made a model, else of the model's own."""
    if manager == "local":
        return Path(sys.executable)
    folder = replay.folder_of(entry.record)
    where = f"{folder}/{mlproject.FILE_NAME}" if folder else mlproject.FILE_NAME
    if resolve(place.repo, f"{entry.commit}:{where}") is not None:
        found = _of_project(place, entry.commit, folder, manager, tell)
        if found is not None:
            return found
    spec = installs.spec_of(model, allow_code=True, conda=manager == "conda")
    return environment(spec, manager, tell).python


def _of_project(
    place: Place, commit: str, folder: str, manager: Manager, tell: Tell
) -> Path | None:
    """The same of the MLproject at a commit; None where it names no environment, or an image."""
    with code.checked_out(place, commit) as top:
        project = mlproject.read(checkout.inside(top, folder))
        if not isinstance(project.environment, Path):
            return None
        spec = read_spec(
            project.environment, allow_code=True, root=project.folder, conda=manager == "conda"
        )
        return environment(wheel.without(spec), manager, tell).python
