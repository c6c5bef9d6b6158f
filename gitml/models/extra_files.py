"""Files of the user's that travel with a model: `extra_files` and `artifacts`; MLflow's layout."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gitml.errors import UsageError, shown

FOLDER = "extra_files"


def copy(files: Iterable[Any] | None, folder: Path) -> dict[str, Any]:
    """Copy files and folders into the model's `folder`; what the flavor's entry says of them."""
    if isinstance(files, (str, Path)):
        raise UsageError("extra_files is a list of files and folders, such as ['labels.txt']")
    paths = []
    for uri in files or ():
        source = local_of(str(uri))
        target = folder / FOLDER / source.resolve().name
        target.parent.mkdir(exist_ok=True)
        copy_to(source, target)
        paths.append({"path": f"{FOLDER}/{target.name}"})
    return {FOLDER: paths} if paths else {}


def copy_to(source: Path, target: Path) -> None:
    """Copy a file, or a folder with all that is in it."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def local_of(uri: str) -> Path:
    """The file or folder that a path, or the artifact of a run, is on this machine."""
    if uri.startswith("runs:/"):
        from gitml.tracking.fluent import fetches

        return Path(fetches.download_artifacts(uri))
    path = Path(uri.removeprefix("file://"))
    if not path.exists():
        raise UsageError(f"the artifact {shown(uri)} does not exist")
    return path
