"""What stands behind a registered version: the run commit that its tag names, and who recorded it.

A tag can be made by anybody who can push one, and tags of other repositories come with a fetch. So
a version is taken for what it says only where the run commit bears it out, and trusted only where
this repository's own ledger has that model, too.
"""

from __future__ import annotations

from collections.abc import Mapping

from gitml import git
from gitml.errors import FormatError, GitmlError, shown
from gitml.registry.catalog import Registered
from gitml.registry.files import ModelFile, path_of
from gitml.tracking.commits import RUN_FOLDER
from gitml.tracking.ledger import Entry
from gitml.tracking.place import Place
from gitml.tracking.record import FINISHED, Json
from gitml.tracking.vouched import vouched


def entry_of(place: Place, item: Registered) -> Entry:
    """The run as the commit of a version's tag has it.

    Raises FormatError when that is no run commit, or of another run, model or digest than the tag
    tells.
    """
    if git.resolve(place.repo, f"{item.commit}:{RUN_FOLDER}/run.json") is None:
        raise _forged(item, f"stands on {item.commit[:12]}, which is no run commit")
    try:
        entry = place.ledger.at(item.commit)
    except GitmlError as error:
        raise _forged(item, f"stands on a run that can't be read: {error}") from None
    if entry.record.run_id != item.note.run_id:
        raise _forged(item, f"tells of run {item.note.run_id}, and stands on another")
    found = model_of(entry, item.note.path).get("digest")
    if found != item.note.digest:
        raise _forged(item, f"tells the digest {item.note.digest}, its run {found}")
    if entry.record.status != FINISHED:
        raise _forged(item, f"stands on a run that is {entry.record.status}")
    return entry


def check_decided(item: Registered, now: ModelFile) -> None:
    """Refuse a version that the model's file, which was reviewed, knows as another."""
    told = now.versions.get(item.version)
    if told is None:
        return
    note = item.note
    for what, reviewed, found in (
        ("the digest", told.digest, note.digest),
        ("run", told.run, note.run_id),
        ("the path", told.path, note.path),
        ("commit", told.commit, item.commit),
    ):
        if reviewed != found:
            tells = f"tells {what} {shown(found)}, and {path_of(item.name)} {shown(reviewed)}"
            raise _forged(item, tells)


def model_of(entry: Entry, path: str) -> Mapping[str, Json]:
    """What a run's record says of the model at `path`; empty when it has none there."""
    return entry.record.models.get(path, {})


def is_ours(place: Place, item: Registered) -> bool:
    """Whether this repository's own ledger has the version's model, with that digest."""
    path, digest = item.note.path, item.note.digest
    return any(
        path in record.models and record.models[path].get("digest") == digest
        for record in vouched(place, item.note.run_id)
    )


def _forged(item: Registered, what: str) -> FormatError:
    return FormatError(f"the tag {shown(str(item.tag))} {what}; it is not what was registered")
