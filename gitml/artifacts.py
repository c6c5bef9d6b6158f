"""Reading artifacts: MLflow's `mlflow.artifacts`."""

from __future__ import annotations

from pathlib import Path

from gitml.tracking.fluent import fetches
from gitml.tracking.fluent.fetches import list_artifacts, load_dict, load_image, load_text
from gitml.tracking.fluent.place import at, folder_of
from gitml.tracking.names import ArtifactPath

__all__ = ["download_artifacts", "list_artifacts", "load_dict", "load_image", "load_text"]


def download_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: ArtifactPath | None = None,
    dst_path: str | Path | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
) -> str:
    """Write artifacts into `dst_path`, by default a new temporary folder; where they are then.

    `artifact_uri` is `runs:/RUN/PATH`, or names a registered model: `models:/NAME/VERSION`. As in
    MLflow 3, a path such as `plots/roc.png` comes there by its last name.
    """
    if artifact_uri is None or not artifact_uri.startswith("models:/"):
        return fetches.download_artifacts(
            artifact_uri, run_id, artifact_path, dst_path, tracking_uri, registry_uri
        )
    from gitml.models.locate import locate

    with at(folder_of(registry_uri or tracking_uri or "")):
        target = None if dst_path is None else Path(dst_path).absolute()
        return str(locate(artifact_uri, target).folder)
