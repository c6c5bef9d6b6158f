"""Artifact units: which logged files go into the run commit, and which into DVC. Pure.

Each top-level entry of a run's artifacts is one unit, and so is the folder of a logged model.
A unit is inline when it is small, else one DVC pointer stands for it: `artifacts/<entry>.dvc`.
Git grows slow with many files, so a run has a thousand of either; what is more is one unit.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gitml.errors import UsageError, shown
from gitml.tracking.contents import marked
from gitml.tracking.fold import Staged
from gitml.tracking.names import is_interpreted
from gitml.tracking.record import Artifact

FOLDER = "artifacts"
INLINE = "git"
# Files whose names git or DVC would act on are kept inside one DVC folder of this name.
_GUARDED = "guarded-files"
# So are units without end, the smallest of which share one pointer.
_MORE = "more-files"
INLINE_FILES = 1000  # of a run: a folder of ten times as many costs git half a minute
POINTERS = 1000
_TWIN = re.compile(r"~[0-9a-f]{8}$")


@dataclass(frozen=True, slots=True)
class Unit:
    """Files that are stored together. `root` is the path that they share.

    `is_dir` tells a folder from a single file, whose path is `root` itself.
    """

    root: str
    files: tuple[Staged, ...]
    is_dir: bool
    inline: bool

    def inside(self, path: str) -> str:
        """The path of one of its files relative to the unit's folder."""
        return path.removeprefix(self.root + "/")


def plan(
    staged: Mapping[str, Staged],
    *,
    models: Collection[str] = (),
    inline_unit: int = 100_000,
    inline_run: int = 1_000_000,
    inline_files: int = INLINE_FILES,
    pointers: int = POINTERS,
) -> list[Unit]:
    """The units of a run's logged files; `models` are the folders of logged models.

    Small units are inline, the smallest first, until `inline_run` bytes or `inline_files` files
    of the run are. Of the others all but the `pointers` largest make one unit.
    """
    groups: dict[str, list[Staged]] = {}
    for path, file in sorted(staged.items()):
        groups.setdefault(_root(path, models), []).append(file)
    units, room, free = list[Unit](), inline_run, inline_files
    for root, files in sorted(groups.items(), key=lambda item: (_bytes(item[1]), item[0])):
        size = _bytes(files)
        fits = size <= min(inline_unit, room) and len(files) <= free
        inline = root != _GUARDED and fits and not _any_guarded(files)
        room, free = (room - size, free - len(files)) if inline else (room, free)
        units.append(Unit(root, tuple(files), [file.path for file in files] != [root], inline))
    return sorted(_joined(units, models, pointers), key=lambda unit: unit.root)


def _joined(units: Sequence[Unit], models: Collection[str], pointers: int) -> list[Unit]:
    """The units, the smallest first, with the first of too many that need a pointer as one."""
    kept = (*models, _GUARDED, _MORE)
    pointed = [unit for unit in units if not unit.inline and unit.root not in kept]
    beyond = pointed[: max(0, len(pointed) - max(0, pointers))]
    if len(beyond) < 2:
        return list(units)
    files = sorted((file for unit in beyond for file in unit.files), key=lambda file: file.path)
    roots = {unit.root for unit in beyond}
    rest = [unit for unit in units if unit.root not in roots]
    return [*rest, Unit(_MORE, tuple(files), True, False)]


def _root(path: str, models: Collection[str]) -> str:
    for model in models:
        if path.startswith(model + "/"):
            return model
    top = path.split("/")[0]
    return _GUARDED if is_interpreted(top) else top


def _any_guarded(files: Iterable[Staged]) -> bool:
    return any(is_interpreted(part) for file in files for part in file.path.split("/"))


def _bytes(files: Iterable[Staged]) -> int:
    return sum(file.size for file in files)


def pointer_path(root: str, twin: str = "") -> str:
    """Where a unit's pointer is in the run's folder; `twin` tells two of one root apart."""
    return f"{FOLDER}/{root}{'~' + twin[:8] if twin else ''}.dvc"


def inside_pointer(where: str, path: str) -> str | None:
    """The path of artifact `path` within the object of the pointer `where`.

    None when the object is the file itself.
    """
    root = where.removeprefix(FOLDER + "/").removesuffix(".dvc")
    if path != root and not path.startswith(root + "/"):
        root = _TWIN.sub("", root)
    return None if path == root else path.removeprefix(root + "/")


def check_tree(paths: Iterable[str], known: Mapping[str, bool]) -> None:
    """Refuse a path that is a file for one and a folder for another.

    `known` maps every earlier path, and every folder above one, to whether it is a folder.
    """
    for path in paths:
        if known.get(path):
            raise UsageError(
                f"artifact {shown(path)} is a file, but a folder of that name was logged"
            )
        for folder in folders_above(path):
            if known.get(folder) is False:
                raise UsageError(
                    f"artifact {shown(path)} needs a folder {shown(folder)}, which is a logged file"
                )


def folders_above(path: str) -> Sequence[str]:
    """The folders that a path lies in, outermost first."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def without_clashes(
    staged: Mapping[str, Staged], recorded: Mapping[str, Artifact]
) -> tuple[dict[str, Staged], dict[str, str]]:
    """The new files and the recorded ones as one tree.

    Where two writers logged a file and a folder of one name, the file gets the name
    `<name>~<first 8 of its sha256>`. Returns the new files under their paths, and the new paths
    of recorded files that got one.
    """
    folders = {folder for path in (*staged, *recorded) for folder in folders_above(path)}
    files = {}
    for path, file in staged.items():
        free = marked(path, file.sha256) if path in folders else path
        files[free] = replace(file, path=free)
    moved = {path: marked(path, recorded[path].sha256) for path in folders & recorded.keys()}
    return files, moved
