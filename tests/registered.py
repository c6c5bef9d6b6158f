"""Models for registry tests: small folders that a clone logs to a run, and registers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitml.documents import dump_yaml
from gitml.models.digest import digest_of_folder
from gitml.registry import registering
from gitml.registry.catalog import Registered
from gitml.registry.registering import Wish
from gitml.tracking import finishing, starting
from gitml.tracking.record import FINISHED
from gitml.tracking.session import now_ms
from gitml.tracking.starting import Wish as RunWish
from gitml.tracking.walk import files_under
from tests.clones import Clone

MLMODEL = b"flavors:\n  python_function: {loader_module: none}\n"


def columns(**types: str) -> dict[str, Any]:
    """A signature whose inputs are columns of these types."""
    inputs = [{"name": name, "type": kind, "required": True} for name, kind in types.items()]
    return {"inputs": inputs, "outputs": [{"type": "double", "required": True}]}


def log(
    clone: Clone,
    *,
    path: str = "model",
    signature: Mapping[str, Any] | None = None,
    weights: bytes = b"1",
    status: str = FINISHED,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
    digest: str | None = None,
    declared: Mapping[str, Any] | None = None,
) -> str:
    """Record a run that logs a model, by default at `model`, with its true digest; its id.

    Its MLmodel has the signature of the record, or the one that is `declared`.
    """
    place = clone.place
    folder = clone.folder / ".git" / "model"
    folder.mkdir(exist_ok=True)
    told = dict(signature or columns(a="long"))
    parts = {name: json.dumps(part) for name, part in (declared or told).items()}
    (folder / "MLmodel").write_bytes(MLMODEL + dump_yaml({"signature": parts}))
    (folder / "weights.bin").write_bytes(weights)
    entry = {"digest": digest or digest_of_folder(folder), "signature": told}
    session, record = starting.start(place, RunWish(name="trained", tags=tags))
    for key, value in (metrics or {}).items():
        session.metric(key, value, 0, now_ms())
    session.model(path, [(file, f"{path}/{name}") for file, name in files_under(folder)], entry)
    finishing.finish(place, session, record, status)
    return record.run_id


def register(clone: Clone, name: str = "churn", run: str = "latest", **wish: Any) -> Registered:
    """Register the model of a run."""
    return registering.register(clone.place, f"runs:/{run}/model", name, Wish(**wish))


def alone(folder: Path) -> Clone:
    """A repository without remotes, as a clone."""
    return Clone(folder)
