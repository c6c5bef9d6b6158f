"""Reading a run's artifacts: from its commit, from the cache, else from the DVC remote.

What is written was hashed again: bytes that are not those that were logged are an error, and a
folder appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from gitml import git, storage
from gitml.errors import StorageError, UsageError, shown
from gitml.tracking import live, units
from gitml.tracking.commits import RUN_FOLDER
from gitml.tracking.contents import logged_path
from gitml.tracking.entities import FileInfo
from gitml.tracking.fold import Staged
from gitml.tracking.place import Place
from gitml.tracking.record import Artifact, RunRecord


def listing(artifacts: Mapping[str, Artifact], folder: str | None = None) -> list[FileInfo]:
    """What lies directly in a folder of the artifacts, by default the top, in order."""
    prefix = f"{folder.strip('/')}/" if folder else ""
    found: dict[str, FileInfo] = {}
    for path, item in artifacts.items():
        if path.startswith(prefix):
            name, below, _ = path[len(prefix) :].partition("/")
            info = FileInfo(prefix + name, bool(below), None if below else item.size)
            found.setdefault(prefix + name, info)
    return [found[name] for name in sorted(found)]


def chosen(artifacts: Mapping[str, Artifact], path: str | None) -> list[str]:
    """The paths of the files that `path` stands for: a file, a folder, or all when it is None."""
    if not path or path in (".", "/"):
        return sorted(artifacts)
    wanted = path.strip("/")
    found = [name for name in artifacts if name == wanted or name.startswith(wanted + "/")]
    if not found:
        raise UsageError(f"the run has no artifact {shown(path)}; see: gitml runs artifacts RUN")
    return sorted(found)


def read(place: Place, record: RunRecord, commit: str, path: str) -> bytes:
    """The bytes of one artifact of the recorded run whose run commit is `commit`."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "it"
        _write(place, record, commit, [path], target)
        return (target / path).read_bytes()


def download(
    place: Place,
    record: RunRecord,
    commit: str,
    path: str | None,
    target: Path,
    progress: storage.Progress | None = None,
) -> Path:
    """Write artifacts under the folder `target`, at their paths; the place of `path` there.

    What is at those paths is replaced, nothing else in `target` is touched.
    """
    names = chosen(record.artifacts, path)
    target.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=".gitml-", dir=target))
    try:
        _write(place, record, commit, names, workshop / "it", progress)
        for name in _tops(names, path):
            _replace(workshop / "it" / name, target / name)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return target / path.strip("/") if path else target


def _tops(names: Iterable[str], path: str | None) -> list[str]:
    """What to move into place in one step each: `path` itself, else each top-level entry."""
    if path and path.strip("/") not in ("", "."):
        return [path.strip("/")]
    return sorted({name.split("/")[0] for name in names})


def _replace(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() or target.is_file():
        target.unlink()
    if not target.is_dir():
        os.replace(source, target)
        return
    if source.is_file():
        raise UsageError(f"{shown(str(target))} is a folder; the artifact is a file")
    for child in source.iterdir():
        _replace(child, target / child.name)


def _write(
    place: Place,
    record: RunRecord,
    commit: str,
    names: Iterable[str],
    target: Path,
    progress: storage.Progress | None = None,
) -> None:
    """Write the named artifacts below `target`, each proved to be what was logged."""
    by_place: dict[str, list[str]] = {}
    for name in names:
        by_place.setdefault(record.artifacts[name].where, []).append(name)
    for where, paths in by_place.items():
        if where == units.INLINE:
            _write_inline(place.repo, record, commit, paths, target)
        else:
            _write_stored(place, record, commit, where, paths, target, progress)


def _write_inline(
    repo: git.Repository, record: RunRecord, commit: str, paths: list[str], target: Path
) -> None:
    blobs = git.read_objects(repo, (f"{commit}:{RUN_FOLDER}/{units.FOLDER}/{p}" for p in paths))
    for path, data in zip(paths, blobs, strict=True):
        _check(path, hashlib.sha256(data).hexdigest(), record.artifacts[path])
        file = _below(target, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def _write_stored(
    place: Place,
    record: RunRecord,
    commit: str,
    where: str,
    paths: list[str],
    target: Path,
    progress: storage.Progress | None,
) -> None:
    pointer = pointer_of(place.repo, commit, where)
    inside = {
        units.inside_pointer(where, logged_path(path, record.artifacts[path].sha256)): path
        for path in paths
    }
    only = [name for name in inside if name is not None] or None
    fetch(place, pointer, only, progress)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        whole = Path(folder) / "it"
        digests = {name or "": record.artifacts[path].sha256 for name, path in inside.items()}
        storage.materialize(place.cache, pointer, whole, only, digests)
        for name, path in inside.items():
            file = _below(target, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            os.replace(whole / name if name else whole, file)


def _below(target: Path, path: str) -> Path:
    """The place of an artifact below `target`; a record from outside may hold any path."""
    from gitml.tracking.names import check_artifact_path

    return target / check_artifact_path(path)


def pointer_of(repo: git.Repository, commit: str, where: str) -> storage.Pointer:
    """The DVC pointer at `where` in the run's folder."""
    name = f"{commit}:{RUN_FOLDER}/{where}"
    return storage.parse_pointer(next(git.read_objects(repo, [name])), where)


def fetch(
    place: Place,
    pointer: storage.Pointer,
    only: Iterable[str] | None = None,
    progress: storage.Progress | None = None,
) -> None:
    """Bring a pointer's objects into the cache, from the runs' remote when they are not there."""
    storage.fetch(place.cache, place.remote(), [pointer], progress, only)


def _check(path: str, digest: str, item: Artifact) -> None:
    if digest != item.sha256:
        raise StorageError(
            f"artifact {shown(path)} has the sha256 {digest}, but {item.sha256} was recorded"
        )


def read_live(run: live.LiveRun, staged: Staged) -> bytes:
    """The bytes of an artifact of a live run, as it was logged."""
    return (run.files / staged.file).read_bytes()
