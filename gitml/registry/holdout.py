"""The data that versions are scored on, as a commit names it: by a pointer of DVC."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from gitml import git
from gitml.documents import load_yaml
from gitml.errors import FormatError, UsageError, shown

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
