"""What stands behind a registered version: the run commit that its tag names, and who recorded it.

A tag can be made by anybody who can push one, and tags of other repositories come with a fetch. So
a version is taken for what it says only where the run commit bears it out, and trusted only where
this repository's own ledger has that model, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from gitml import git
from gitml.errors import FormatError, GitmlError, shown
from gitml.models.signature import ModelSignature
from gitml.registry.catalog import Registered
from gitml.registry.files import ModelFile, path_of
from gitml.tracking.commits import RUN_FOLDER
from gitml.tracking.ledger import Entry
from gitml.tracking.place import Place
from gitml.tracking.record import FINISHED, Json, RunRecord
from gitml.tracking.vouched import vouched


def entry_of(place: Place, item: Registered) -> Entry:
    """The run as the commit of a version's tag has it.

    Raises FormatError when that is no run commit, or of another run, model or digest than the tag
    tells.
    """
    if git.resolve(place.repo, f"{item.commit}:{RUN_FOLDER}/run.json") is None:
        raise _forged(item, f"stands on {item.commit[:12]}, which is no run commit")
    try:
        git.refuse_large(place.repo, f"{item.commit}:{RUN_FOLDER}/run.json")
        entry = place.ledger.at(item.commit)
    except GitmlError as error:
        raise _forged(item, f"stands on a run that can't be read: {error}") from None
    for what, expected, found in from_run(item, entry.record):
        raise _forged(item, f"tells {what} {shown(found)}, its run {shown(expected)}")
    if entry.record.status != FINISHED:
        raise _forged(item, f"stands on a run that is {entry.record.status}")
    return entry


class Difference(NamedTuple):
    """Something that a version's tag tells otherwise than what should bear it out."""

    what: str
    expected: str
    found: str


def from_run(item: Registered, record: RunRecord) -> list[Difference]:
    """What a tag tells otherwise than the run that it stands on."""
    note, digest = item.note, record.models.get(item.note.path, {}).get("digest")
    told = (
        Difference("run", record.run_id, note.run_id),
        Difference("the digest", "none" if digest is None else str(digest), note.digest),
    )
    return [it for it in told if it.expected != it.found]


def from_file(item: Registered, now: ModelFile) -> list[Difference]:
    """What a tag tells otherwise than the model's file, if that knows the version."""
    told, note = now.versions.get(item.version), item.note
    if told is None:
        return []
    differences = (
        Difference("the digest", told.digest, note.digest),
        Difference("run", told.run, note.run_id),
        Difference("the path", told.path, note.path),
        Difference("commit", told.commit, item.commit),
    )
    return [it for it in differences if it.expected != it.found]


def check_decided(item: Registered, now: ModelFile) -> None:
    """Refuse a version that the model's file, which was reviewed, knows as another."""
    for what, expected, found in from_file(item, now):
        tells = f"tells {what} {shown(found)}, and {path_of(item.name)} {shown(expected)}"
        raise _forged(item, tells)


def model_of(entry: Entry, path: str) -> Mapping[str, Json]:
    """What a run's record says of the model at `path`; empty when it has none there."""
    return entry.record.models.get(path, {})


def signature_of(record: RunRecord, path: str) -> ModelSignature | None:
    """The signature of a run's model at `path`; None when it has none."""
    parts = record.models.get(path, {}).get("signature")
    if not isinstance(parts, dict) or not parts:
        return None
    texts = {name: json.dumps(part) for name, part in parts.items()}
    return ModelSignature.from_dict(texts, f"the signature of {shown(path)}")


def is_ours(place: Place, item: Registered) -> bool:
    """Whether this repository's own ledger has the version's model, with that digest."""
    path, digest = item.note.path, item.note.digest
    return any(
        path in record.models and record.models[path].get("digest") == digest
        for record in vouched(place, item.note.run_id)
    )


def _forged(item: Registered, what: str) -> FormatError:
    return FormatError(f"the tag {shown(str(item.tag))} {what}; it is not what was registered")
