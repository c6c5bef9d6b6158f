"""How things elsewhere are called, and which version they say that they are of. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256

from gitml.deploy.release import Release

OWNER, NAME = "gitml.repository", "gitml.deployment"
_SAID = ("model", "version", "run_id", "digest")  # the fields of `Live`
_ALLOWED = re.compile(r"[^a-z0-9-]+")


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
    return {f"gitml.{key}": value for key, value in zip(_SAID, told, strict=True)}


def told_by(tags: Mapping[str, str]) -> dict[str, str | None]:
    """Which version they say, by the fields of `Live`."""
    return {key: tags.get(f"gitml.{key}") for key in _SAID}
