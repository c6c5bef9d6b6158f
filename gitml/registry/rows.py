"""The registry as rows of listings: the stable keys that scripts rely on. Pure."""

from __future__ import annotations

from typing import Any

from gitml.registry.catalog import Registered
from gitml.registry.files import ModelFile
from gitml.tracking.moments import time_to_text


def model_row(name: str, versions: tuple[Registered, ...], now: ModelFile) -> dict[str, Any]:
    """A registered model: every key is always there, None when it says nothing."""
    latest = max(versions, key=lambda it: it.ordinal) if versions else None
    return {
        "name": name,
        "description": now.description or None,
        "owners": list(now.owners),
        "versions": len(versions),
        "latest": str(latest.version) if latest else None,
        "registered": time_to_text(latest.time) if latest else None,
        "stages": {stage: str(version) for stage, version in now.stages.items()},
        "aliases": {alias: str(version) for alias, version in now.aliases.items()},
    }


def version_row(item: Registered, now: ModelFile) -> dict[str, Any]:
    """A version of a model; `ordinal` is MLflow's number of it."""
    version = item.version
    return {
        "name": item.name,
        "version": str(version),
        "ordinal": item.ordinal,
        "stages": [stage for stage, held in now.stages.items() if held == version],
        "aliases": [alias for alias, held in now.aliases.items() if held == version],
        "archived": version in now.archived,
        "registered": time_to_text(item.time),
        "registered_by": item.note.by or None,
        "change": item.note.change or None,
        "description": item.note.description or None,
        "tags": dict(item.note.tags),
        "run_id": item.note.run_id,
        "path": item.note.path,
        "digest": item.note.digest,
        "commit": item.commit,
    }
