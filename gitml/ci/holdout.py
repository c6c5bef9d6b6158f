"""The data that CI scores versions on: a file that DVC tracks, or what is at a URL.

Whoever proposes a version must not be able to read it: it lies in a DVC remote, or a bucket, whose
credentials the job that scores has alone. Where it is says the main branch, by the pointer there.
"""

from __future__ import annotations

import posixpath
from pathlib import Path

from gitml import storage
from gitml.errors import StorageError, shown
from gitml.registry.holdout import tracked
from gitml.tracking import dataset_source
from gitml.tracking.place import Place
from gitml.tracking.record import Dataset

CONTEXT = "evaluation"


def fetch(place: Place, commit: str, name: str, folder: Path) -> tuple[Path, Dataset]:
    """Fetch a dataset as a commit names it into a folder; where it is then, and its description.

    Nothing of it stays elsewhere. Raises StorageError when it can't be had.
    """
    found = tracked(place.repo, commit, name)
    if found is None:
        path = storage.download(place.root, name, folder)
        digest = dataset_source.whole_digest(path)
        source = dataset_source.parse(name)
        return path, Dataset(name, digest, CONTEXT, source.to_dict(), source.type)
    remote = storage.project_remote(place.root, found.remote)
    if remote is None:
        raise StorageError(f"there is no DVC remote to fetch {shown(name)} from")
    pointer = storage.Pointer(found.md5, 0, 0 if found.md5.endswith(".dir") else None)
    cache = storage.Cache(folder / "cache")
    storage.fetch(cache, [remote], [pointer])
    target = folder / "data" / posixpath.basename(name)
    target.parent.mkdir()
    storage.materialize(cache, pointer, target)
    source = dataset_source.DatasetSource("dvc", {"uri": name, "pointer": f"{name}.dvc",
                                                  "md5": found.md5})  # fmt: skip
    return target, Dataset(name, found.md5, CONTEXT, source.to_dict(), source.type)
