"""Storing a run's logged files: small ones in its commit, large ones in the cache by a pointer."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gitml import storage
from gitml.errors import StorageError, shown
from gitml.tracking import pointers, units
from gitml.tracking.contents import files_of
from gitml.tracking.fold import Folded, Staged
from gitml.tracking.ledger import Entry
from gitml.tracking.place import Place
from gitml.tracking.record import Artifact, RunRecord


def stored(
    place: Place, folded: Folded, entry: Entry | None, folder: Path
) -> tuple[RunRecord, dict[str, bytes | str]]:
    """The record with its artifacts in place, and the files of its folder: contents or blobs."""
    files: dict[str, bytes | str] = {**(entry.files if entry else {}), **folded.files}
    record = folded.record
    logged, moved = units.without_clashes(folded.staged, record.artifacts)
    artifacts = _moved(record.artifacts, moved, files)
    kept = {path: item for path, item in artifacts.items() if path not in logged}
    _drop_unused(kept, files)
    limits = place.settings.artifacts
    inline = [item.size for item in kept.values() if item.where == units.INLINE]
    pointed = {item.where for item in kept.values()} - {units.INLINE}
    for unit in units.plan(
        logged,
        models=record.models,
        inline_unit=limits.inline_unit,
        inline_run=limits.inline_run - sum(inline),
        inline_files=units.INLINE_FILES - len(inline),
        pointers=units.POINTERS - len(pointed),
    ):
        where = _store(place, unit, files, folder)
        for file in unit.files:
            artifacts[file.path] = Artifact(file.size, file.sha256, where)
    record = _restamped(record, artifacts, folded)
    _drop_unused(artifacts, files)
    if any(item.where != units.INLINE for item in artifacts.values()):
        _add_dvc_config(place, files)
    return record, files


def _moved(
    recorded: Mapping[str, Artifact], moved: Mapping[str, str], files: dict[str, bytes | str]
) -> dict[str, Artifact]:
    """The recorded artifacts at their paths of now, and inline ones' files moved along."""
    for old, new in moved.items():
        if recorded[old].where == units.INLINE:
            files[f"{units.FOLDER}/{new}"] = files.pop(f"{units.FOLDER}/{old}")
    return {moved.get(path, path): item for path, item in recorded.items()}


def _store(place: Place, unit: units.Unit, files: dict[str, bytes | str], folder: Path) -> str:
    """Put one unit where it belongs; the `where` of its artifacts."""
    if unit.inline:
        for file in unit.files:
            files[f"{units.FOLDER}/{file.path}"] = _content(folder / file.file, file)
        return units.INLINE
    cache = place.cache
    missing = [file for file in unit.files if not cache.has(file.md5)]
    for md5 in {file.md5 for file in unit.files} - {file.md5 for file in missing}:
        with contextlib.suppress(OSError):
            os.utime(cache.path(md5))  # what is young is not collected
    cache.add_files((folder / file.file, file.md5) for file in missing)
    if unit.is_dir:
        pointer = cache.add_tree((unit.inside(f.path), f.md5, f.size) for f in unit.files)
    else:
        pointer = storage.Pointer(unit.files[0].md5, unit.files[0].size, None)
    where = units.pointer_path(unit.root)
    text = _pointer_text(pointer, where)
    if files.get(where, text) != text:
        where = units.pointer_path(unit.root, pointer.md5)
        text = _pointer_text(pointer, where)
    files[where] = text
    return where


def _pointer_text(pointer: storage.Pointer, where: str) -> bytes:
    """A pointer file; it stands beside what it names, as DVC wants it."""
    name = where.removesuffix(".dvc").rpartition("/")[2]
    return storage.pointer_text(pointer, name).encode()


def _content(path: Path, file: Staged) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(
            f"the staged copy of artifact {shown(file.path)} is gone: {error.strerror}"
        ) from None
    if len(data) != file.size:
        raise StorageError(f"the staged copy of artifact {shown(file.path)} is damaged")
    return data


def _restamped(record: RunRecord, artifacts: Mapping[str, Artifact], folded: Folded) -> RunRecord:
    """The record with its artifacts; those that replace an earlier one carry a stamp."""
    replaced = [p for p, item in record.artifacts.items() if artifacts.get(p, item) != item]
    writer = folded.parts[-1].session if folded.parts else ""
    clock = dict(record.clock)
    for path in replaced:
        name = f"{units.FOLDER}/{path}"
        clock[name] = replace(
            record.stamp(name), counter=record.stamp(name).counter + 1, writer=writer
        )
    return replace(record, artifacts=artifacts, clock=clock)


def _drop_unused(artifacts: Mapping[str, Artifact], files: dict[str, bytes | str]) -> None:
    """Forget files and pointers that none of the artifacts refers to."""
    used = files_of(artifacts)
    for path in list(files):
        if path.startswith(f"{units.FOLDER}/") and path not in used:
            del files[path]


def _add_dvc_config(place: Place, files: dict[str, bytes | str]) -> None:
    """Make the run's folder a DVC root that knows the remote, where there is one."""
    if (remote := place.remote()) is not None:
        files[pointers.CONFIG] = storage.run_config_text(remote).encode()
