"""Checks of the files in a repository: those of gitml, and those that are too large for git.

Each check returns what it found, nothing when all is well. The hooks of `.pre-commit-hooks.yaml`
and `gitml validate` stand on them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gitml import config, git, storage
from gitml.documents import load_json, load_yaml, problems
from gitml.errors import FormatError

# Which schema a file has to fit, by its path; each pattern must match a path's end. A run commit
# or the ledger that is checked out has the others beside gitml.yaml. The hook has them all.
_EXPERIMENT = r"(?:^|/)runs/[a-z0-9][a-z0-9_-]{0,59}"
_SCHEMAS = (
    (re.compile(r"(?:^|/)gitml\.yaml$"), "gitml"),
    (re.compile(r"(?:^|/)\.gitml/run/run\.json$"), "run"),
    (re.compile(_EXPERIMENT + r"/\d{4}/\d\d/\d\d/[0-9a-f]{32}/run\.json$"), "run"),
    (re.compile(_EXPERIMENT + r"/experiment\.json$"), "experiment"),
    (re.compile(r"^registry\.yaml$"), "registry"),
    (re.compile(r"^registry/[^/]+\.yaml$"), "registered-model"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a file; `path` is relative to the folder that was checked."""

    path: str
    message: str


Reader = Callable[[bytes, str], object]
_NONE: Mapping[str, Reader] = MappingProxyType({})


def validate(
    folder: Path, files: Iterable[str] | None = None, readers: Mapping[str, Reader] = _NONE
) -> list[Finding]:
    """What is wrong with the files of gitml among `files`, or else in the whole of `folder`.

    `files` are relative to `folder`, which must be in a git repository when there are none.
    `readers` read files further, by the name of their schema, and raise FormatError.
    """
    names = _listed(folder) if files is None else (Path(name).as_posix() for name in files)
    return [
        Finding(name, message)
        for name in names
        if (schema := schema_of(name)) is not None
        for message in _faults(folder / name, schema, readers.get(schema))
    ]


def schema_of(path: str) -> str | None:
    """The name of the schema that the file at `path` has to fit, None for any other file."""
    return next((name for pattern, name in _SCHEMAS if pattern.search(path)), None)


def large_files(
    folder: Path, files: Iterable[str] | None = None, limit: int | None = None
) -> list[Finding]:
    """The files in git's index of more than `limit` bytes: DVC should hold them.

    Sizes are those that git would store, so a file that Git LFS keeps counts as its pointer.
    `files` (relative to `folder`) narrows the search; `limit` is by default `snapshot.max_file`
    of gitml.yaml. Raises `GitError` outside a git repository.
    """
    root = git.find(folder).root or folder
    if limit is None:
        limit = config.load(root, folder).snapshot.max_file
    wanted = None if files is None else {Path(name).as_posix() for name in files}
    staged = {name: blob for name, blob in _staged(folder) if wanted is None or name in wanted}
    sizes = _sizes(folder, set(staged.values()))
    large = {name: sizes[blob] for name, blob in staged.items() if sizes.get(blob, 0) > limit}
    return [
        Finding(name, f"{large[name] / 1e6:.1f} MB is too large for git; run: {command}")
        for name, command in _commands(folder, root, sorted(large))
    ]


def _commands(folder: Path, root: Path, names: list[str]) -> Iterator[tuple[str, str]]:
    """The files, each with the command that gives it to DVC, which takes none that git tracks."""
    there = [] if folder.resolve() == root.resolve() else ["--cd", str(root)]
    first = "" if storage.is_dvc_project(folder) else shlex.join(["dvc", *there, "init"]) + " && "
    for name in names:
        untrack, add = ["git", "rm", "--cached", "--", name], ["dvc", "add", name]
        yield name, f"{first}{shlex.join(untrack)} && {shlex.join(add)}"
        first = ""


def _faults(path: Path, schema: str, reader: Reader | None) -> list[str]:
    try:
        return faults(path.read_bytes(), path.name, schema, reader)
    except OSError as error:
        return [f"can't be read: {error.strerror}"]


def faults(
    data: bytes, name: str, schema: str, reader: Reader | None = None, *, placed: bool = False
) -> list[str]:
    """What is wrong with the contents of a file called `name` that has to fit the schema.

    With `placed` the faults of a YAML file tell line and column.
    """
    try:
        at = data if placed and not name.endswith(".json") else None
        found = problems(_loaded(data, name), schema, at)
        if not found and reader is not None:
            reader(data, name)
    except FormatError as error:
        return [str(error).removeprefix(f"{name}: ")]
    return found


def _loaded(data: bytes, name: str) -> Any:
    if name.endswith(".json"):
        return load_json(data, name)
    return load_yaml(data, name, aliases=name == "MLmodel")  # MLflow writes them


def _listed(folder: Path) -> list[str]:
    listed = git.run(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return [name for name in sorted(set(_paths(listed))) if (folder / name).is_file()]


def _staged(folder: Path) -> Iterator[tuple[str, str]]:
    """The path and blob id of every regular file in the index."""
    for line in _paths(git.run(folder, "ls-files", "-z", "--stage")):
        entry, name = line.split("\t", 1)
        mode, blob, _stage = entry.split(" ")
        if mode.startswith("100"):
            yield name, blob


def _sizes(folder: Path, blobs: Iterable[str]) -> dict[str, int]:
    asked = "".join(f"{blob}\n" for blob in blobs).encode()
    answer = git.run(folder, "cat-file", "--batch-check=%(objectname) %(objectsize)", input=asked)
    pairs = (line.split(" ") for line in answer.decode().splitlines())
    return {blob: int(size) for blob, size in pairs if size.isdigit()}


def _paths(output: bytes) -> list[str]:
    return output.decode("utf-8", "surrogateescape").split("\0")[:-1]
