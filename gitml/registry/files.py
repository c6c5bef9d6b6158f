"""What `registry/NAME.yaml` says of a model, and editing it: what people wrote there stays. Pure.

Format: schemas/registered-model.schema.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gitml.documents import GONE, Edit, edit_yaml, load_yaml, validate_yaml
from gitml.registry.entries import VersionEntry, entry_of, once, with_entry
from gitml.registry.version import Version, parse_version

if TYPE_CHECKING:
    from gitml.registry.gates import Gate

FOLDER = "registry"
ORDER = (
    "schema", "description", "owners", "stages", "aliases", "gates", "versions", "archived",
)  # fmt: skip
_NEW = b"schema: 1\n"
_NONE: Mapping[str, Version] = MappingProxyType({})
_NO_GATES: Mapping[str, tuple[Gate, ...]] = MappingProxyType({})
_NO_ENTRIES: Mapping[Version, VersionEntry] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What was decided about a model; a file that is not there decides nothing.

    `stages` and `aliases` map names to versions; `versions` are those that were promoted once.
    `gates` are the model's own, which are asked beside the policy's. `listed` are archived by name.
    """

    description: str = ""
    owners: tuple[str, ...] = ()
    stages: Mapping[str, Version] = field(default_factory=lambda: _NONE)
    aliases: Mapping[str, Version] = field(default_factory=lambda: _NONE)
    versions: Mapping[Version, VersionEntry] = field(default_factory=lambda: _NO_ENTRIES)
    gates: Mapping[str, tuple[Gate, ...]] = field(default_factory=lambda: _NO_GATES)
    listed: tuple[Version, ...] = ()

    @property
    def archived(self) -> tuple[Version, ...]:
        """The versions that are not to be used: the listed, and those that lost their stages."""
        held = {*self.stages.values()}
        return tuple(sorted({*self.listed, *self.versions} - held))


def path_of(name: str) -> str:
    """The path of a model's file from the top of the repository."""
    return f"{FOLDER}/{name}.yaml"


def parse(data: bytes, where: str) -> ModelFile:
    """What a model's file says; FormatError, with line and column, when it is none."""
    data = once(data)
    document = load_yaml(data, where)
    validate_yaml(document, data, "registered-model", where)
    entries = document.get("versions") or {}
    return ModelFile(
        description=document.get("description") or "",
        owners=tuple(document.get("owners") or ()),
        stages=_versions(document.get("stages")),
        aliases=_versions(document.get("aliases")),
        versions={parse_version(text): entry_of(entry) for text, entry in entries.items()},
        gates=_gates(document.get("gates"), where),
        listed=tuple(map(parse_version, document.get("archived") or ())),
    )


def _gates(told: Any, where: str) -> Mapping[str, tuple[Gate, ...]]:
    """The gates, which few models have of their own: reading them takes the search grammar."""
    if not told:
        return _NO_GATES
    from gitml.registry.gates import parse_gates

    return parse_gates(told, where)


def _versions(names: Mapping[str, str] | None) -> Mapping[str, Version]:
    return {name: parse_version(text) for name, text in (names or {}).items() if text}


# -- edits ---------------------------------------------------------------------------------


def described(description: str) -> list[Edit]:
    """What gives a model another description; none when it is empty."""
    return [Edit(("description",), description or GONE)]


def aliased(alias: str, version: Version | None) -> list[Edit]:
    """What gives an alias to a version, or takes it away."""
    return [Edit(("aliases", alias), GONE if version is None else str(version))]


def archived(versions: Iterable[Version]) -> list[Edit]:
    """What says which versions are archived."""
    listed = [str(version) for version in sorted({*versions})]
    return [Edit(("archived",), listed or GONE)]


def promoted(data: bytes, stage: str, version: Version, entry: VersionEntry, where: str) -> bytes:
    """A model's file in which a version holds a stage, and has its entry."""
    held = edited(data, [Edit(("stages", stage), str(version), apart=True)], where)
    return edited(with_entry(held, stage, version, entry), (), where)


def edited(data: bytes | None, edits: Iterable[Edit], where: str) -> bytes:
    """A model's file with edits, which is a valid one; without `data` a new file."""
    made = edit_yaml(_NEW if data is None else once(data), edits, where, ORDER)
    document: Any = load_yaml(made, where)
    validate_yaml(document, made, "registered-model", where)
    return made
