"""What a change decides: versions that take stages, and lines of versions that are new. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gitml.registry.files import ModelFile
from gitml.registry.version import Version

_NOTHING = ModelFile()


@dataclass(frozen=True, slots=True)
class Move:
    """A stage that changes hands: `version` is None when nobody holds it afterwards."""

    name: str
    stage: str
    version: Version | None
    before: Version | None

    def __str__(self) -> str:
        taken = f"{self.version} in {self.stage}" if self.version else f"nothing in {self.stage}"
        return f"{self.name}: {taken}"


def moves(
    base: Mapping[str, ModelFile], fork: Mapping[str, ModelFile], head: Mapping[str, ModelFile]
) -> list[Move]:
    """The stages that a change gives away, by model.

    `fork` is where the change began. What others have decided on the base since is not the
    change's, but who holds the stage is told by the base.
    """
    found = []
    for name in sorted({*fork, *head}):
        old, new = fork.get(name, _NOTHING).stages, head.get(name, _NOTHING).stages
        now = base.get(name, _NOTHING).stages
        for stage in dict.fromkeys((*old, *new)):
            if old.get(stage) != new.get(stage):
                found.append(Move(name, stage, new.get(stage), now.get(stage)))
    return found


def to_verify(
    fork: Mapping[str, ModelFile], head: Mapping[str, ModelFile]
) -> Iterator[tuple[str, Version]]:
    """The versions whose line a change adds or edits, and those that it gives a stage or alias.

    Also those that keep a stage, and lose the line: it tells which tag is the version.
    """
    for name, new in sorted(head.items()):
        old = fork.get(name, _NOTHING)
        lines = {it for it, entry in new.versions.items() if old.versions.get(it) != entry}
        lines |= ({*old.versions} - {*new.versions}) & {*new.stages.values()}
        named = {it for stage, it in new.stages.items() if old.stages.get(stage) != it}
        named |= {it for alias, it in new.aliases.items() if old.aliases.get(alias) != it}
        for version in sorted(lines | named):
            yield name, version
