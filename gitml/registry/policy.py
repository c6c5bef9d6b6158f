"""What `registry.yaml` says: which stages there are, and what a version has to pass for each. Pure.

Format: schemas/registry.schema.json. The platform owns it; a promotion never edits it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gitml.documents import load_yaml, near_miss, validate_yaml
from gitml.errors import FormatError, UsageError, shown
from gitml.registry.gates import Gate, parse_gates

FILE_NAME = "registry.yaml"
_NONE: Mapping[str, tuple[Gate, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Policy:
    """The stages in their order, the gates of each, and who CI is among those who may sign."""

    stages: tuple[str, ...] = ("staging", "production")
    gates: Mapping[str, tuple[Gate, ...]] = field(default_factory=lambda: _NONE)
    ci_signers: tuple[str, ...] = ()

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
    )
    for stage in found.gates:
        if why := found.unknown(stage):
            raise FormatError(f"{where}: gates/{stage}: there is {why}")
    return found
