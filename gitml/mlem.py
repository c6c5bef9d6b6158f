"""Models of MLEM as they are; MLflow has no such module.

To load one needs MLEM in this environment, `pip install 'gitml[mlem]'`, or the command line with
`--env-manager uv`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitml.models import public
from gitml.models.mlem import metadata
from gitml.models.mlem.importing import options_of
from gitml.models.mlmodel import ModelInfo
from gitml.models.options import LogOptions, SaveOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["load_model", "log_model", "save_model"]

NAME = "mlem"


def save_model(mlem_model: str | Path, path: str | Path, **options: Unpack[SaveOptions]) -> None:
    """Save a model that MLEM saved, named by its `.mlem` file, to a new folder."""
    found = metadata.read(Path(mlem_model))
    public.save(NAME, found, path, {**options_of(found), **options})


def log_model(
    mlem_model: str | Path,
    artifact_path: str | None = None,
    *,
    name: str | None = None,
    **options: Unpack[LogOptions],
) -> ModelInfo:
    """Log a model that MLEM saved to a run, by default the active one, at the path `name`."""
    found = metadata.read(Path(mlem_model))
    return public.log(NAME, found, name or artifact_path, {**options_of(found), **options})


def load_model(
    model_uri: str | Path, dst_path: str | Path | None = None, *, allow_code: bool = False
) -> Any:
    """MLEM's object of a model, from a run, the registry or a folder."""
    return public.load(NAME, model_uri, dst_path, allow_code=allow_code)
