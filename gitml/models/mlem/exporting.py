"""A model becomes one of MLEM's: a new folder with `model.mlem` and its artifacts."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gitml import files
from gitml.errors import UsageError
from gitml.models.flavors import mlem
from gitml.models.load import Opened
from gitml.models.mlem import bridge, metadata, settings
from gitml.models.mlem.bridge import Tell

NAME = "model"


def export(
    opened: Opened, target: Path, *, allow_code: bool = False, progress: Tell | None = None
) -> Path:
    """Write a model that may be loaded as one of MLEM's; the path of its `.mlem` file.

    A model that is one already is copied; for any other, MLEM saves it in an environment that has
    both. Raises `UsageError` when the folder `target` is there and not empty.
    """
    with new_folder(target) as folder:
        written = write(opened, folder, allow_code=allow_code, progress=progress)
    return target / written.name


def write(
    opened: Opened, folder: Path, *, allow_code: bool = False, progress: Tell | None = None
) -> Path:
    """The same, into a folder that is there."""
    source, model = opened
    if conf := model.flavors.get(mlem.NAME):
        found = metadata.read(source.folder / str(conf["data"]))
        for file, name in found.files():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            files.copy(file, folder / name)
        return folder / found.path.name
    job = {"action": "export", "source": str(source.folder), "target": str(folder / NAME)}
    bridge.work(bridge.spec_of(source, allow_code=allow_code), job, progress)
    return folder / f"{NAME}{metadata.SUFFIX}"


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill that becomes `target` at the end; UsageError when there is something."""
    where = files.shown_path(target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{where} is there already; name a new folder")
    with files.disk(f"write {where}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".gitml-") as draft:
            Path(draft, settings.FILE).touch()
            folder = Path(draft).absolute() / "made"
            folder.mkdir(mode=0o755)
            yield folder
            if target.is_dir():
                target.rmdir()
            folder.rename(target)
