"""Checks of bytes: the models of versions are those that were logged, here or at the DVC remote."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gitml import git, storage
from gitml.errors import GitmlError
from gitml.models.digest import digest, digest_of_folder
from gitml.registry.verifying import finding
from gitml.registry.verifying.evidence import Evidence
from gitml.registry.verifying.finding import Finding
from gitml.tracking import download, units
from gitml.tracking.commits import RUN_FOLDER
from gitml.tracking.place import Place
from gitml.tracking.record import RunRecord


@dataclass(frozen=True, slots=True)
class _Elsewhere(Place):
    """The repository with an empty cache: what is read comes from the commit, or from a remote."""

    def _elsewhere(self) -> storage.Remote | None:
        return None


def check(evidence: Evidence, *, remote: bool) -> Iterator[Finding]:
    """The versions whose model has other bytes than were logged.

    With `remote` all of each is fetched and hashed again; else only what the commit holds.
    """
    models: dict[_Model, RunRecord] = {}
    for item in evidence.versions:
        record = evidence.records[str(item.tag)]
        if not isinstance(record, str) and item.note.path in record.models:
            models[item.commit, item.note.path] = record
    found = _fetched(evidence.place, models) if remote else _inline(evidence.place, models)
    for item in evidence.versions:
        model = (item.commit, item.note.path)
        logged = _logged(models[model], model) if model in models else None
        if logged is not None and found.get(model, logged) != logged:
            what = "the bytes of its model are not those that were logged"
            fix = "gitml push --artifacts, from a clone that has them"
            yield Finding(finding.DIGEST, str(item.tag), what, logged, found[model], fix)


_Model = tuple[str, str]  # a run commit, and the path of a model among the run's artifacts
_AT_ONCE = 50  # models whose files, which are small, are in memory together


def _logged(record: RunRecord, model: _Model) -> str:
    return str(record.models[model[1]].get("digest"))


def _inline(place: Place, models: Mapping[_Model, RunRecord]) -> dict[_Model, str]:
    """The digests of those models that are in their run commits whole."""
    files: dict[_Model, list[str]] = {}
    for (commit, path), record in models.items():
        names = [name for name in record.artifacts if name.startswith(f"{path}/")]
        if all(record.artifacts[name].where == units.INLINE for name in names):
            files[commit, path] = names
    found = {}
    whole = list(files)
    for start in range(0, len(whole), _AT_ONCE):
        part = [(model, name) for model in whole[start : start + _AT_ONCE] for name in files[model]]
        revisions = [f"{commit}:{RUN_FOLDER}/{units.FOLDER}/{it}" for (commit, _), it in part]
        texts = git.read_present(place.repo, revisions)
        hashed: dict[_Model, list[tuple[str, str, int]]] = {}
        for (model, name), data in zip(part, texts, strict=True):
            if data is not None:
                inside, sha256 = name[len(model[1]) + 1 :], hashlib.sha256(data).hexdigest()
                hashed.setdefault(model, []).append((inside, sha256, len(data)))
        found.update({model: digest(items) for model, items in hashed.items()})
    return found


def _fetched(place: Place, models: Mapping[_Model, RunRecord]) -> dict[_Model, str]:
    """The digests of all models, read from where others read them, or why there is none."""
    with tempfile.TemporaryDirectory(prefix="gitml-verify-") as folder:
        return {model: _fetch(place, Path(folder), model, it) for model, it in models.items()}


def _fetch(place: Place, folder: Path, model: _Model, record: RunRecord) -> str:
    """Fetch a model and hash it; what came is removed at once."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        home, (commit, path) = Path(name), model
        empty = _Elsewhere(
            place.repo, place.settings, home / "home", place.copy, place.project, place.owner
        )
        try:
            found = download.download(empty, record, commit, path, home / "model", flat=True)
            return digest_of_folder(found)
        except (GitmlError, OSError) as error:
            return str(error)
