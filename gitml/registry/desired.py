"""What was decided about the models: the registry's files, as they hold here.

In a work tree the files on disk count, which are what its branch says, or what somebody is about
to propose. Without one the files of the main branch do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from gitml import git
from gitml.documents import Edit, write_atomic
from gitml.errors import FormatError, StorageError, UsageError, shown
from gitml.files import shown_path
from gitml.registry import files
from gitml.registry.entries import new_file
from gitml.registry.files import FOLDER, ModelFile
from gitml.registry.tags import is_model_name
from gitml.tracking.place import Place

_SUFFIX = ".yaml"
NOTHING = ModelFile()


def read_all(place: Place) -> Mapping[str, ModelFile]:
    """Every model that has a file, by name; FormatError names one that can't be read."""
    return {
        name: files.parse(data, files.path_of(name)) for name, data in sorted(_texts(place).items())
    }


def names(place: Place) -> list[str]:
    """The models that have a file."""
    return sorted(_texts(place))


def read(place: Place, name: str) -> ModelFile:
    """What was decided about a model; nothing where it has no file."""
    data = _texts(place).get(name)
    return NOTHING if data is None else files.parse(data, files.path_of(name))


Decide = Callable[[ModelFile], Iterable[Edit]]


def change(place: Place, name: str, decide: Decide) -> Path:
    """Edit a model's file in the work tree, and return its path; it is the user's to commit.

    A new one has a place for each stage, so that promotions which follow it merge in any order.
    Raises UsageError without a work tree.
    """
    root = place.repo.root
    if root is None:
        raise UsageError("a bare repository has no files to edit; do it in a clone")
    path = root / files.path_of(name)
    _check_own(root, path)
    data = path.read_bytes() if path.is_file() else None
    where = files.path_of(name)
    now = NOTHING if data is None else files.parse(data, where)
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise StorageError(f"can't make {shown_path(path.parent)}: {error.strerror}") from None
    begun = new_file(_stages(root)) if data is None else data
    made = files.edited(begun, decide(now), where)
    if made != data:
        write_atomic(path, made)
    return path


def _stages(root: Path) -> tuple[str, ...]:
    """The stages of the policy in the work tree."""
    from gitml.registry import policy  # with all that gates need, which no reader of files does

    path = root / policy.FILE_NAME
    return (policy.parse(path.read_bytes()) if path.is_file() else policy.Policy()).stages


def _check_own(root: Path, path: Path) -> None:
    """Refuse a file that a link puts somewhere else."""
    if path.is_symlink() or path.parent.is_symlink():
        raise UsageError(f"{shown(str(path.relative_to(root)))} is a link; make it a file")


def _texts(place: Place) -> dict[str, bytes]:
    """The files of models by name."""
    root = place.repo.root
    if root is None:
        return texts_at(place.repo, "HEAD")  # the branch that it is on
    folder = root / FOLDER
    found = {path.name.removesuffix(_SUFFIX): path for path in folder.glob(f"*{_SUFFIX}")}
    named = {name: path for name, path in found.items() if is_model_name(name)}
    return {name: path.read_bytes() for name, path in named.items() if path.is_file()}


def read_at(repo: git.Repository, commit: str) -> Mapping[str, ModelFile]:
    """What was decided about every model that has a file in a commit."""
    found = texts_at(repo, commit)
    return {name: files.parse(data, files.path_of(name)) for name, data in found.items()}


def readable_at(repo: git.Repository, commit: str) -> tuple[dict[str, ModelFile], dict[str, str]]:
    """The same of the files that can be read; and of the others, by model, why not."""
    decided, unread = {}, {}
    for name, data in texts_at(repo, commit).items():
        try:
            decided[name] = files.parse(data, files.path_of(name))
        except FormatError as error:
            unread[name] = str(error)
    return decided, unread


def texts_at(repo: git.Repository, commit: str) -> dict[str, bytes]:
    """The files of models in a commit, by name; a link, a folder and a submodule are none."""
    if git.resolve(repo, f"{commit}^{{commit}}") is None:
        return {}  # nothing is committed yet
    listed = git.run(repo, "ls-tree", "-z", "--full-tree", commit, f"{FOLDER}/")
    blobs = {}
    for line in listed.split(b"\0"):
        meta, _, path = line.decode("utf-8", "replace").partition("\t")
        name = path.removeprefix(f"{FOLDER}/").removesuffix(_SUFFIX)
        if path == files.path_of(name) and is_model_name(name) and meta.startswith("100"):
            blobs[name] = meta.split(" ")[2]
    return dict(zip(blobs, git.read_objects(repo, blobs.values()), strict=True))
