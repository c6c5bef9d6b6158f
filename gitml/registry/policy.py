"""What `registry.yaml` says: which stages there are, and what a version has to pass for each. Pure.

Format: schemas/registry.schema.json. The platform owns it; a promotion never edits it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from gitml.documents import load_yaml, near_miss, validate_yaml
from gitml.errors import FormatError, UsageError, shown
from gitml.registry.gates import Gate, parse_gates
from gitml.registry.tags import StageTag, VersionTag

FILE_NAME = "registry.yaml"
_NONE: Mapping[str, tuple[Gate, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Rights:
    """Who may sign tags, by the names in the list of SSH keys; None where each listed key may.

    `versions` may sign those of any model, `models` besides them those of one, `stages` all tags
    of stages.
    """

    versions: tuple[str, ...] | None = None
    stages: tuple[str, ...] | None = None
    models: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, tag: VersionTag | StageTag) -> tuple[str, ...] | None:
        """Who may sign a tag."""
        if isinstance(tag, StageTag):
            return self.stages
        own = self.models.get(tag.name)
        if own is None:
            return self.versions
        return tuple(dict.fromkeys((*(self.versions or ()), *own)))


@dataclass(frozen=True, slots=True)
class Policy:
    """The stages in their order, the gates of each, who CI is, and who may sign what."""

    stages: tuple[str, ...] = ("staging", "production")
    gates: Mapping[str, tuple[Gate, ...]] = field(default_factory=lambda: _NONE)
    ci_signers: tuple[str, ...] = ()
    signers: Rights = Rights()

    def check_stage(self, name: str) -> str:
        """The stage that `name` means, in any case; UsageError when there is none."""
        if why := self.unknown(name.lower(), shown(name)):
            raise UsageError(f"{FILE_NAME} knows {why}")
        return name.lower()

    def unknown(self, stage: str, told: str = "") -> str:
        """Words for a stage that there is not, `told` as somebody wrote it; empty for others."""
        if stage in self.stages:
            return ""
        hint = near_miss(stage, self.stages) or f"; the stages are {', '.join(self.stages)}"
        return f"no stage {told or shown(stage)}{hint}"


def parse(data: bytes, where: str = FILE_NAME) -> Policy:
    """What the file says; FormatError, with the place, when it is none.

    So it is with gates of a stage that there is not: nobody would ever ask them.
    """
    document = load_yaml(data, where)
    validate_yaml(document, data, "registry", where)
    stages = document.get("stages")
    found = Policy(
        stages=Policy().stages if stages is None else tuple(dict.fromkeys(stages)),
        gates=parse_gates(document.get("gates"), where),
        ci_signers=tuple((document.get("ci") or {}).get("signers") or ()),
        signers=_rights(document.get("signers") or {}),
    )
    for stage in found.gates:
        if why := found.unknown(stage):
            raise FormatError(f"{where}: gates/{stage}: there is {why}")
    return found


def _rights(document: Mapping[str, Any]) -> Rights:
    return Rights(
        versions=_people(document.get("versions")),
        stages=_people(document.get("stages")),
        models={name: tuple(some or ()) for name, some in (document.get("models") or {}).items()},
    )


def _people(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)
