"""Where a model is: URIs become folders with a model, and what is known of their origin."""

from __future__ import annotations

import atexit
import importlib
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gitml.errors import StorageError, UsageError, shown
from gitml.models.digest import digest_of_folder
from gitml.tracking import store
from gitml.tracking.fluent import fetches
from gitml.tracking.fluent.place import place
from gitml.tracking.record import Json, RunRecord
from gitml.tracking.vouched import vouched

_RUN = re.compile(r"runs:/+(?P<run>[^/]+)/(?P<path>.+)")
_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):/")


@dataclass(frozen=True, slots=True)
class Located:
    """A model's folder on this machine.

    Of a run, `digest` is that of its bytes, and `commit` the one of the code that made it;
    `trusted` says that this repository recorded it, not only one that was fetched beside it. A
    version of a registered model has its `name` and `version`.
    """

    uri: str
    folder: Path
    trusted: bool = False
    run_id: str | None = None
    digest: str | None = None
    name: str | None = None
    version: str | None = None
    commit: str | None = None


Locate = Callable[[str, "Path | None"], Located]
# By the scheme of the URI; a module of _HOMES, imported at the first such URI, adds its own. It
# stands on this one.
SCHEMES: dict[str, Locate] = {}
_HOMES = {"models": "gitml.registry.locating"}


def locate(uri: str | Path, target: Path | None = None) -> Located:
    """The model that a URI or path names; one that is fetched comes into `target`.

    Without a `target` it comes into a temporary folder, which goes when the process ends.
    """
    text = str(uri)
    found = _SCHEME.match(text)
    if found is None or found["scheme"] == "file":
        return Located(text, _folder(text))
    if (module := _HOMES.get(found["scheme"])) is not None:
        importlib.import_module(module)
    if found["scheme"] not in SCHEMES:
        raise UsageError(
            f"{shown(text)} is no model URI; write runs:/RUN/PATH, models:/NAME/VERSION or the path"
            " of a folder"
        )
    return SCHEMES[found["scheme"]](text, target)


def _folder(text: str) -> Path:
    """The folder that a path means now, so that no link to it can be turned elsewhere later."""
    try:
        return Path(text.removeprefix("file://")).expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise UsageError(f"there is no model folder {shown(text)}") from None


def _of_run(uri: str, target: Path | None) -> Located:
    found = _RUN.fullmatch(uri)
    if found is None:
        raise UsageError(f"{shown(uri)} is not runs:/RUN/PATH, such as runs:/latest/model")
    run_id = store.resolve(place(), found["run"])
    path = found["path"].strip("/")
    record = store.record(place(), run_id)
    entry = _entry(record, path)
    where = target or temporary()
    folder = fetches.download_artifacts(run_id=run_id, artifact_path=path, dst_path=where)
    digest, commit = _digest(entry, uri), record.code.commit
    ours = any(
        path in own.models and own.models[path].get("digest") == digest
        for own in vouched(place(), run_id)
    )
    return checked(Located(uri, Path(folder), ours, run_id, digest, commit=commit))


SCHEMES["runs"] = _of_run


def _entry(record: RunRecord, path: str) -> Mapping[str, Json]:
    models = record.models
    if path not in models:
        has = f"; it has: {', '.join(map(shown, models))}" if models else ""
        raise UsageError(f"run {record.run_id[-8:]} logged no model at {shown(path)}{has}")
    return models[path]


def _digest(entry: Mapping[str, Json], uri: str) -> str:
    digest = entry.get("digest")
    if not isinstance(digest, str):
        raise UsageError(f"the record of {shown(uri)} has no digest; its bytes can't be checked")
    return digest


def checked(found: Located) -> Located:
    """The same, once its bytes are those of its digest; StorageError says what they are instead."""
    if (digest := digest_of_folder(found.folder)) != found.digest:
        raise StorageError(
            f"the files of {shown(found.uri)} have the digest {digest}, but {found.digest} was"
            " recorded; they are not loaded"
        )
    return found


def temporary() -> Path:
    """A new folder that goes when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="gitml-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
