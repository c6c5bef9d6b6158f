"""A version that is ready to be deployed: judged, fetched, hashed, in a folder that stays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Release:
    """A version and its files.

    `folder` holds the model, whose bytes are those of `digest`; `environment` the files that say
    what it needs, which are the model's own or its project's; `request` is the body of a prediction
    that must succeed, empty when the model has no example.
    """

    name: str
    version: str
    run_id: str
    digest: str
    folder: Path
    environment: Path
    request: str = ""
