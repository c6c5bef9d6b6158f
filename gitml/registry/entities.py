"""What MLflow's functions and its client return of the registry: values with its names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gitml.registry import registering
from gitml.registry.catalog import Registered
from gitml.registry.files import ModelFile
from gitml.registry.rows import version_row
from gitml.tracking.entities import Entity

READY, PENDING = "READY", "PENDING_REGISTRATION"


@dataclass(frozen=True)
class ModelVersion(Entity):
    """A registered version, with MLflow's names; times are in ms since the epoch.

    `version` is text such as `v1.2.0`, `ordinal` MLflow's number. `stages` are those that it holds,
    in the order of the model's file, `current_stage` is the last of them, as `Production`, or else
    `Archived`, or `None` as text. `source` is the model's URI in its run. `status` is READY, or
    PENDING_REGISTRATION where the remote refuses the tag, so that the version goes through a
    promotion; `status_message` then says what to do.
    """

    name: str
    version: str
    creation_timestamp: int
    last_updated_timestamp: int
    description: str
    user_id: str
    current_stage: str
    source: str
    run_id: str
    ordinal: int
    digest: str
    commit: str
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    status: str = READY
    status_message: str | None = None
    run_link: str | None = None


@dataclass(frozen=True)
class RegisteredModel(Entity):
    """A registered model, with MLflow's names; times are in ms since the epoch.

    `latest_versions` are the one that was registered last and those that hold a stage. `aliases`
    maps them to versions.
    """

    name: str
    creation_timestamp: int
    last_updated_timestamp: int
    description: str
    latest_versions: tuple[ModelVersion, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)


def model_version(item: Registered, now: ModelFile) -> ModelVersion:
    """A version as MLflow has it, `now` being what was decided about the model."""
    told = version_row(item, now)
    stages = tuple(told["stages"])
    stage = stages[-1] if stages else "archived" if told["archived"] else "none"
    return ModelVersion(
        name=item.name,
        version=str(item.version),
        creation_timestamp=item.time,
        last_updated_timestamp=item.time,
        description=item.note.description,
        user_id=item.note.by,
        current_stage=stage.capitalize(),
        source=item.source,
        run_id=item.note.run_id,
        ordinal=item.ordinal,
        digest=item.note.digest,
        commit=item.commit,
        tags=dict(item.note.tags),
        aliases=tuple(told["aliases"]),
        stages=stages,
        status=PENDING if item.waits else READY,
        status_message=registering.told(item) if item.waits else None,
    )


def registered_model(
    name: str, versions: tuple[Registered, ...], now: ModelFile
) -> RegisteredModel:
    """A model as MLflow has it; one without versions has a file only."""
    times = [item.time for item in versions] or [0]
    newest = max(versions, key=lambda it: it.ordinal, default=None)
    held = [it for it in versions if it == newest or it.version in now.stages.values()]
    return RegisteredModel(
        name=name,
        creation_timestamp=min(times),
        last_updated_timestamp=max(times),
        description=now.description,
        latest_versions=tuple(model_version(item, now) for item in held),
        aliases={alias: str(version) for alias, version in now.aliases.items()},
    )
