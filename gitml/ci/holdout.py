"""The data that CI scores versions on: a file that DVC tracks, or what is at a URL.

Whoever proposes a version must not be able to read it: it lies in a DVC remote, or a bucket, whose
credentials the job that scores has alone. Where it is says the main branch, by the pointer there.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path

from gitml import git, storage
from gitml.documents import load_yaml
from gitml.errors import FormatError, StorageError, UsageError, shown
from gitml.tracking import dataset_source
from gitml.tracking.place import Place
from gitml.tracking.record import Dataset

CONTEXT = "evaluation"
_MD5_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Tracked:
    """What a pointer of DVC says: the md5 of the data, and the remote that it names, if any."""

    md5: str
    remote: str | None = None


def tracked(repo: git.Repository, commit: str, name: str) -> Tracked | None:
    """What a commit's pointer `NAME.dvc` says; None for a URL, which has none.

    Raises UsageError when there is no such pointer, FormatError when it can't be read.
    """
    if "://" in name:
        return None
    if posixpath.normpath(name) != name or name.startswith(("/", "..")):
        raise UsageError(f"the dataset {shown(name)} is no path in the repository, and no URL")
    where = f"{name}.dvc"
    (data,) = git.read_present(repo, [f"{commit}:{where}"])
    if data is None:
        raise UsageError(
            f"the dataset {shown(name)} has no pointer {shown(where)} at {commit[:12]}: dvc add it,"
            " or name a URL; what git holds itself everybody can read"
        )
    document = load_yaml(data, where)
    outs = document.get("outs") if isinstance(document, dict) else None
    out = outs[0] if isinstance(outs, list) and len(outs) == 1 else None
    if not isinstance(out, dict) or out.get("path") != posixpath.basename(name):
        raise FormatError(f"{where} is no pointer of DVC to {shown(name)}")
    md5, remote = out.get("md5"), out.get("remote")
    if not isinstance(md5, str) or len(md5.removesuffix(".dir")) != _MD5_LENGTH:
        raise FormatError(f"{where} has no md5")
    return Tracked(md5, None if remote is None else str(remote))


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
