"""What a model's own file says of its signature, held against what its run's record says.

Gates, and the numbers of versions, go by the record, which whoever may push runs can have written
by hand; clients get what the MLmodel says. That is small and in git where the model is; that of a
large model is in DVC, of which the check reads nothing, and then the record is all there is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from gitml import git
from gitml.documents import load_yaml
from gitml.errors import FormatError, UsageError, shown
from gitml.models.digest import digest
from gitml.models.signature import ModelSignature
from gitml.registry.checking.known import Known
from gitml.registry.checking.problem import Problem
from gitml.registry.files import path_of
from gitml.registry.verified import signature_of
from gitml.tracking.commits import RUN_FOLDER

_FILE = "MLmodel"
_IN_GIT = "git"


def problems(repo: git.Repository, known: Known) -> Iterator[Problem]:
    """What a version's record says otherwise than the files that it lists, as far as git has them.

    The digest, by which what is deployed is known, binds the MLmodel to what is checked here.
    """
    tag, path = str(known.item.tag), path_of(known.item.name)
    try:
        if digest(_files(known)) != known.item.note.digest:
            yield Problem(path, f"{tag} has another digest than the files that its run lists")
        elif (data := _own(repo, known)) is not None and _signature(data) != _recorded(known):
            what = "its run tells another signature than its MLmodel, by which clients go"
            yield Problem(path, f"{tag}: {what}; log the model anew")
    except (FormatError, UsageError) as error:
        yield Problem(path, f"{tag} has a model that can't be read: {error}")


def is_in_git(known: Known) -> bool:
    """Whether the MLmodel of a version can be seen without its artifacts."""
    found = known.run.artifacts.get(f"{known.item.note.path}/{_FILE}")
    return found is not None and found.where == _IN_GIT


def _files(known: Known) -> Iterator[tuple[str, str, int]]:
    """The files of the model as the run lists them: path in it, sha256 and size."""
    folder = f"{known.item.note.path}/"
    for path, item in known.run.artifacts.items():
        if path.startswith(folder):
            yield path.removeprefix(folder), item.sha256, item.size


def _own(repo: git.Repository, known: Known) -> bytes | None:
    """The MLmodel that is in the run's commit; FormatError for another than the run lists."""
    if not is_in_git(known):
        return None
    path = f"{known.item.note.path}/{_FILE}"
    where = f"{known.item.commit}:{RUN_FOLDER}/artifacts/{path}"
    (data,) = git.read_present(repo, [where])
    if data is None or hashlib.sha256(data).hexdigest() != known.run.artifacts[path].sha256:
        raise FormatError(f"its run commit has not the {shown(path)} that its run lists")
    return data


def _signature(data: bytes) -> ModelSignature | None:
    document = load_yaml(data, _FILE, aliases=True)
    told = document.get("signature") if isinstance(document, dict) else None
    return None if told is None else ModelSignature.from_dict(told, f"{_FILE}: signature")


def _recorded(known: Known) -> ModelSignature | None:
    return signature_of(known.run, known.item.note.path)
