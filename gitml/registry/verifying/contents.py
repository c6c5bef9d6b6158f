"""Checks of bytes: the models of versions are those that were logged, here or at the DVC remote."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gitml import storage
from gitml.errors import GitmlError
from gitml.models.digest import digest_of_folder
from gitml.registry.catalog import Registered
from gitml.registry.verifying import finding
from gitml.registry.verifying.evidence import Evidence
from gitml.registry.verifying.finding import Finding
from gitml.tracking import download, units
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
    seen: dict[tuple[str, str], str | None] = {}
    with tempfile.TemporaryDirectory(prefix="gitml-verify-") as folder:
        place = _with_home(evidence.place, Path(folder))
        for item in evidence.versions:
            record = evidence.records[str(item.tag)]
            if isinstance(record, str) or item.note.path not in record.models:
                continue
            if not remote and not _is_inline(record, item.note.path):
                continue
            model = (item.commit, item.note.path)
            if model not in seen:
                seen[model] = _problem(place, record, item)
            if (found := seen[model]) is not None:
                what = "the bytes of its model are not those that were logged"
                fix = "gitml push --artifacts, from a clone that has them"
                yield Finding(
                    finding.DIGEST, str(item.tag), what, _logged(record, item), found, fix
                )


def _with_home(place: Place, home: Path) -> Place:
    moved = replace(place, home=home)
    return _Elsewhere(
        moved.repo, moved.settings, moved.home, moved.copy, moved.project, moved.owner
    )


def _is_inline(record: RunRecord, path: str) -> bool:
    files = [it for name, it in record.artifacts.items() if f"{name}/".startswith(f"{path}/")]
    return all(it.where == units.INLINE for it in files)


def _problem(place: Place, record: RunRecord, item: Registered) -> str | None:
    """The digest of the bytes when it is another, or why they can't be had; None when all is well.

    A large model is removed as soon as it is hashed.
    """
    with tempfile.TemporaryDirectory(dir=place.home) as folder:
        home = Path(folder)
        try:
            found = download.download(
                replace(place, home=home / "home"), record, item.commit, item.note.path,
                home / "model", flat=True,
            )  # fmt: skip
            digest = digest_of_folder(found)
        except (GitmlError, OSError) as error:
            return str(error)
    return None if digest == _logged(record, item) else digest


def _logged(record: RunRecord, item: Registered) -> str:
    return str(record.models[item.note.path].get("digest"))
