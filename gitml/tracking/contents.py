"""The artifacts of a run version as plain contents, which a merge can compare. Pure.

`contents` reads them out of a record and its files, `join` unites two sides, and `place` gives
them paths and pointers again. Two things need a mark in their name to stand side by side:

- a file whose path is a folder on the other side is named `<path>~<first 8 of its sha256>`;
- of DVC pointers for one entry that both still hold a wanted file, the one with the newest file
  keeps `artifacts/<entry>.dvc`, another is `artifacts/<entry>~<first 8 of its blob id>.dvc`.

The marks follow from the contents alone and `contents` takes them off again. So the order of
merges leaves no trace in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gitml.tracking.record import Artifact, RunRecord, Stamp

FOLDER = "artifacts/"
INLINE = "git"
_POINTER = ".dvc"


@dataclass(frozen=True, slots=True, order=True)
class Content:
    """One logged file; of two at one path the greater holds.

    `where` is `git` or the pointer that its first version had, `blob` the id of the file itself
    or of its pointer.
    """

    stamp: Stamp
    sha256: str
    size: int
    where: str
    blob: str


@dataclass(frozen=True, slots=True)
class Placed:
    """What contents come to in a version: artifacts, files of the run's folder and stamps."""

    artifacts: Mapping[str, Artifact]
    files: Mapping[str, str]
    clock: Mapping[str, Stamp]


def contents(record: RunRecord, files: Mapping[str, str]) -> dict[str, Content]:
    """The logged files by the path that they were logged at."""
    found: dict[str, Content] = {}
    for path, artifact in record.artifacts.items():
        inline = artifact.where == INLINE
        blob = files.get(FOLDER + path if inline else artifact.where, "")
        content = Content(
            stamp=record.stamp(FOLDER + path),
            sha256=artifact.sha256,
            size=artifact.size,
            where=INLINE if inline else _first_pointer(artifact.where, blob),
            blob=blob,
        )
        logged = logged_path(path, artifact.sha256)
        found[logged] = max(content, found.get(logged, content))
    return found


def files_of(artifacts: Mapping[str, Artifact]) -> set[str]:
    """The files of a run's folder that hold artifacts, themselves or as pointers."""
    return {
        FOLDER + path if item.where == INLINE else item.where for path, item in artifacts.items()
    }


def marked(path: str, sha256: str) -> str:
    """The path of a file that can't have its own because a folder does."""
    return path + _mark(sha256)


def logged_path(path: str, sha256: str) -> str:
    """The path at which an artifact was logged, without the mark that a merge may have given it."""
    return path.removesuffix(_mark(sha256))


def join(a: Mapping[str, Content], b: Mapping[str, Content]) -> dict[str, Content]:
    """The contents of both sides; of two at one path the greater."""
    return {path: max(content, b.get(path, content)) for path, content in {**b, **a}.items()}


def place(contents: Mapping[str, Content]) -> Placed:
    """The contents with paths and pointers that are all different."""
    folders = {folder for path in contents for folder in _folders_above(path)}
    pointers = _pointers(contents.values())
    artifacts: dict[str, Artifact] = {}
    files: dict[str, str] = {}
    clock: dict[str, Stamp] = {}
    for path, content in contents.items():
        name = marked(path, content.sha256) if path in folders else path
        where = pointers.get((content.where, content.blob), INLINE)
        artifacts[name] = Artifact(content.size, content.sha256, where)
        if content.blob:
            files[FOLDER + name if where == INLINE else where] = content.blob
        if content.stamp > Stamp():
            clock[FOLDER + name] = content.stamp
    return Placed(artifacts, files, clock)


def _pointers(contents: Iterable[Content]) -> dict[tuple[str, str], str]:
    """The path of every pointer that still has a file, by its first path and its blob."""
    newest: dict[str, dict[str, Stamp]] = {}
    for content in contents:
        if content.where != INLINE:
            blobs = newest.setdefault(content.where, {})
            blobs[content.blob] = max(content.stamp, blobs.get(content.blob, content.stamp))
    paths: dict[tuple[str, str], str] = {}
    for where, blobs in newest.items():
        first, *others = sorted(blobs, key=lambda blob: (blobs[blob], blob), reverse=True)
        paths[where, first] = where
        for blob in others:
            paths[where, blob] = f"{where.removesuffix(_POINTER)}{_mark(blob)}{_POINTER}"
    return paths


def _first_pointer(where: str, blob: str) -> str:
    return where.removesuffix(_POINTER).removesuffix(_mark(blob)) + _POINTER


def _mark(digest: str) -> str:
    return f"~{digest[:8]}" if digest else ""


def _folders_above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
