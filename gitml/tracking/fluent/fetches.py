"""Reading artifacts, named by run and path or by URI: the functions of `gitml.artifacts`."""

from __future__ import annotations

import json
import re
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from gitml.errors import NOT_FOUND, UsageError, shown
from gitml.tracking import download, recording, store
from gitml.tracking.entities import FileInfo
from gitml.tracking.fluent.place import at, folder_of, place
from gitml.tracking.names import ArtifactPath
from gitml.tracking.place import Place

_URI = re.compile(r"runs:/+(?P<run>[^/]+)(?:/(?P<path>.*))?")


def list_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: ArtifactPath | None = None,
    tracking_uri: str | None = None,
) -> list[FileInfo]:
    """What lies directly in a folder of a run's artifacts, named by URI or by run and path."""
    with at(_folder(tracking_uri)):
        run, path = _named(artifact_uri, run_id, artifact_path)
        return download.listing(store.record(place(), run).artifacts, path)


def download_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: ArtifactPath | None = None,
    dst_path: str | Path | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
) -> str:
    """Write artifacts into `dst_path`, by default a new temporary folder; where they are then.

    As in MLflow 3, a path such as `plots/roc.png` comes there by its last name.
    """
    with at(_folder(tracking_uri)):
        run, path = _named(artifact_uri, run_id, artifact_path)
        target = Path(dst_path or tempfile.mkdtemp(prefix="gitml-")).absolute()
        return str(_download(place(), run, path, target))


def _download(where: Place, run_id: str, path: ArtifactPath | None, target: Path) -> Path:
    live = where.live_run(run_id)
    entry = store.entry(where, run_id)
    rest = (where, entry.record, entry.commit) if entry else None
    if live.folder.is_dir():
        return download.download_live(live, recording.staged(live), rest, path, target)
    if rest is None:
        raise UsageError(f"run {shown(run_id)} not found; see: gitml runs list", NOT_FOUND)
    return download.download(*rest, path, target, flat=True)


def _folder(tracking_uri: str | None) -> str | None:
    return folder_of(tracking_uri) if tracking_uri else None


def load_text(artifact_uri: str) -> str:
    """A text artifact."""
    try:
        return _bytes(artifact_uri).decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"the artifact {shown(artifact_uri)} is not text in UTF-8") from None


def load_dict(artifact_uri: str) -> Any:
    """A dictionary that was logged as JSON."""
    try:
        return json.loads(_bytes(artifact_uri))
    except ValueError as error:
        raise UsageError(f"the artifact {shown(artifact_uri)} is not JSON: {error}") from None


def load_image(artifact_uri: str) -> Any:
    """An image artifact as a PIL image."""
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(BytesIO(_bytes(artifact_uri)))
    except UnidentifiedImageError:
        raise UsageError(f"the artifact {shown(artifact_uri)} is not an image") from None


def _bytes(uri: str) -> bytes:
    run, path = _named(uri, None, None)
    return store.artifact(place(), run, path or "")


def _named(
    uri: str | None, run_id: str | None, path: ArtifactPath | None
) -> tuple[str, ArtifactPath | None]:
    if (uri is None) == (run_id is None):
        raise UsageError("name the artifacts by artifact_uri or by run_id, one of them")
    if uri is None:
        return str(run_id), path
    found = _URI.fullmatch(uri)
    if found is None:
        raise UsageError(f"the artifact URI {shown(uri)} is not runs:/RUN_ID/PATH")
    return store.resolve(place(), found["run"]), found["path"] or path
