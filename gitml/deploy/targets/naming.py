"""How things elsewhere are called, and which version they say that they are of. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from gitml.deploy.probe import NAMES
from gitml.deploy.release import Release

_ALLOWED = re.compile(r"[^a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Named:
    """A thing elsewhere: its name there, and which repository made it (`owner`)."""

    name: str
    owner: str

    @property
    def tags(self) -> dict[str, str]:
        """What tells it from the things of others: tags, or labels in Kubernetes."""
        return {"gitml.repository": self.owner, "gitml.deployment": self.name}

    def owns(self, tags: Mapping[str, str] | None) -> bool:
        """Whether a thing with these tags was made for this deployment."""
        return self.tags.items() <= (tags or {}).items()


def name_of(model: str, stage: str, most: int = 52) -> str:
    """A model's name elsewhere: readable, of letters, digits and hyphens, and no other one's."""
    whole = f"{model}-{stage}"
    name = _ALLOWED.sub("-", whole.lower()).strip("-")
    name = name if name[:1].isalpha() else f"m-{name}"
    if name == whole and len(name) <= most and "-" not in stage:
        return name
    key = sha256(f"{model}\0{stage}".encode()).hexdigest()[:6]
    return f"{name[: most - 7].rstrip('-')}-{key}"


def told_of(release: Release) -> dict[str, str]:
    """What tags or annotations say of a version."""
    told = (release.name, release.version, release.run_id, release.digest)
    return {f"gitml.{key}": value for key, value in zip(NAMES, told, strict=True)}


def told_by(tags: Mapping[str, str]) -> dict[str, str | None]:
    """Which version they say, by the fields of `Live`."""
    return {key: tags.get(f"gitml.{key}") for key in NAMES}
