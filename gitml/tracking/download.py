"""Reading a run's artifacts: from its commit, from the cache, else from the DVC remote.

What is written was hashed again: bytes that are not those that were logged are an error, and a
folder appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from gitml import git, storage
from gitml.errors import NOT_FOUND, StorageError, UsageError, shown
from gitml.files import folder_below
from gitml.tracking import live, pointers, units
from gitml.tracking.commits import RUN_FOLDER
from gitml.tracking.contents import logged_path
from gitml.tracking.entities import FileInfo
from gitml.tracking.fold import Staged
from gitml.tracking.names import ArtifactPath, check_artifact_path, normal_path
from gitml.tracking.place import Place
from gitml.tracking.record import Artifact, RunRecord

Rest = tuple[Place, RunRecord, str]  # a recorded run: its place, its record, its run commit


def listing(
    artifacts: Mapping[str, Artifact], folder: ArtifactPath | None = None
) -> list[FileInfo]:
    """What lies directly in a folder of the artifacts, by default the top, in order."""
    inside = _inside(folder)
    prefix = f"{inside}/" if inside else ""
    found: dict[str, FileInfo] = {}
    for path, item in artifacts.items():
        if path.startswith(prefix):
            name, below, _ = path[len(prefix) :].partition("/")
            info = FileInfo(prefix + name, bool(below), None if below else item.size)
            found.setdefault(prefix + name, info)
    return [found[name] for name in sorted(found)]


def chosen(artifacts: Iterable[str], path: ArtifactPath | None) -> list[str]:
    """The paths of the files that `path` stands for: a file, a folder, or all when it is None."""
    wanted = _inside(path)
    if not wanted:
        return sorted(artifacts)
    found = [name for name in artifacts if name == wanted or name.startswith(wanted + "/")]
    if not found:
        raise UsageError(
            f"the run has no artifact {shown(path)}; `gitml runs artifacts` lists those it has",
            NOT_FOUND,
        )
    return sorted(found)


def _inside(path: ArtifactPath | None) -> str:
    """A path among the artifacts without slashes at its ends; empty for all of them."""
    return normal_path(path).strip("/")


def read(place: Place, record: RunRecord, commit: str, path: str) -> bytes:
    """The bytes of one artifact of the recorded run whose run commit is `commit`."""
    item = record.artifacts[path]
    if item.where == units.INLINE:
        data = next(git.read_objects(place.repo, [_inline(commit, path)]))
    else:
        pointer, inside = _fetch(place, record, commit, item.where, [path])
        entries = place.cache.manifest(pointer.md5) if pointer.is_dir else ()
        md5 = next((entry.md5 for entry in entries if entry.relpath in inside), pointer.md5)
        data = place.cache.content(md5)
    _check(path, hashlib.sha256(data).hexdigest(), item)
    return data


def download(
    place: Place,
    record: RunRecord,
    commit: str,
    path: ArtifactPath | None,
    target: Path,
    progress: storage.Progress | None = None,
    *,
    flat: bool = False,
) -> Path:
    """Write artifacts under the folder `target`, at their paths; the place of `path` there.

    What is at those paths is replaced, nothing else in `target` is touched. With `flat`, `path`
    comes directly into `target`, by its own name.
    """
    names = chosen(record.artifacts, path)
    with _workshop(target) as folder:
        _write(place, record, commit, names, folder, progress)
        return _deliver(folder, path, target, flat=flat)


def download_live(
    run: live.LiveRun,
    staged: Mapping[str, Staged],
    rest: Rest | None,
    path: ArtifactPath | None,
    target: Path,
) -> Path:
    """The same of a live run, flat: what is staged, and what `rest` recorded of a resumed run."""
    names = chosen({**(rest[1].artifacts if rest else {}), **staged}, path)
    with _workshop(target) as folder:
        if rest is not None and (older := [name for name in names if name not in staged]):
            _write(*rest, older, folder)
        for name in (name for name in names if name in staged):
            shutil.copyfile(run.files / staged[name].file, _below(folder, name))
        return _deliver(folder, path, target, flat=True)


@contextlib.contextmanager
def _workshop(target: Path) -> Iterator[Path]:
    """A new folder beside what is delivered to `target`; gone at the end."""
    target.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=".gitml-", dir=target))
    try:
        yield workshop / "it"
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _deliver(folder: Path, path: ArtifactPath | None, target: Path, *, flat: bool) -> Path:
    """Move into place in one step each: `path` itself, else each top-level entry."""
    inside = _inside(path)
    if inside:
        name = PurePosixPath(inside)
        place = (target if flat else folder_below(target, name.parent)) / name.name
        _replace(folder / inside, place)
        return place
    for entry in folder.iterdir() if folder.is_dir() else ():
        _replace(entry, target / entry.name)
    return target


def _replace(source: Path, target: Path) -> None:
    """Move a file or folder to `target`, whose folder is there; a link there goes, unfollowed."""
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
    blobs = git.read_objects(repo, (_inline(commit, path) for path in paths))
    for path, data in zip(paths, blobs, strict=True):
        _check(path, hashlib.sha256(data).hexdigest(), record.artifacts[path])
        _below(target, path).write_bytes(data)


def _inline(commit: str, path: str) -> str:
    """The name of an inline artifact for git."""
    return f"{commit}:{RUN_FOLDER}/{units.FOLDER}/{path}"


def _write_stored(
    place: Place,
    record: RunRecord,
    commit: str,
    where: str,
    paths: list[str],
    target: Path,
    progress: storage.Progress | None,
) -> None:
    pointer, inside = _fetch(place, record, commit, where, paths, progress)
    only = _only(inside)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        whole = Path(folder) / "it"
        digests = {name or "": record.artifacts[path].sha256 for name, path in inside.items()}
        storage.materialize(place.cache, pointer, whole, only, digests)
        for name, path in inside.items():
            os.replace(whole / name if name else whole, _below(target, path))


def _fetch(
    place: Place,
    record: RunRecord,
    commit: str,
    where: str,
    paths: list[str],
    progress: storage.Progress | None = None,
) -> tuple[storage.Pointer, dict[str | None, str]]:
    """Have in the cache what the pointer `where` names of the artifacts; see `_names_inside`."""
    pointer = pointer_of(place.repo, commit, where)
    remotes = _sources(place, commit)
    storage.fetch(place.cache, remotes, [pointer], only=())  # of a folder, what it lists
    inside = _names_inside(place, record, pointer, where, paths)
    storage.fetch(place.cache, remotes, [pointer], progress, _only(inside))
    return pointer, inside


def _only(inside: Iterable[str | None]) -> list[str] | None:
    """The names to confine a folder to; None for a single file."""
    return [name for name in inside if name is not None] or None


def _names_inside(
    place: Place, record: RunRecord, pointer: storage.Pointer, where: str, paths: list[str]
) -> dict[str | None, str]:
    """Artifact paths by their names in the pointer's object, None for the object itself.

    A file that got a mark because its name was a folder's has it inside too, unless a merge
    gave it the mark.
    """
    listed = {e.relpath for e in place.cache.manifest(pointer.md5)} if pointer.is_dir else set()
    found: dict[str | None, str] = {}
    for path in paths:
        name = units.inside_pointer(where, path)
        if name is not None and name not in listed:
            name = units.inside_pointer(where, logged_path(path, record.artifacts[path].sha256))
        found[name if pointer.is_dir else None] = path
    return found


def _below(target: Path, path: str) -> Path:
    """The place of an artifact, in a folder below `target`; a record from outside may hold any."""
    if check_artifact_path(path) != path:
        raise UsageError(f"the run's artifact {shown(path)} has a path that gitml does not write")
    name = PurePosixPath(path)
    return folder_below(target, name.parent) / name.name


def pointer_of(repo: git.Repository, commit: str, where: str) -> storage.Pointer:
    """The DVC pointer at `where` in the run's folder."""
    name = f"{commit}:{RUN_FOLDER}/{where}"
    return storage.parse_pointer(next(git.read_objects(repo, [name])), where)


def _sources(place: Place, commit: str) -> list[storage.Remote]:
    """The remotes that may have the artifacts of the run whose run commit is `commit`."""
    config = f"{commit}:{RUN_FOLDER}/{pointers.CONFIG}"
    done = git.attempt(place.repo, "cat-file", "blob", config)
    return place.sources(None if done.returncode else done.stdout)


def _check(path: str, digest: str, item: Artifact) -> None:
    if digest != item.sha256:
        raise StorageError(
            f"artifact {shown(path)} has the sha256 {digest}, but {item.sha256} was recorded"
        )
